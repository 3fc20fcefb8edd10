"""Rank observers by stored scores; compare suites, measures and recipes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from benchmark import plugins
from benchmark.api.imports import recorded
from benchmark.api.leaderboards import (
    CardStatus,
    Filtered,
    Selection,
    card_status,
    chosen_names,
    chosen_rows,
    chosen_suites,
    current_rows,
    notes_of,
    shown_rows,
    suites_with_scores,
)
from benchmark.api.options import AmongShown, By, Db, Filters, FlaggedLast, Names, Option, Unseen, command_line, joined
from benchmark.contracts import Suite
from benchmark.engine.scoring import PEOPLE
from benchmark.engine.trial_import import ScoresReport, put_reported_scores
from benchmark.failures import BenchError, UsageError, unknown_name
from benchmark.leaderboard import Board, board, boards
from benchmark.leaderboard.board_model import REPORTED
from benchmark.leaderboard.cue_measures import CueMeasures, cue_boards, measures_of
from benchmark.leaderboard.links import Link, experiment_values, links
from benchmark.leaderboard.summary import Summary, reported_boards, reported_summaries, summaries
from benchmark.leaderboard.training_curves import TrainingCurve, runs_of
from benchmark.leaderboard.training_curves import curves_of_runs as curves_of
from benchmark.leaderboard.transfer import TransferMatrix, transfer_matrix
from benchmark.leaderboard.trial_pools import TrialPool, degrades, pools
from benchmark.leaderboard.unseen_conditions import unseen_boards
from benchmark.stimuli.published_sources import check_source
from benchmark.stimuli.score_tables import check_names, read_scores
from benchmark.store import ScoreRow, Store, open_store
from benchmark.variables import read_settings

COLUMNS = "Published test levels (default), levels (each), or 'uniform-noise/*'."


def import_scores(
    path: Annotated[str | Path, Option("A CSV or JSON table, or a known folder.", kind="path")],
    *,
    source: Annotated[str | None, Option("Name the publisher (default: the file's name).", metavar="NAME")] = None,
    same: Annotated[
        Sequence[str], Option("Treat this metric as ours of that name (repeatable).", metavar="METRIC")
    ] = (),
    db: Db = None,
) -> ScoresReport:
    """Import published scores that have no trials.

    PATH is a CSV or JSON file, or a published folder: critical-band-masking, RobustBench, timm's results, Gavrikov and
    Keuper's table. A file needs columns observer, metric and value; low, high, level, n, condition, source, suite and
    note are optional. JSON is a list of such records, or {observer: {metric: value}}.

    Imported scores have tables of their own below a suite's (`bench rank`). They are ordered, not ranked, and enter no
    paired test. Repeating an import adds nothing; a changed value replaces the earlier one."""
    path = Path(path)
    stated = None if source is None else check_source(source)
    plain = plugins.find_suites().suites
    suites = {suite.name: suite for one in plain.values() for suite in (*one.variants.values(), one)}
    metrics = {metric.name: metric for suite in suites.values() for metric in suite.metrics}
    tables = read_scores(path, stated, metrics)
    for name in {score.observer.source for score in tables.scores}:
        check_source(name)
    check_names(tables.scores, {n: [m.name for m in s.metrics] for n, s in suites.items()}, same)
    settings = read_settings(db)
    command = command_line(import_scores, "bench import scores", path=path.absolute(), source=source, same=same)
    with open_store(settings.db) as store, recorded(store, command) as run:
        report = put_reported_scores(tables.scores, store, run)
    report.notes += tables.notes
    return report


def reported(
    leaderboard: Filtered,
    suite: Annotated[str | None, Option("Show tables on this suite's subject (default: all).")] = None,
) -> list[Board]:
    """Return tables of published scores without trials; they are ordered by value, not ranked."""
    with leaderboard.reading() as store:
        now = card_status(store, leaderboard.settings)
        rows = chosen_rows(store, store.latest_scores(suite=REPORTED), now, leaderboard.filters)
        sources = {row.name: str(row.card.get("source", "")) for row in store.observers(kinds=(REPORTED,))}
    suites = None if suite in (None, "all") else [name.strip() for name in str(suite).split(",")]
    return reported_boards(rows, sources, suites) if rows else []


def check_trials(store: Store, *names: str) -> None:
    """Raise BenchError for an observer without trials, of which only scores were published."""
    for row in store.observers():
        if row.name in names and row.kind == "reported":
            raise BenchError(f"'{row.name}' has published scores but no trials: `bench show` lists them.")


def rank(
    leaderboard: Filtered,
    suite: Annotated[str | None, Option("Show this suite's boards (default: all suites).")] = None,
    *,
    by: By = None,
    unseen_only: Unseen = False,
    flagged_last: FlaggedLast = False,
    among_shown: AmongShown = False,
) -> list[Board]:
    """Print ranked tables with intervals and flags.

    There is one table for each label space and stimulus set: rows of different stimuli are never ranked together.
    People and chance are reference rows. Filters hide rows: ranks are those of the whole board, and people stay (unless
    --hide or --kind leaves them out)."""
    filters = leaderboard.filters
    if among_shown and not filters:
        raise UsageError("--among-shown needs a filter: choose rows with -m, --hide, --kind, ...")
    with leaderboard.reading() as store:
        scored = store.suites() if by is None else None  # --by may name any suite
        shelf = plugins.find_suites(suite, scored=scored)
        if by is not None and suite in (None, by) and by.partition(":")[0] in shelf.suites:
            suite, by = by, None
        suites = chosen_suites(store, suite, shelf)
        if by is not None:
            known = {metric.name for each in suites for metric in each.metrics}
            if by not in known:
                raise unknown_name("metric", by, known | {*plugins.suite_entries()}, "`bench suites show NAME`.")
            suites = [each for each in suites if by in {metric.name for metric in each.metrics}]
        if unseen_only and suite is None:
            suites = [each for each in suites if each.seen is not None]
        sets, now = notes_of(store), card_status(store, leaderboard.settings)
        ranked: list[Board] = []
        for each in suites:
            rows = _scores_of(store, each, by, now, filters, among_shown=among_shown)
            tables = unseen_boards(store, each, rows, sets, by) if unseen_only else boards(rows, each, sets, by=by)
            if flagged_last:
                tables = [board.flagged_last(table) for table in tables]
            if filters:
                shown = filter(None, [shown_rows(store, table, filters) for table in tables])
                tables = sorted(shown, key=lambda table: -len(table.rows))
            ranked += tables
        identities = {note.name: note.identity for note in store.observers() if note.kind == "network"}
    return [board.with_twins(table, identities) for table in ranked]


def _scores_of(
    store: Store, suite: Suite, by: str | None, now: CardStatus, filters: Filters, *, among_shown: bool = False
) -> list[ScoreRow]:
    """Return the scores behind a suite's boards: its columns and `by`. among_shown: only of observers that fit."""
    metrics = [metric.name for metric in suite.metrics if metric.shown or metric.headline or metric.name == by]
    rows = store.latest_scores(suite=suite.name, conditions=("",), metrics=metrics)
    rows = chosen_rows(store, rows, now, filters) if among_shown else current_rows(rows, now, filters.models)
    if suite.references:  # scores of reference maps are equal for all observers: take one per stimulus set
        one_each = {(row.space, row.stimuli): row.observer for row in rows}
        conditions, names = tuple(suite.references), {*one_each.values()}
        rows += store.latest_scores(suite=suite.name, conditions=conditions, observers=names)
    return rows


