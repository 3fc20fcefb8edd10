"""From stored trials to scores: the metrics, the reference maps beside them, and the conflict images by answer."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from benchmark.contracts import Metric, Score, Trials
from benchmark.stats import ratio_score
from suites.saliency.config import CLICKED, CONFLICT, MASKED, REFERENCES, SaliencyConfig
from suites.saliency.map_plugins import ADDED, BROKEN, added_metrics
from suites.saliency.metrics import EXCHANGED, HEADLINE, METRICS, board_roles, mean_excess, mean_of, stored

_BY_NAME = {metric.name: metric for metric in METRICS}
#: What is also given by answer, and beside another board; and of these, what a map that is no network's has.
_HELD = (HEADLINE, "object_auc_excess", "object_auc")
NO_ANSWER = "a map gives no answer that an exchange could change"


def score(_config: SaliencyConfig, trials: Trials) -> Sequence[Score]:
    """Return the scores of one observer, on each of its sets that has a board, and beside them on the others."""
    boards, scores = board_roles(trials), list[Score]()
    main = [metric for metric in METRICS if not metric.role]
    for role in boards:
        part = trials.of(role)
        scores += [_measured(metric, part, role) for metric in (*main, *added_metrics(ADDED, BROKEN))]
        scores += _beside(part, role, "")
    if not boards:
        why = trials.missing.get(MASKED, "no trials")
        scores += [Score(metric=metric.name, value=None, reason=why) for metric in main]
    for metric in (metric for metric in METRICS if metric.role):
        # A metric that has its own set: where that is not here, the reason stands for it if the user can change it.
        part = metric.own(trials)
        if len(part):
            scores.append(_measured(metric, part, metric.role))
        elif reason := trials.missing.get(metric.role):
            scores.append(Score(metric=metric.name, value=None, reason=reason, role=metric.role))
    conflict = trials.of(CONFLICT) if len(trials) else trials
    if len(conflict):
        # Where the gradient is if the answer was the shape, the texture or another category.
        shape, texture, response = conflict["shape"], conflict["texture"], conflict["response"]
        answers = {"shape": response == shape, "texture": response == texture}
        answers["other"] = ~(answers["shape"] | answers["texture"])
        for name, (answer, given) in product((*_HELD, "target_contrast"), answers.items()):
            part = conflict.where(np.asarray((shape != texture) & given, dtype=bool))
            scores.append(_measured(_BY_NAME[name], part, CONFLICT, f"answered {answer}"))
    if len(conflict) and CONFLICT not in boards:
        scores += (_measured(_BY_NAME[name], conflict, CONFLICT, "conflict images") for name in _HELD)
        scores += _beside(conflict, CONFLICT, "conflict images, ")
    return scores


def _beside(trials: Trials, role: str, where: str) -> Iterator[Score]:
    for name in REFERENCES:
        condition = f"{where}reference: {name}"
        yield Score(metric=HEADLINE, value=None, reason=NO_ANSWER, condition=condition, role=role)
        for metric, ratio in zip(_HELD[1:], (mean_excess(name), mean_of(f"{name}_auc")), strict=True):
            yield _measured(replace(_BY_NAME[metric], ratio=ratio), trials, role, condition)


def _measured(metric: Metric, trials: Trials, role: str, condition: str = "") -> Score:
    if metric.ratio is None:  # of another package, and broken
        return Score(metric=metric.name, value=None, reason=metric.definition, n=len(trials), role=role)
    score = replace(ratio_score(metric, trials, condition=condition), role=role)
    if score.value is None and role != CLICKED and len(trials):
        if not bool((stored(trials, "area") > 0).any()):
            return replace(score, reason="the stimuli have no object masks")
        if metric.name in EXCHANGED:
            return replace(score, reason="no exchange changes its answers: it does not look at the images")
    return score
