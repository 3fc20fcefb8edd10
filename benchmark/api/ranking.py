"""Rank observers by stored scores; compare suites, measures and recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from benchmark import plugins
from benchmark.api import leaderboards
from benchmark.api.leaderboards import CardStatus, Filtered, card_status, chosen_rows, current_rows, notes_of
from benchmark.api.options import AmongShown, By, Filters, FlaggedLast, Option, Unseen
from benchmark.contracts import Suite
from benchmark.contracts.trials import PEOPLE
from benchmark.failures import UsageError, unknown_name
from benchmark.leaderboard import Board, board, boards
from benchmark.leaderboard.board_model import REPORTED
from benchmark.leaderboard.summary import Summary, reported_boards, reported_summaries, summaries
from benchmark.store import ScoreRow, Store

# `bench rank` is typed most often: what only other verbs need is imported there.
if TYPE_CHECKING:
    from benchmark.leaderboard.links import CueMeasures, Link
    from benchmark.leaderboard.training_curves import TrainingCurve


def reported(
    leaderboard: Filtered,
    suite: Annotated[str | None, Option("Show tables on this suite's subject (default: all).")] = None,
) -> list[Board]:
    """Return tables of published scores without trials; they are ordered by value, not ranked."""
    with leaderboard.reading() as store:
        if not (rows := store.latest_scores(suite=REPORTED)):
            return []
        rows = chosen_rows(store, rows, card_status(store, leaderboard.settings), leaderboard.filters)
        sources = {row.name: str(row.card.get("source", "")) for row in store.observers(kinds=(REPORTED,))}
    suites = None if suite in (None, "all") else [name.strip() for name in str(suite).split(",")]
    return reported_boards(rows, sources, suites)


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
        scored = store.suite_names() if by is None else None  # --by may name any suite
        shelf = plugins.find_suites(suite, scored=scored)
        if by is not None and suite in (None, by) and by.partition(":")[0] in shelf.suites:
            suite, by = by, None
        suites = leaderboards.chosen_suites(store, suite, shelf)
        if by is not None:
            known = {metric.name for each in suites for metric in each.metrics}
            if by not in known:
                raise unknown_name("metric", by, known | {*plugins.suite_entries()}, "`bench suites show NAME`.")
            suites = [each for each in suites if by in {metric.name for metric in each.metrics}]
        if unseen_only and suite is None:
            suites = [each for each in suites if each.seen is not None]
        sets, now = notes_of(store), card_status(store, leaderboard.settings)
        ranked: list[Board] = []
        if unseen_only:
            from benchmark.leaderboard.transfer import unseen_boards
        for each in suites:
            rows = _scores_of(store, each, by, now, filters, among_shown=among_shown)
            tables = unseen_boards(store, each, rows, sets, by) if unseen_only else boards(rows, each, sets, by=by)
            if flagged_last:
                tables = [board.flagged_last(table) for table in tables]
            if filters:
                shown = filter(None, [leaderboards.shown_rows(store, table, filters) for table in tables])
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


def summary(
    leaderboard: Filtered, *, flagged_last: FlaggedLast = False, among_shown: AmongShown = False
) -> list[Summary]:
    """Return models by suites: every headline side by side, one table per label space."""
    return summaries(rank(leaderboard, flagged_last=flagged_last, among_shown=among_shown))


def measures(leaderboard: Filtered) -> list[CueMeasures]:
    """Compare all measures of shape and texture.

    The tables show the measures of all suites and variants, their rank correlations, and the networks that they order
    differently."""
    from benchmark.leaderboard.links import cue_boards, measures_of

    with leaderboard.reading() as store:
        sets, now, filters = notes_of(store), card_status(store, leaderboard.settings), leaderboard.filters
        observers = {row.name: row for row in store.observers()}

        def ranked(suite: Suite, metric: str) -> list[Board]:
            return boards(_scores_of(store, suite, metric, now, filters), suite, sets, by=metric)

        tables = cue_boards(leaderboards.suites_with_scores(store), ranked)
        shown = leaderboards.chosen_names(store, {*observers, PEOPLE}, filters)
    identities = {name: row.identity for name, row in observers.items() if row.kind == "network"}
    noted = [(metric, board.with_twins(table, identities)) for metric, table in tables]
    return measures_of(noted, {name: row.card for name, row in observers.items()}, shown)


def correlate(
    leaderboard: Filtered,
    *,
    reported: Annotated[bool, Option("Use published scores instead, within each source.", "--reported")] = False,
) -> list[tuple[Summary, tuple[Link, ...]]]:
    """Show how the suites' headlines correlate over networks.

    Each pair has a rank correlation, a linear one, and the rank correlation given clean accuracy, with intervals over
    families of networks. Headlines that share answers are never correlated: one of them is computed without the
    experiment that they share."""
    from benchmark.leaderboard.links import experiment_values, links

    tables = reported_summaries(_reported(leaderboard)) if reported else summary(leaderboard)
    with leaderboard.reading() as store:
        cards = {row.name: row.card for row in store.observers()}
        rows = [] if reported else store.latest_scores()
    return [(table, links(table, cards, experiment_values(table, rows))) for table in tables]


_reported = reported  # `correlate` has a parameter of that name


def training_curves(
    leaderboard: Filtered, run: Annotated[str | None, Option("Show this training run.")] = None
) -> list[TrainingCurve]:
    """Return each headline over a training run, or over all. Raise UnknownName for an unknown run."""
    from benchmark.leaderboard.training_curves import curves_of_runs, runs_of

    with leaderboard.reading() as store:
        rows = {row.name: row for row in store.observers()}
    runs = runs_of({name: row.card for name, row in rows.items()})
    if run is not None and run not in runs:
        raise unknown_name("training run", run, runs, "`bench sweep FOLDER` makes one.")
    return [curve for curve in curves_of_runs(rank(leaderboard), rows) if run in (None, curve.run)]
