"""Boards without the conditions that one of their observers was trained on."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmark.contracts import Suite, Trials
from benchmark.display import counted
from benchmark.failures import BenchError
from benchmark.leaderboard.board import boards, noted
from benchmark.leaderboard.board_model import Board
from benchmark.observer_trials import ScoredTrials, Shown, scored_trials
from benchmark.store import ScoreRow, StimuliNote, Store


def unseen_boards(
    store: Store, suite: Suite, rows: Sequence[ScoreRow], sets: Mapping[str, StimuliNote], by: str | None = None
) -> list[Board]:
    """Return the boards of `rows`, each without the conditions that one of its observers was trained on (its notes list
    them) and without scores against references. Raises BenchError if the suite has no `seen`."""
    if suite.seen is None:
        raise BenchError(f"--unseen-only: suite '{suite.name}' does not state which conditions a recipe trains on.")
    first = {row.set_id: row for row in reversed(rows)}
    whole = {row.set_id: row.stimuli for row in rows if not row.role}
    groups: dict[Shown, list[tuple[ScoredTrials, Trials]]] = defaultdict(list)
    for scored in scored_trials(store, suite):
        if scored.scores.id in first and scored.observations:
            groups[scored.shown].append((scored, scored.read(store)))
    tables: list[Board] = []
    for members in groups.values():
        seen: set[str] = set()
        for trials in (trials for _, trials in members if trials.training and len(trials)):
            known = np.asarray(suite.seen(trials.training, trials), dtype=bool)
            seen |= set(np.unique(trials["condition"][known]).tolist())
        again: list[ScoreRow] = []
        for scored, trials in members:
            stimuli, stored = scored.scores.stimuli, first[scored.scores.id]
            digests = {"": whole.get(stored.set_id) or " ".join(sorted(stimuli.values())), **stimuli}
            left = trials.where(~np.isin(trials["condition"], sorted(seen)))
            made = (score for score in suite.score(suite.config, left) if not score.condition)
            again += [stored._replace(**{**vars(one), "stimuli": digests.get(one.role, "")}) for one in made]
        levels = Counter(condition.partition("/")[0] for condition in sorted(seen))
        named = ", ".join(f"{name} ({counted(n, 'level')})" for name, n in levels.items())
        note = f"left out, as an observer here was trained on them: {named}"
        for board in boards(again, suite, sets, by=by):
            title = f"{board.title}, without {', '.join(levels)}" if seen else board.title
            text = note if seen else "no observer here was trained on any condition"
            tables.append(noted(replace(board, title=title), text))
    return sorted(tables, key=lambda board: -len(board.rows) - len(board.references))
