"""From stored trials to scores: the curve, its summaries, and the flags of the trust report on each of them."""

from collections.abc import Sequence
from dataclasses import replace
from math import floor, sqrt

import numpy as np

from benchmark.contracts import Ratio, Score, Trials
from benchmark.stats import ratio_score
from benchmark.stats.ratios import share
from benchmark.stimuli.roles import ROLE, STAND_INS
from suites.adversarial.config import CLOSE, AdversarialConfig, Threat, reference_budget
from suites.adversarial.metrics import LISTED, beyond_ce, protocol_metrics, robust_at, stands
from suites.adversarial.trust.report import flags

Z95 = 1.959963984540054
COLUMNS = {"fgsm_accuracy": "fgsm_broken", "transfer_accuracy": "transfer_broken"}
REMARKS = {**STAND_INS, LISTED: "evenly spaced images, not RobustBench's list"}


def score(config: AdversarialConfig, trials: Trials) -> Sequence[Score]:
    """Return the scores of one observer; each carries every flag of the trust report."""
    metrics = {metric.name: metric for metric in protocol_metrics(config)}
    if not len(trials):
        return [Score(metric=name, value=None, reason="no trials", role=ROLE) for name in metrics]
    marks = (*(text for key, text in REMARKS.items() if key in trials.missing), *flags(config, trials))

    def scored(name: str, ratio: Ratio, condition: str = "") -> Score:
        return ratio_score(replace(metrics[name], ratio=ratio), trials, condition=condition)

    scores = [ratio_score(metric, trials) for metric in metrics.values() if metric.ratio is not None]
    scores.append(scored("gradient_passes", share(lambda trials: trials["passes"])))
    for threat in config.threats:
        norm, beyond = threat.norm, f"beyond_ce_{threat.norm}"
        scores.append(median_score(threat, trials))
        if config.stages:
            scores.append(scored(beyond, beyond_ce(norm, reference_budget(threat))))
        for index, epsilon in enumerate(threat.epsilons):
            label = threat.label(epsilon)
            scores.append(scored("robust_accuracy", robust_at(norm, epsilon), label))
            if config.stages:
                scores.append(scored(beyond, beyond_ce(norm, epsilon), label))
            known = [name for name in COLUMNS if norm == "linf" and name in metrics]
            scores += [scored(name, stands(COLUMNS[name], index), label) for name in known]
    return [replace(score, flags=(*score.flags, *marks)) for score in scores]


def median_score(threat: Threat, trials: Trials) -> Score:
    """Return the median smallest perturbation of clean-correct images; what nothing broke is larger than all."""
    right = trials["clean_correct"].astype(bool)
    within = trials[f"{threat.norm}_epsilon"] <= max(threat.epsilons) * CLOSE
    sizes = np.sort(np.where(within, trials[f"{threat.norm}_size"], np.inf)[right]) * threat.scale
    name, n = f"median_{threat.norm}", len(sizes)
    start = Score(metric=name, value=None, n=n, excluded=len(trials) - n, role=ROLE)
    if not n:
        return replace(start, reason="no image is answered correctly")
    value, half = float(np.median(sizes)), Z95 * sqrt(n) / 2
    if not np.isfinite(value):
        return replace(start, reason=f"half the images or more survive {threat.label(threat.epsilons[-1])}")
    low, high = sizes[max(0, floor(n / 2 - half))], sizes[min(n - 1, floor(n / 2 + half))]
    if not np.isfinite(high):
        return replace(start, value=value, flags=("no upper bound of the interval",))
    return replace(start, value=value, low=float(low), high=float(high), method="order statistics")
