"""The leaderboard's data base: the only room that knows SQL.
Public names load on first use (start-up time).

    with open_store("results.db") as store:
        run = store.begin_run("bench run ...", environment)
        store.put_chunks(run, chunks)
        store.latest_scores(suite="cue-conflict")

Append-only: a row that is written is never changed. What counts as current is the newest row.
"""

from typing import TYPE_CHECKING, Any

from benchmark.first_use import load

if TYPE_CHECKING:
    from benchmark.store.rows import (
        Chunk,
        Observation,
        Outcome,
        ScoreSet,
        StimuliRecord,
        StoredObservation,
    )
    from benchmark.store.standings import Standings, open_standings, require_usable
    from benchmark.store.store import Store, open_store, whole
    from benchmark.store.table_rows import ObserverRow, ScoreRow, StimuliNote
    from benchmark.store.upkeep import Status, status


def __getattr__(name: str) -> Any:
    return load(__name__, name)
