"""From stored trials to scores: every metric on its own role, and the shape bias of each shape category."""

from collections.abc import Iterator, Sequence

import numpy as np

from benchmark.contracts import Metric, Score, Trials
from benchmark.stats import ratio_score
from benchmark.stimuli.catalogue import NO_ANSWER, any_answer
from suites.cue_conflict.metrics import METRICS

SILENT = f"no answer but '{NO_ANSWER}'"


def score(_config: None, trials: Trials) -> Sequence[Score]:
    """Scores of one observer. A role that was planned but is not there gives a score without value."""
    return list(_scores(trials))


def _scores(trials: Trials) -> Iterator[Score]:
    present = set(np.unique(trials["role"]).tolist()) if len(trials) else set()
    for metric in METRICS:
        if metric.role in trials.missing:
            yield Score(metric.name, None, trials.missing[metric.role], role=metric.role)
        elif metric.role in present:
            mine = trials.of(metric.role)
            if any_answer(mine["response"]):
                yield from _measured(metric, mine)
            else:
                yield Score(metric.name, None, SILENT, excluded=len(mine), role=metric.role)


def _measured(metric: Metric, trials: Trials) -> Iterator[Score]:
    yield ratio_score(metric, trials)
    if metric.headline:
        for category in np.unique(trials["shape"]).tolist():
            yield ratio_score(metric, trials.where(trials["shape"] == category), condition=category)
