"""The leaderboard's data base: the only room that knows SQL.
Public names load on first use (start-up time).

    with open_store("results.db") as store:
        run = store.begin_run("bench run ...", environment)
        store.put_chunks(run, chunks)
        store.latest_scores(suite="cue-conflict")

Append-only: a row that is written is never changed. What counts as current is the newest row.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.store.rows import (
        Chunk,
        Observation,
        Outcome,
        ScoreSet,
        StimuliRecord,
        StoredObservation,
    )
    from benchmark.store.standings import Standings, open_standings
    from benchmark.store.store import Store, open_store, whole
    from benchmark.store.table_rows import ObserverRow, ScoreRow, StimuliNote
    from benchmark.store.upkeep import Status, status

_STANDINGS = ("Standings", "open_standings")
_STORE = ("Store", "open_store", "whole")
_TABLES = ("ObserverRow", "ScoreRow", "StimuliNote")
_UPKEEP = ("Status", "status")

__all__ = [
    "Chunk",
    "Observation",
    "ObserverRow",
    "Outcome",
    "ScoreRow",
    "ScoreSet",
    "Standings",
    "Status",
    "StimuliNote",
    "StimuliRecord",
    "Store",
    "StoredObservation",
    "open_standings",
    "open_store",
    "status",
    "whole",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'benchmark.store' has no attribute '{name}'")
    if name in _STANDINGS:
        from benchmark.store import standings

        return getattr(standings, name)
    if name in _STORE:
        from benchmark.store import store

        return getattr(store, name)
    if name in _TABLES:
        from benchmark.store import table_rows

        return getattr(table_rows, name)
    if name in _UPKEEP:
        from benchmark.store import upkeep

        return getattr(upkeep, name)
    from benchmark.store import rows

    return getattr(rows, name)
