"""Published scores: brought in, shown, and correlated with one another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark import plugins
from benchmark.api.chosen_observers import Chosen, Wanted
from benchmark.api.importing import command_line, recorded
from benchmark.api.opening import reading
from benchmark.api.standing import Standing, standing
from benchmark.errors import BenchError
from benchmark.leaderboard.model import REPORTED
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.engine.importing import ScoresReport
    from benchmark.leaderboard import Board
    from benchmark.store import Store


def import_scores(
    path: Path, *, source: str | None = None, same: Sequence[str] = (), db: str | None = None
) -> ScoresReport:
    """Bring in a table of published scores, or a folder of a known layout. source: who published them; same: metrics
    that are the same quantity as ours of that name. Raises ScoresError.
    """
    from benchmark.engine.importing import put_scores
    from benchmark.stimuli.catalogue import check_source
    from benchmark.stimuli.score_tables import check_names, read_scores
    from benchmark.store import open_store

    stated = None if source is None else check_source(source)
    suites = plugins.find_suites().suites
    metrics = {metric.name: metric for suite in suites.values() for metric in suite.metrics}
    tables = read_scores(path, stated, metrics)
    for name in {score.observer.source for score in tables.scores}:
        check_source(name)
    check_names(tables.scores, {n: [m.name for m in s.metrics] for n, s in suites.items()}, same)
    settings = read_settings(db)
    options = {"--source": source, "--same": same}
    command = command_line(["bench", "import", "scores", path.absolute()], options)
    with open_store(settings.db) as store, recorded(store, command) as run:
        report = put_scores(tables.scores, store, run)
    report.notes += tables.notes
    return report


def reported(
    suite: str | None = None,
    *,
    wanted: Wanted | None = None,
    hide: str | None = None,
    db: str | None = None,
) -> list[Board]:
    """Tables of published scores: of one suite's subject, or all. They are never part of `rank`."""
    settings = read_settings(db)
    with reading(settings) as store:
        chosen = Chosen(wanted or Wanted(), hide)
        return published_boards(store, suite, chosen, standing(store, settings))


def published_boards(store: Store, suite: str | None, chosen: Chosen, now: Standing) -> list[Board]:
    """`reported` of an open leaderboard."""
    rows = chosen.rows(store, store.latest_scores(suite=REPORTED), now)
    if not rows:
        return []
    from benchmark.leaderboard.reported import reported_boards

    known = store.observers_of((REPORTED,))
    sources = {row.name: str(row.card.get("source", "")) for row in known}
    suites = None if suite in (None, "all") else [one.strip() for one in str(suite).split(",")]
    return reported_boards(rows, sources, suites)


def check_trials(store: Store, *names: str) -> None:
    """Raises BenchError for an observer of which only scores were published."""
    for row in store.observer_notes():
        if row.name in names and row.kind == "reported":
            raise BenchError(
                f"of '{row.name}' only scores are published, no trials are here: it can be shown (`bench show`), "
                "but not compared image by image."
            )
