"""The report: a leaderboard's pages and figures as files that open from disk. Reads through `api`, runs nothing."""
