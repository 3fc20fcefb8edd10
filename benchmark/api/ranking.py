"""Ranked boards and transfer matrices from stored scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from benchmark import plugins
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
)
from benchmark.api.options import By, Db, FlaggedLast, Names, Observers, Option, Unseen, joined
from benchmark.api.published_scores import published_boards
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
    suite: Annotated[str | None, Option("Its boards; without one, those of all suites.")] = None,
    *,
    by: By = None,
    models: Observers = None,
    hide: Annotated[
        Names | None, Option("Without these observers.", "--hide", metavar="PATTERN")
    ] = None,
    kind: Annotated[
        Names,
        Option(f"Only these: {', '.join(KINDS)}.", "--kind", metavar="PATTERN"),
    ] = "",
    source: Annotated[
        Names,
        Option("Only observers of this published collection.", "--source", metavar="PATTERN"),
    ] = "",
    recipe: Annotated[
        Names,
        Option(
            "Only observers with this recipe tag: 'stylised', 'adversarial*'.",
            "--recipe",
            metavar="PATTERN",
        ),
    ] = "",
    family: Annotated[
        Names,
        Option("Only this family of networks: resnet, vit, clip.", "--family", metavar="PATTERN"),
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
        return ranked, apart, families(store, PUBLISHED)


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
        chosen = [one for one in chosen_suites(store, suite, shelf) if degrades(one)]
        if suite and not chosen:
            raise BenchError(
                f"suite '{suite}' shows no degraded images that a matrix could be made of."
            )
        judge = next((one for one in shelf.suites.values() if one.seen is not None), None)
        found = pools(store, chosen, judge)
    kept = [pool.only(joined(models).split(",")) if models else pool for pool in found]
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