def transfer(
    leaderboard: Filtered,
    suite: Annotated[str | None, Option("Use this suite.", "--suite", "-s", metavar="NAME")] = None,
    *,
    conditions: Annotated[Names, Option(COLUMNS, "--conditions", "-c", metavar="WAY|PATTERN,...")] = "default",
) -> list[TransferMatrix]:
    """Print accuracy by training recipe and degradation.

    This is the transfer matrix of Geirhos et al. 2018. Rows are the recipes on cards (set with `bench import trials
    --training` for published networks); cells with a condition of the recipe are marked."""
    ways = [part.strip() for part in joined(conditions).split(",") if part.strip()]
    shelf = plugins.find_suites()
    with leaderboard.reading() as store:
        chosen = [item for item in chosen_suites(store, suite, shelf) if degrades(item)]
        if suite and not chosen:
            raise BenchError(f"suite '{suite}' has no degraded images for a transfer matrix.")
        judge = next((item for item in shelf.suites.values() if item.seen is not None), None)
        pooled = [_shown_members(store, pool, leaderboard.filters) for pool in pools(store, chosen, judge)]
    return [item for pool in pooled if (item := transfer_matrix(pool, ways)).columns]


def _shown_members(store: Store, pool: TrialPool, filters: Filters) -> TrialPool:
    """Return the pool's members that fit the filters; to people only `hide` and `kind` apply."""
    people = {member.observer for member in pool.members if member.kind == "human"}
    names = chosen_names(store, {member.observer for member in pool.members}, filters)
    names |= chosen_names(store, people, Filters(hide=filters.hide, kind=filters.kind))
    return replace(pool, members=tuple(member for member in pool.members if member.observer in names))


