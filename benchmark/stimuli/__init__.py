"""Stimulus sets: what exists (`catalogue`, `experiments`), where it comes from (`fetch`, `verify`), how it is read
(`items`, `datasets`, `masked`, `world`), what suites ask for (`roles`); and published tables (`trial_tables`,
`score_tables`)."""
