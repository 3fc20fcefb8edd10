"""Ranked boards and transfer matrices from stored scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmark import plugins
from benchmark.api.chosen_observers import Chosen, Wanted, families
from benchmark.api.opening import chosen_suites, notes_of, reading
from benchmark.api.published_scores import published_boards
from benchmark.api.standing import Standing, standing
from benchmark.errors import BenchError, unknown_name
from benchmark.leaderboard.folding import PUBLISHED
from benchmark.stimuli.catalogue import PUBLISHED_SPACE
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.contracts import Suite
    from benchmark.leaderboard import Board
    from benchmark.leaderboard.transfer import Claim, Matrix
    from benchmark.store import ScoreRow, Store


def rank(
    suite: str | None = None,
    *,
    by: str | None = None,
    db: str | None = None,
    models: str | None = None,
    wanted: Wanted | None = None,
    hide: str | None = None,
    unseen_only: bool = False,
    flagged_last: bool = False,
) -> list[Board]:
    """Ranked boards of one suite or of all: one per decision space and stimulus set, never mixed.

    by: a metric, or a suite (its headline); models, wanted: only these observers (retired models when they are named);
    hide: none of those (names, globs, comma lists); unseen_only: without the conditions that any of a board's observers
    was trained on, for suites that know them; flagged_last: scores with a flag of distrust rank below all others.
    """
    chosen = Chosen(wanted or Wanted(models or ""), hide)
    settings = read_settings(db)
    with reading(settings) as store:
        how = Ranked(suite, by, unseen_only, flagged_last)
        return ranked_boards(store, how, chosen, standing(store, settings))


@dataclass(frozen=True)
class Ranked:
    """What is ranked, and how: as in `rank`."""

    suite: str | None = None
    by: str | None = None
    unseen_only: bool = False
    flagged_last: bool = False


def tables(
    how: Ranked, chosen: Chosen, *, published: bool = False, db: str | None = None
) -> tuple[list[Board], list[Board], dict[str, str]]:
    """The boards of `rank`, with `published` those of `reported`, and the family of every observer that may
    be folded away; read in one go."""
    settings = read_settings(db)
    with reading(settings) as store:
        now = standing(store, settings)
        found = ranked_boards(store, how, chosen, now)
        apart = published_boards(store, how.suite, chosen, now) if published else []
        return found, apart, families(store, PUBLISHED)


def ranked_boards(store: Store, how: Ranked, chosen: Chosen, now: Standing) -> list[Board]:
    """`rank` of an open leaderboard."""
    from benchmark.leaderboard import board, boards

    suite, by = how.suite, how.by
    scored = store.suites() if by is None else None  # by: may name any suite
    shelf = plugins.find_suites(suite, scored=scored)
    if by is not None and suite in (None, by) and by.partition(":")[0] in shelf.suites:
        suite, by = by, None
    suites = chosen_suites(store, suite, shelf)
    if by is not None and not any(by in {m.name for m in s.metrics} for s in suites):
        known = {*plugins.suite_entries(), *(m.name for s in suites for m in s.metrics)}
        raise unknown_name("metric", by, known, "`bench suites show NAME`.")
    if how.unseen_only and suite is None:
        suites = [one for one in suites if one.seen is not None]
    sets = notes_of(store)
    found: list[Board] = []
    notes = store.observer_notes()
    identities = {note.name: note.identity for note in notes if note.kind == "network"}
    for one in suites:
        if by is None or by in {m.name for m in one.metrics}:
            metrics = [m.name for m in one.metrics if m.shown or m.headline or m.name == by]
            scores = store.latest_scores(suite=one.name, conditions=("",), metrics=metrics)
            rows = chosen.rows(store, scores, now)
            rows = [*rows, *_beside(store, one, rows)]
            if how.unseen_only:
                from benchmark.leaderboard.held_out import unseen_boards

                found += unseen_boards(store, one, rows, sets, by)
            else:
                made = list(map(board.hinted, boards(rows, one, sets, by=by)))
                found += _with_partial(store, one, made)
    found = [board.with_twins(table, identities) for table in found]
    return [board.flagged_last(table) for table in found] if how.flagged_last else found


def transfer(
    suite: str | None = None,
    *,
    conditions: str = "default",
    by_model: bool = False,
    models: str | None = None,
    claims: Sequence[tuple[str, str]] = (),
    db: str | None = None,
) -> list[tuple[Matrix, list[Claim]]]:
    """Transfer matrices, trained on the row and tested on the column: the published experiments, then every suite.

    conditions: "default", "levels", "mean", "half" or patterns, separated by commas; by_model: a row per observer;
    claims: (recipe, condition) pairs to be judged (none: every noise against every other).
    """
    from benchmark.leaderboard.transfer import judged, matrix
    from benchmark.leaderboard.trial_pools import degrades, pools

    ways = [part.strip() for part in conditions.split(",") if part.strip()]
    shelf = plugins.find_suites()
    with reading(read_settings(db)) as store:
        chosen = [one for one in chosen_suites(store, suite, shelf) if degrades(one)]
        if suite and not chosen:
            raise BenchError(
                f"suite '{suite}' shows no degraded images that a matrix could be made of."
            )
        judge = next((one for one in shelf.suites.values() if one.seen is not None), None)
        found = pools(store, chosen, judge)
    kept = [pool.only(models.split(",")) if models else pool for pool in found]
    made = [one for pool in kept if (one := matrix(pool, ways, by_model=by_model)).columns]
    return judged(made, claims)


def _with_partial(store: Store, suite: Suite, found: Sequence[Board]) -> Sequence[Board]:
    """The boards, each with a note on people who answered a part of its images: they are in no row of it."""
    asked = [board for board in found if board.space == PUBLISHED_SPACE]
    people = any(row.kind == "human" for row in store.observer_notes())
    if not (suite.experiments and asked and people):
        return found
    from benchmark.engine.reference_trials import partial_line, partial_people

    sets = store.role_sets(suite.name)
    shown = [
        {**sets.get(board.digest, {}), **{r: d for r, d in board.digests.items() if r and d}}
        for board in asked
    ]
    lines = map(partial_line, partial_people(store, suite, shown))
    noted = {id(board): line for board, line in zip(asked, lines, strict=True) if line}
    return [
        replace(board, notes=(*board.notes, noted[id(board)])) if id(board) in noted else board
        for board in found
    ]


def _beside(store: Store, suite: Suite, rows: Sequence[ScoreRow]) -> Sequence[ScoreRow]:
    """Scores of what is no observer, from one observer per stimulus set: they are the same for all."""
    if not suite.references:
        return ()
    names = {(row.space, row.stimuli): row.observer for row in rows}
    conditions, observers = tuple(suite.references), set(names.values())
    return store.latest_scores(suite=suite.name, conditions=conditions, observers=observers)
