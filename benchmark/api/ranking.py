"""Ranked boards and transfer matrices from stored scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from benchmark import plugins
from benchmark.api.importing import command_line, recorded
from benchmark.api.leaderboards import (
    KINDS,
    Chosen,
    Standing,
    Wanted,
    chosen_suites,
    families,
    notes_of,
    reading,
    standing,
    suites_with_scores,
)
from benchmark.api.options import By, Db, FlaggedLast, Names, Observers, Option, Unseen, joined
from benchmark.errors import BenchError, unknown_name
from benchmark.leaderboard.board_tables import OTHERS
from benchmark.leaderboard.model import REPORTED
from benchmark.stimuli.catalogue import PUBLISHED_SPACE
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.contracts import Suite
    from benchmark.engine.importing import ScoresReport
    from benchmark.leaderboard import Board
    from benchmark.leaderboard.links import Contrasts, Link
    from benchmark.leaderboard.summary import Summary
    from benchmark.leaderboard.training_curves import Curve
    from benchmark.leaderboard.transfer import Claim, Matrix
    from benchmark.store import ScoreRow, Store


# Published scores: brought in, shown, and correlated with one another.


def import_scores(
    path: Annotated[str | Path, Option("A CSV or JSON table, or the folder of critical-band-masking.", kind="path")],
    *,
    source: Annotated[
        str | None, Option("Who published them (default: the file is called like it).", metavar="NAME")
    ] = None,
    same: Annotated[
        Sequence[str], Option("This is the same quantity as our metric of that name (repeatable).", metavar="METRIC")
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

    known = store.observers(kinds=(REPORTED,))
    sources = {row.name: str(row.card.get("source", "")) for row in known}
    suites = None if suite in (None, "all") else [name.strip() for name in str(suite).split(",")]
    return reported_boards(rows, sources, suites)


def check_trials(store: Store, *names: str) -> None:
    """Raises BenchError for an observer of which only scores were published."""
    for row in store.observers():
        if row.name in names and row.kind == "reported":
            raise BenchError(
                f"of '{row.name}' only scores are published, no trials are here: it can be shown (`bench show`), "
                "but not compared image by image."
            )


def rank(
    suite: Annotated[str | None, Option("Its boards; without one, those of all suites.")] = None,
    *,
    by: By = None,
    models: Observers = None,
    hide: Annotated[Names | None, Option("Without these observers.", "--hide", metavar="PATTERN")] = None,
    kind: Annotated[Names, Option(f"Only these: {', '.join(KINDS)}.", "--kind", metavar="PATTERN")] = "",
    source: Annotated[
        Names, Option("Only observers of this published collection.", "--source", metavar="PATTERN")
    ] = "",
    recipe: Annotated[
        Names, Option("Only observers with this recipe tag: 'stylised', 'adversarial*'.", "--recipe", metavar="PATTERN")
    ] = "",
    family: Annotated[
        Names, Option("Only this family of networks: resnet, vit, clip.", "--family", metavar="PATTERN")
    ] = "",
    unseen_only: Unseen = False,
    flagged_last: FlaggedLast = False,
    db: Db = None,
) -> list[Board]:
    """Ranked tables: value, interval, rank interval, n and flags; people and chance as reference rows.

    One table per decision space and stimulus set: rows of different stimuli are never ranked together.
    """
    how, chosen = _question(
        suite, by=by, models=models, hide=hide, kind=kind, source=source, recipe=recipe, family=family,
        unseen_only=unseen_only, flagged_last=flagged_last,
    )  # fmt: skip
    settings = read_settings(db)
    with reading(settings) as store:
        return ranked_boards(store, how, chosen, standing(store, settings))


@dataclass(frozen=True)
class Ranked:
    """What is ranked, and how: as in `rank`."""

    suite: str | None = None
    by: str | None = None
    unseen_only: bool = False
    flagged_last: bool = False


def tables(
    suite: str | None = None, *, published: bool = False, db: str | None = None, **asked: Any
) -> tuple[list[Board], list[Board], dict[str, str]]:
    """The boards of `rank`, with `published` those of `reported`, and the family of every observer that may
    be folded away; read in one go. asked: as `rank` takes it."""
    how, chosen = _question(suite, **asked)
    settings = read_settings(db)
    with reading(settings) as store:
        now = standing(store, settings)
        ranked = ranked_boards(store, how, chosen, now)
        apart = published_boards(store, how.suite, chosen, now) if published else []
        return ranked, apart, families(store, OTHERS)


def _question(
    suite: str | None,
    *,
    by: str | None = None,
    models: Names | None = None,
    hide: Names | None = None,
    unseen_only: bool = False,
    flagged_last: bool = False,
    **filters: Names | None,
) -> tuple[Ranked, Chosen]:
    kinds = {name: joined(names or "") for name, names in filters.items()}
    chosen = Chosen(Wanted(joined(models or ""), **kinds), joined(hide or ""))
    return Ranked(suite, by, unseen_only, flagged_last), chosen


def ranked_boards(store: Store, how: Ranked, chosen: Chosen, now: Standing) -> list[Board]:
    """`rank` of an open leaderboard."""
    from benchmark.leaderboard import board, boards

    pattern, by = how.suite, how.by
    scored = store.suites() if by is None else None  # by: may name any suite
    shelf = plugins.find_suites(pattern, scored=scored)
    if by is not None and pattern in (None, by) and by.partition(":")[0] in shelf.suites:
        pattern, by = by, None
    suites = chosen_suites(store, pattern, shelf)
    if by is not None and not any(by in {m.name for m in s.metrics} for s in suites):
        known = {*plugins.suite_entries(), *(m.name for s in suites for m in s.metrics)}
        raise unknown_name("metric", by, known, "`bench suites show NAME`.")
    if how.unseen_only and pattern is None:
        suites = [suite for suite in suites if suite.seen is not None]
    sets = notes_of(store)
    ranked: list[Board] = []
    notes = store.observers()
    identities = {note.name: note.identity for note in notes if note.kind == "network"}
    for suite in suites:
        if by is None or by in {m.name for m in suite.metrics}:
            metrics = [m.name for m in suite.metrics if m.shown or m.headline or m.name == by]
            scores = store.latest_scores(suite=suite.name, conditions=("",), metrics=metrics)
            rows = chosen.rows(store, scores, now)
            rows = [*rows, *_beside(store, suite, rows)]
            if how.unseen_only:
                from benchmark.leaderboard.held_out import unseen_boards

                ranked += unseen_boards(store, suite, rows, sets, by)
            else:
                whole = list(map(board.hinted, boards(rows, suite, sets, by=by)))
                ranked += _with_partial(store, suite, whole)
    ranked = [board.with_twins(table, identities) for table in ranked]
    return [board.flagged_last(table) for table in ranked] if how.flagged_last else ranked


def transfer(
    suite: Annotated[str | None, Option("One suite.", "--suite", "-s", metavar="NAME")] = None,
    *,
    conditions: Annotated[
        Names,
        Option(
            "Columns: the published test levels (default), levels (each), mean (over levels), half (where people are "
            "nearest to half right), or patterns such as 'uniform-noise/*'.",
            "--conditions",
            "-c",
            metavar="WAY|PATTERN,...",
        ),
    ] = "default",
    by_model: Annotated[bool, Option("One row per observer, not per recipe.")] = False,
    models: Observers = None,
    claims: Annotated[
        Sequence[tuple[str, str]],
        Option(
            "Does training on TRAIN help on TEST? (Default: every noise against every other.)",
            "--claim",
            metavar="TRAIN TEST",
        ),
    ] = (),
    db: Db = None,
) -> list[tuple[Matrix, list[Claim]]]:
    """The transfer matrix of Geirhos et al. 2018: accuracy of each training recipe under each degradation.

    Rows are the recipes that cards state (`bench import trials --training` for published networks); cells that a
    recipe trains on are marked. Below: how much of what training against one noise gains carries over to another.
    """
    from benchmark.leaderboard.transfer import judged, matrix
    from benchmark.leaderboard.trial_pools import degrades, pools

    ways = [part.strip() for part in joined(conditions).split(",") if part.strip()]
    shelf = plugins.find_suites()
    with reading(read_settings(db)) as store:
        chosen = [item for item in chosen_suites(store, suite, shelf) if degrades(item)]
        if suite and not chosen:
            raise BenchError(f"suite '{suite}' shows no degraded images that a matrix could be made of.")
        judge = next((item for item in shelf.suites.values() if item.seen is not None), None)
        pooled = pools(store, chosen, judge)
    kept = [pool.only(joined(models).split(",")) if models else pool for pool in pooled]
    matrices = [item for pool in kept if (item := matrix(pool, ways, by_model=by_model)).columns]
    return judged(matrices, claims)


def _with_partial(store: Store, suite: Suite, ranked: Sequence[Board]) -> Sequence[Board]:
    """The boards, each with a note on people who answered a part of its images: they are in no row of it."""
    asked = [board for board in ranked if board.space == PUBLISHED_SPACE]
    people = any(row.kind == "human" for row in store.observers())
    if not (suite.experiments and asked and people):
        return ranked
    from benchmark.engine.reference_trials import partial_line, partial_people

    sets = store.role_sets(suite.name)
    shown = [{**sets.get(board.digest, {}), **{r: d for r, d in board.digests.items() if r and d}} for board in asked]
    lines = map(partial_line, partial_people(store, suite, shown))
    noted = {id(board): line for board, line in zip(asked, lines, strict=True) if line}
    return [replace(board, notes=(*board.notes, noted[id(board)])) if id(board) in noted else board for board in ranked]


def _beside(store: Store, suite: Suite, rows: Sequence[ScoreRow]) -> Sequence[ScoreRow]:
    """Scores of what is no observer, from one observer per stimulus set: they are the same for all."""
    if not suite.references:
        return ()
    names = {(row.space, row.stimuli): row.observer for row in rows}
    conditions, observers = tuple(suite.references), set(names.values())
    return store.latest_scores(suite=suite.name, conditions=conditions, observers=observers)


# The headlines of all suites side by side, how they hang together, and how models stand to a baseline.


def summary(models: Observers = None, *, flagged_last: FlaggedLast = False, db: Db = None) -> list[Summary]:
    """Models by suites: every headline side by side, one table per decision space."""
    return summary_with_sizes(models=models, flagged_last=flagged_last, db=db)[0]


def summary_with_sizes(
    *, models: Names | None = None, flagged_last: bool = False, limit: int | None = None, db: str | None = None
) -> tuple[list[Summary], dict[str, int]]:
    """As `summary`, and observer -> the number of its parameters, for networks that were run here and stand in the
    first `limit` lines of either kind; read in one go."""
    from benchmark.leaderboard.summary import summaries

    settings = read_settings(db)
    with reading(settings) as store:
        how, chosen = Ranked(flagged_last=flagged_last), Chosen(Wanted(joined(models or "")))
        tables = summaries(ranked_boards(store, how, chosen, standing(store, settings)))
        shown = {line.observer for table in tables for line in (*table.lines[:limit], *table.references[:limit])}
        counts = {row.name: row.card.get("parameters") for row in store.observers(names=shown)}
    return tables, {name: count for name, count in counts.items() if isinstance(count, int)}


def correlate(
    models: Observers = None,
    *,
    method: Annotated[
        Literal["spearman", "pearson"], Option("Of the partial correlation, and where a family is left out.")
    ] = "spearman",
    reported: Annotated[bool, Option("Published scores instead, each source by itself.", "--reported")] = False,
    db: Db = None,
) -> list[tuple[Summary, tuple[Link, ...], Contrasts]]:
    """Every suite's headline against every other, over all networks: rank and linear correlation, and the rank
    correlation that is left given clean accuracy, each with an interval over families of networks. Two headlines that
    are made of the same answers are never correlated: one of them is taken without the experiment that they share.

    Below: recipes (stylised, adversarial, noise, ...) minus the standard one, paired by source, architecture and seed.
    """
    from benchmark.leaderboard.links import contrasts, links, parts_of

    tables = _reported(models, db) if reported else summary(models=models, db=db)
    with reading(read_settings(db)) as store:
        cards = {row.name: row.card for row in store.observers()}
        rows = [] if reported else store.latest_scores()
    return [
        (table, links(table, cards, parts_of(table, rows), method=method), contrasts(table, cards)) for table in tables
    ]


def _reported(models: Names | None, db: str | None) -> list[Summary]:
    from benchmark.leaderboard.reported import reported_summaries

    return reported_summaries(reported(wanted=Wanted(joined(models or "")), db=db))


def training_curves(run: Annotated[str | None, Option("One training run.")] = None, *, db: Db = None) -> list[Curve]:
    """Every headline over every training run, or over one. Raises UnknownName where there is no such run."""
    from benchmark.leaderboard.training_curves import runs_of
    from benchmark.leaderboard.training_curves import training_curves as curves_of

    settings = read_settings(db)
    with reading(settings) as store:
        rows = {row.name: row for row in store.observers()}
        runs = runs_of({name: row.card for name, row in rows.items()})
        if run is not None and run not in runs:
            raise unknown_name("training run", run, runs, "`bench sweep FOLDER` makes one.")
        ranked = ranked_boards(store, Ranked(), Chosen(Wanted("")), standing(store, settings))
    return [curve for curve in curves_of(ranked, rows) if run in (None, curve.run)]


def is_run(name: str, *, db: str | None = None) -> bool:
    """Whether a training run, and no observer, is called so."""
    from benchmark.leaderboard.training_curves import runs_of

    with reading(read_settings(db)) as store:
        if any(note.name == name for note in store.observers()):
            return False
        return name in runs_of({row.name: row.card for row in store.observers()})


def against(
    tables: Sequence[Summary], baseline: str, *, db: str | None = None
) -> dict[str, Mapping[tuple[str, str], str]]:
    """Decision space -> (observer, suite) -> how it stands to the baseline, by paired tests of the headlines.

    The headlines of each observer are one family of tests, as in `compare`. Raises UnknownName where no summary has
    the baseline.
    """
    from benchmark.engine.scoring import compare_observers
    from benchmark.leaderboard.comparison import better
    from benchmark.leaderboard.summary import BETTER, INCONCLUSIVE, WORSE

    names = {line.observer for table in tables for line in table.lines}
    if baseline not in names:
        raise unknown_name("baseline", baseline, names, "`bench rank --summary` lists the observers.")
    signs = {"A": BETTER, "B": WORSE}
    marks: dict[str, Mapping[tuple[str, str], str]] = {}
    with reading(read_settings(db)) as store:
        suites = suites_with_scores(store)
        for table in tables:
            if baseline not in {line.observer for line in table.lines}:
                continue
            others = (line.observer for line in table.lines if line.observer != baseline)
            tested = ((name, compare_observers(store, suites, name, baseline)) for name in others)
            marks[table.space] = {
                (name, row.suite): signs.get(better(row), INCONCLUSIVE)
                for name, rows in tested
                for row in rows.headlines
                if row.comparison.p is not None
            }
    return marks
