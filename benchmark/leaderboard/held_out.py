"""Boards without the conditions that any of their observers was trained on: all rows stand on the same cells.

Nothing stored changes: each observer's trials are scored again without those conditions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from benchmark.contracts import Score, Suite, Trials
from benchmark.errors import BenchError
from benchmark.leaderboard.board import boards
from benchmark.leaderboard.model import Board
from benchmark.leaderboard.trial_pools import degradation_of

if TYPE_CHECKING:
    from benchmark.store import ScoreRow, StimuliNote, Store


@dataclass(frozen=True)
class _Scored:
    """One score set: a row of it, its stimuli by role, and the observer's own trials behind it."""

    row: ScoreRow
    stimuli: Mapping[str, str]
    whole: str
    trials: Trials


def unseen_boards(
    store: Store, suite: Suite, rows: Sequence[ScoreRow], sets: Mapping[str, StimuliNote], by: str | None = None
) -> list[Board]:
    """The boards of `rows`, each without the conditions that one of its observers was trained on; its notes say which.

    Scores against references (`Suite.against`) are not made again. BenchError where the suite does not tell what a
    recipe has seen.
    """
    if suite.seen is None:
        raise BenchError(
            f"suite '{suite.name}' does not tell which conditions a recipe trains on; --unseen-only needs that it does."
        )
    groups: dict[tuple[str, str], list[_Scored]] = defaultdict(list)
    for one in _score_sets(store, suite, rows):
        groups[one.row.space, one.whole].append(one)
    found: list[Board] = []
    for members in groups.values():
        seen = sorted(set().union(*(_seen(suite, one.trials) for one in members)))
        made = [row for one in members for row in _scored_again(suite, one, seen)]
        found += [_told(board, seen) for board in boards(made, suite, sets, by=by)]
    return sorted(found, key=lambda board: -len(board.rows) - len(board.references))


def _score_sets(store: Store, suite: Suite, rows: Sequence[ScoreRow]) -> Iterable[_Scored]:
    training = {row.name: row.training for row in store.observers()}
    newest: dict[str, list[ScoreRow]] = defaultdict(list)
    for row in rows:
        newest[row.set_id].append(row)
    own: dict[str, set[str]] = defaultdict(set)
    for observation in store.observations(suite=suite.name):
        own[observation.observer_name].add(observation.key)
    for set_id, mine in newest.items():
        facts, name = store.provenance(set_id), mine[0].observer
        observed = [one for one in facts["observations"] if one["key"] in own[name]]
        if observed:
            missing = observed[0]["details"].get("missing") or {}
            trials = store.trials([one["key"] for one in observed], missing)
            stimuli: dict[str, str] = facts["stimuli"]
            whole = next((row.stimuli for row in mine if not row.role), "")
            yield _Scored(
                mine[0], stimuli, whole or " ".join(sorted(stimuli.values())), replace(trials, training=training[name])
            )


def _seen(suite: Suite, trials: Trials) -> set[str]:
    """Conditions that the observer's recipe trains on."""
    assert suite.seen is not None
    if not trials.training or not len(trials):
        return set()
    known = np.asarray(suite.seen(trials.training, trials), dtype=bool)
    return set(np.unique(trials["condition"][known]).tolist())


def _scored_again(suite: Suite, one: _Scored, seen: Sequence[str]) -> list[ScoreRow]:
    """The scores of a score set without some conditions, in the form of stored ones."""
    left = one.trials.where(~np.isin(one.trials["condition"], list(seen)))
    scores = suite.score(suite.config, left)
    return [_row(one, score) for score in scores if not score.condition]


def _row(one: _Scored, score: Score) -> ScoreRow:
    names = ("metric", "condition", "role", "value", "reason", "low", "high", "level", "method")
    fields = {name: getattr(score, name) for name in (*names, "n", "excluded", "flags")}
    stimuli = one.stimuli.get(score.role, "") if score.role else one.whole
    return one.row._replace(stimuli=stimuli, **fields)


def _told(board: Board, seen: Sequence[str]) -> Board:
    """The board with what was left out in its title and notes."""
    if not seen:
        return replace(board, notes=(*board.notes, "no observer here was trained on any condition"))
    levels: dict[str, int] = defaultdict(int)
    for condition in seen:
        levels[degradation_of(condition)] += 1
    named = [f"{name} ({n} level{'s' * (n > 1)})" for name, n in levels.items()]
    title = f"{board.title}, without {', '.join(levels)}"
    note = f"left out, as an observer here was trained on them: {', '.join(named)}"
    return replace(board, title=title, notes=(*board.notes, note))
