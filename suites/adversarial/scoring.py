"""From stored trials to scores: the curve, its summaries, and the flags of the trust report on each of them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import floor, sqrt

import numpy as np

from benchmark.contracts import Metric, Ratio, Score, Trials
from benchmark.stats import ratio_score
from suites.adversarial.config import Config, NormName, Threat
from suites.adversarial.metrics import METRICS, REFERENCE, area, fgsm_at, robust_at
from suites.adversarial.protocol import HELD_OUT, ROLE
from suites.adversarial.trust import flags

Z95 = 1.959963984540054


def score(config: Config, trials: Trials) -> Sequence[Score]:
    """Scores of one observer. A budget that was not attacked gives a score without value."""
    if not len(trials):
        return [Score(m.name, None, "no trials", role=ROLE) for m in METRICS]
    found = flags(config, trials)
    if HELD_OUT in trials.missing:
        found = ("training images", *found)
    return [replace(one, flags=(*one.flags, *found)) for one in _scores(config, trials)]


def _scores(config: Config, trials: Trials) -> Iterator[Score]:
    threats = {threat.norm: threat for threat in config.threats}
    for name in ("clean_accuracy", "gradient_passes"):
        yield ratio_score(metric_named(name), trials)
    yield from _headlines(threats, trials)
    for threat in config.threats:
        yield from _conditions("robust_accuracy", threat, trials)
    for norm in ("linf", "l2"):
        yield from _summaries(norm, threats.get(norm), trials)
    if "linf" in threats:
        yield from _fast(threats["linf"], trials)


def _headlines(threats: dict[NormName, Threat], trials: Trials) -> Iterator[Score]:
    budgets: tuple[tuple[str, NormName, float], ...] = (
        ("robust_accuracy", "linf", REFERENCE),
        ("robust_linf_1", "linf", 1 / 255),
        ("robust_l2_1", "l2", 1.0),
    )
    for name, norm, epsilon in budgets:
        tried = threats[norm].epsilons if norm in threats else ()
        if np.isclose(tried, epsilon).any():
            yield ratio_score(metric_named(name), trials)
        else:
            yield Score(name, None, f"not attacked at {norm} {epsilon:.4g}", role=ROLE)


def _conditions(name: str, threat: Threat, trials: Trials) -> Iterator[Score]:
    for epsilon in threat.epsilons:
        metric = _with(metric_named(name), robust_at(threat.norm, epsilon))
        yield ratio_score(metric, trials, condition=threat.label(epsilon))


def _fast(threat: Threat, trials: Trials) -> Iterator[Score]:
    metric = metric_named("fgsm_accuracy")
    for column, epsilon in enumerate(threat.epsilons):
        one = ratio_score(_with(metric, fgsm_at(column)), trials, condition=threat.label(epsilon))
        yield one
        if np.isclose(epsilon, REFERENCE):
            yield replace(one, condition="")


def _summaries(norm: NormName, threat: Threat | None, trials: Trials) -> Iterator[Score]:
    if threat is None:
        for name in (f"auc_{norm}", f"median_{norm}"):
            yield Score(name, None, f"not attacked in {norm}", role=ROLE)
        return
    yield ratio_score(_with(metric_named(f"auc_{norm}"), area(threat)), trials)
    yield median_score(threat, trials)


def median_score(threat: Threat, trials: Trials) -> Score:
    """The median over clean-correct images of the smallest perturbation found, in the threat's printed unit; images
    that nothing broke within its largest epsilon count as larger than all. Interval: order statistics at n/2 -+
    1.96 sqrt(n)/2 (normal approximation to the binomial)."""
    right = trials["clean_correct"].astype(bool)
    within = trials[f"{threat.norm}_epsilon"] <= max(threat.epsilons) * (1 + 1e-6)
    sizes = np.sort(np.where(within, trials[f"{threat.norm}_size"], np.inf)[right]) * threat.scale
    name, n = f"median_{threat.norm}", len(sizes)
    start = Score(name, None, n=n, excluded=len(trials) - n, role=ROLE)
    if not n:
        return replace(start, reason="no image is answered correctly")
    value, half = float(np.median(sizes)), Z95 * sqrt(n) / 2
    if not np.isfinite(value):
        return replace(
            start, reason=f"half the images or more survive {threat.label(threat.epsilons[-1])}"
        )
    low, high = sizes[max(0, floor(n / 2 - half))], sizes[min(n - 1, floor(n / 2 + half))]
    if not np.isfinite(high):
        return replace(start, value=value, flags=("no upper bound of the interval",))
    return replace(start, value=value, low=float(low), high=float(high), method="order statistics")


def metric_named(name: str) -> Metric:
    """A metric of this suite."""
    return next(metric for metric in METRICS if metric.name == name)


def _with(metric: Metric, ratio: Ratio) -> Metric:
    return replace(metric, ratio=ratio)
