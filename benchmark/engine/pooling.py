"""People pooled: a ratio metric over the trials of several people, with an interval about other people."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmark.contracts import Metric, Score, Trials
from benchmark.stats import clustered_variance, ratio_influence
from benchmark.stats.clusters import bounded_interval, t_interval
from benchmark.stats.ratios import indicators, ratio_arrays
from benchmark.stimuli.catalogue import any_answer


def pooled_score(metric: Metric, people: Sequence[Trials]) -> Score | None:
    """A ratio metric over all people's trials together; the interval is about other people on the same images.
    None: not measured.

    n: trials that count, of all people. Interval: variance of the ratio over people to first order, t quantile
    (`stats.clusters`). Who only ever gave no answer, or has no trial that counts, is no person more.
    """
    if metric.ratio is None:
        return None
    parts = [part for trials in people if _answered(part := metric.own(trials))]
    if len(parts) < 2:
        return None
    arrays = [ratio_arrays(metric, part)[:2] for part in parts]
    n = sum(int((den != 0).sum()) for _, den in arrays)
    score = Score(metric.name, None, n=n, excluded=sum(map(len, parts)) - n, role=metric.role)
    sums = np.array([[num.sum(), den.sum()] for num, den in arrays])
    if not sums[:, 1].sum():
        return replace(score, reason="no trial of anybody counts")
    value = float(sums[:, 0].sum() / sums[:, 1].sum())
    sums = sums[sums.any(axis=1)]
    if len(sums) < 2:
        return replace(score, value=value, flags=("one person: no interval",))
    over = clustered_variance(ratio_influence(*sums.T), [np.arange(len(sums))])
    limits = (0.0, 1.0) if all(indicators(*pair) for pair in arrays) else metric.bounds
    if limits is not None:
        low, high = bounded_interval(value, over, limits)
    else:
        low, high = t_interval(value, over)
    return replace(score, value=value, low=low, high=high, method=f"t over {len(sums)} people")


def _answered(trials: Trials) -> bool:
    """Whether there is an answer among the trials; what is measured without answers counts as one."""
    return bool(len(trials)) and any_answer(trials.columns.get("response", ("measured",)))
