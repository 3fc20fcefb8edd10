"""Boards without the conditions that any of their observers was trained on: all rows stand on the same cells.

Nothing stored changes: each observer's trials are scored again without those conditions."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from benchmark.contracts import Suite, Trials
from benchmark.display import counted
from benchmark.errors import BenchError
from benchmark.leaderboard.board import boards, noted
from benchmark.leaderboard.model import Board
from benchmark.leaderboard.trial_pools import degradation_of
from benchmark.store import ScoreRow, StimuliNote, Store


class _Scored(NamedTuple):
    """One score set: a row of it, role -> its stimuli ("": all of them), and the observer's own trials behind it."""

    row: ScoreRow
    stimuli: Mapping[str, str]
    trials: Trials


def unseen_boards(
    store: Store, suite: Suite, rows: Sequence[ScoreRow], sets: Mapping[str, StimuliNote], by: str | None = None
) -> list[Board]:
    """The boards of `rows`, each without the conditions that one of its observers was trained on; its notes say which.
    Scores against references (`Suite.against`) are not made again. Raises BenchError if the suite does not tell what a
    recipe has seen."""
    if suite.seen is None:
        raise BenchError(
            f"suite '{suite.name}' does not tell which conditions a recipe trains on; --unseen-only needs that it does."
        )
    groups: dict[tuple[str, str], list[_Scored]] = defaultdict(list)
    for scored in _score_sets(store, suite, rows):
        groups[scored.row.space, scored.stimuli[""]].append(scored)
    tables: list[Board] = []
    for members in groups.values():
        seen: set[str] = set()
        for trials in (scored.trials for scored in members if scored.trials.training and len(scored.trials)):
            known = np.asarray(suite.seen(trials.training, trials), dtype=bool)
            seen |= set(np.unique(trials["condition"][known]).tolist())
        again = [row for scored in members for row in _without(suite, scored, sorted(seen))]
        levels = Counter(map(degradation_of, sorted(seen)))
        named = ", ".join(f"{name} ({counted(n, 'level')})" for name, n in levels.items())
        note = f"left out, as an observer here was trained on them: {named}"
        for board in boards(again, suite, sets, by=by):
            title = f"{board.title}, without {', '.join(levels)}" if seen else board.title
            text = note if seen else "no observer here was trained on any condition"
            tables.append(noted(replace(board, title=title), text))
    return sorted(tables, key=lambda board: -len(board.rows) - len(board.references))


def _score_sets(store: Store, suite: Suite, rows: Sequence[ScoreRow]) -> Iterable[_Scored]:
    training = {row.name: row.training for row in store.observers()}
    newest: dict[str, list[ScoreRow]] = defaultdict(list)
    for row in rows:
        newest[row.set_id].append(row)
    own: dict[str, set[str]] = defaultdict(set)
    for observation in store.observations(suite=suite.name):
        own[observation.observer_name].add(observation.key)
    for set_id, scores in newest.items():
        facts, name = store.provenance(set_id), scores[0].observer
        observed = [observation for observation in facts["observations"] if observation["key"] in own[name]]
        if observed:
            missing = observed[0]["details"].get("missing") or {}
            trials = store.trials([observation["key"] for observation in observed], missing)
            stimuli: dict[str, str] = facts["stimuli"]
            whole = next((row.stimuli for row in scores if not row.role), "") or " ".join(sorted(stimuli.values()))
            yield _Scored(scores[0], {**stimuli, "": whole}, replace(trials, training=training[name]))


def _without(suite: Suite, scored: _Scored, seen: Sequence[str]) -> Iterable[ScoreRow]:
    """The scores of a score set without some conditions, in the form of stored ones."""
    left = scored.trials.where(~np.isin(scored.trials["condition"], seen))
    interval = ("low", "high", "level", "method")
    names = ("metric", "condition", "role", "value", "reason", *interval, "n", "excluded", "flags")
    for score in suite.score(suite.config, left):
        if not score.condition:
            fields = {name: getattr(score, name) for name in names}
            yield scored.row._replace(stimuli=scored.stimuli.get(score.role, ""), **fields)
