"""From stored trials to scores: every metric on its own role, and the shape bias of each shape category."""

from collections.abc import Sequence

import numpy as np

from benchmark.contracts import Score, Trials
from benchmark.stats import ratio_score
from benchmark.stimuli.experiments import Experiment, unanswerable
from benchmark.stimuli.image_names import NO_ANSWER, any_answer
from suites.cue_conflict.metrics import GRADED, metrics_of

ANSWERS_ALONE = "answers alone, without probabilities"
SILENT = f"no answer but '{NO_ANSWER}'"


def score(config: Experiment | None, trials: Trials) -> Sequence[Score]:
    """Return the scores of one observer. A planned but missing role gives a score without value."""
    scores = []
    for metric in metrics_of(config):
        shown = trials.of(metric.role) if len(trials) else trials
        if metric.role in trials.missing:
            scores.append(Score(metric=metric.name, value=None, reason=trials.missing[metric.role], role=metric.role))
        elif len(shown) and not any_answer(shown["response"]):
            scores.append(Score(metric=metric.name, value=None, reason=SILENT, excluded=len(shown), role=metric.role))
        elif len(shown) and metric.name == GRADED and "probability" not in shown.columns:
            scores.append(
                Score(metric=metric.name, value=None, reason=ANSWERS_ALONE, excluded=len(shown), role=metric.role)
            )
        elif len(shown):
            scores.append(ratio_score(metric, shown, flags=unanswerable(config, shown)))
            for name in filter(None, shown.coded("condition").used if config else ()):
                scores.append(ratio_score(metric, shown, condition=name))
            for category in np.unique(shown["shape"]).tolist() if metric.headline else ():
                scores.append(ratio_score(metric, shown.where(shown["shape"] == category), condition=category))
    return scores
