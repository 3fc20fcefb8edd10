"""Published scores: brought in, shown, and correlated with one another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from benchmark import plugins
from benchmark.api.importing import command_line, recorded
from benchmark.api.leaderboards import Chosen, Standing, Wanted, reading, standing
from benchmark.api.options import Db, Option
from benchmark.errors import BenchError
from benchmark.leaderboard.model import REPORTED
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.engine.importing import ScoresReport
    from benchmark.leaderboard import Board
    from benchmark.store import Store


def import_scores(
    path: Annotated[
        str | Path,
        Option("A CSV or JSON table, or the folder of critical-band-masking.", kind="path"),
    ],
    *,
    source: Annotated[
        str | None,
        Option("Who published them (default: the file is called like it).", metavar="NAME"),
    ] = None,
    same: Annotated[
        Sequence[str],
        Option(
            "This is the same quantity as our metric of that name (repeatable).", metavar="METRIC"
        ),
    ] = (),
    db: Db = None,
) -> ScoresReport:
    """Import published scores of which there are no trials: a CSV or JSON file, or the folder of
    critical-band-masking.

    Columns: observer, metric, value; where known low, high, level, n, condition, source, suite, note. JSON: a list of
    such records, or {observer: {metric: value}}.

    They stand in tables of their own below a suite's (`bench rank`): ordered, not ranked, and in no paired test.
    Importing again adds nothing; another value takes the earlier one's place.
    """
    from benchmark.engine.importing import put_scores
    from benchmark.stimuli.catalogue import check_source
    from benchmark.stimuli.score_tables import check_names, read_scores
    from benchmark.store import open_store

    path = Path(path)
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
    suite: Annotated[str | None, Option("Of its subject; without one, all.")] = None,
    *,
    wanted: Wanted | None = None,
    hide: str | None = None,
    db: Db = None,
) -> list[Board]:
    """Tables of scores that others report, ordered by value: they are never ranked, and no part of `rank`."""
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