def summary(
    leaderboard: Filtered, *, flagged_last: FlaggedLast = False, among_shown: AmongShown = False
) -> list[Summary]:
    """Return models by suites: every headline side by side, one table per label space."""
    return summaries(rank(leaderboard, flagged_last=flagged_last, among_shown=among_shown))


def measures(leaderboard: Filtered) -> list[CueMeasures]:
    """Compare all measures of shape and texture.

    The tables show the measures of all suites and variants, their rank correlations, and the networks that they order
    differently."""
    with leaderboard.reading() as store:
        sets, now = notes_of(store), card_status(store, leaderboard.settings)
        observers = {row.name: row for row in store.observers()}

        def ranked(suite: Suite, metric: str) -> list[Board]:
            rows = _scores_of(store, suite, metric, now, leaderboard.filters)
            return boards(rows, suite, sets, by=metric)

        tables = cue_boards(suites_with_scores(store), ranked)
        shown = chosen_names(store, {*observers, PEOPLE}, leaderboard.filters)
    identities = {name: row.identity for name, row in observers.items() if row.kind == "network"}
    noted = [(metric, board.with_twins(table, identities)) for metric, table in tables]
    return measures_of(noted, {name: row.card for name, row in observers.items()}, shown)


def parameter_counts(leaderboard: Selection) -> dict[str, int]:
    """Return network -> its number of parameters."""
    with leaderboard.reading() as store:
        counts = {row.name: row.card.get("parameters") for row in store.observers()}
    return {name: count for name, count in counts.items() if isinstance(count, int)}


def correlate(
    leaderboard: Filtered,
    *,
    method: Annotated[Literal["spearman", "pearson"], Option("Choose the partial correlation.")] = "spearman",
    reported: Annotated[bool, Option("Use published scores instead, within each source.", "--reported")] = False,
) -> list[tuple[Summary, tuple[Link, ...]]]:
    """Show how the suites' headlines correlate over networks.

    Each pair has a rank correlation, a linear one, and the rank correlation given clean accuracy, with intervals over
    families of networks. Headlines that share answers are never correlated: one of them is computed without the
    experiment that they share."""
    tables = _reported(leaderboard) if reported else summary(leaderboard)
    with leaderboard.reading() as store:
        cards = {row.name: row.card for row in store.observers()}
        rows = [] if reported else store.latest_scores()
    return [(table, links(table, cards, experiment_values(table, rows), method=method)) for table in tables]


def _reported(leaderboard: Selection) -> list[Summary]:
    return reported_summaries(reported(leaderboard))


def training_curves(
    leaderboard: Filtered, run: Annotated[str | None, Option("Show this training run.")] = None
) -> list[TrainingCurve]:
    """Return each headline over a training run, or over all. Raise UnknownName for an unknown run."""
    with leaderboard.reading() as store:
        rows = {row.name: row for row in store.observers()}
    runs = runs_of({name: row.card for name, row in rows.items()})
    if run is not None and run not in runs:
        raise unknown_name("training run", run, runs, "`bench sweep FOLDER` makes one.")
    return [curve for curve in curves_of(rank(leaderboard), rows) if run in (None, curve.run)]


def is_run(leaderboard: Selection, name: str) -> bool:
    """Return whether this is the name of a training run and not of an observer."""
    with leaderboard.reading() as store:
        if any(note.name == name for note in store.observers()):
            return False
        return name in runs_of({row.name: row.card for row in store.observers()})
