"""Ranked boards and transfer matrices from stored scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmark import plugins
from benchmark.api.chosen_observers import Wanted
from benchmark.api.opening import chosen_suites, notes_of, reading
from benchmark.api.standing import standing
from benchmark.errors import BenchError, unknown_name
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.contracts import Suite
    from benchmark.leaderboard import Board
    from benchmark.leaderboard.transfer import Matrix
    from benchmark.leaderboard.transfer_tests import Claim
    from benchmark.store import ScoreRow, Store


#: Decision space in which people answered.
PUBLISHED_SPACE = "geirhos16"


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
    from benchmark.leaderboard import boards, ranking
    from benchmark.leaderboard.held_out import hinted, unseen_boards

    settings = read_settings(db)
    shelf = plugins.find_suites()
    if by is not None and suite in (None, by) and by.partition(":")[0] in shelf.suites:
        suite, by = by, None
    found: list[Board] = []
    chosen_rows = wanted or Wanted(models or "")
    with reading(settings) as store:
        chosen = chosen_suites(store, suite, shelf)
        if by is not None and not any(by in {m.name for m in s.metrics} for s in chosen):
            raise unknown_name(
                "metric",
                by,
                {*shelf.suites, *(m.name for s in chosen for m in s.metrics)},
                "`bench suites show NAME`.",
            )
        if unseen_only and suite is None:
            chosen = [one for one in chosen if one.seen is not None]
        sets, now = notes_of(store), standing(store, settings)
        identities = {row.name: row.identity for row in store.observers() if row.kind == "network"}
        for one in chosen:
            if by is None or by in {m.name for m in one.metrics}:
                scores = store.latest_scores(suite=one.name, conditions=("",))
                kept = chosen_rows.keep(store, scores)
                rows = [now.marked(row) for row in kept if now.shown(row, chosen_rows.models, hide)]
                rows = [*rows, *_beside(store, one, rows)]
                if unseen_only:
                    found += unseen_boards(store, one, rows, sets, by)
                else:
                    found += _with_partial(
                        store, one, list(map(hinted, boards(rows, one, sets, by=by)))
                    )
        found = [ranking.with_twins(board, identities) for board in found]
    return [ranking.flagged_last(board) for board in found] if flagged_last else found


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
    from benchmark.leaderboard.transfer import matrix
    from benchmark.leaderboard.transfer_tests import judged
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
    from benchmark.engine.partial_answers import partial_line, partial_people

    asked = [board for board in found if board.space == PUBLISHED_SPACE]
    if not (suite.experiments and asked):
        return found
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
