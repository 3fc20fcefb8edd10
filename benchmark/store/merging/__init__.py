"""One leaderboard's rows brought into another: what both have once, what differs named and left out.

`origins`: runs, observers, stimulus sets; `blocks`: observations with their chunks, and what imported ones count;
`results`: scores and outcomes. Every step is idempotent, so a merge that was cut short is simply made again.
"""
