"""The human metrics of pairs of observers, and what each image adds to them to first order."""

import numpy as np

from benchmark.contracts import Array
from benchmark.stats.agreement import expected_consistency, kappa_of
from benchmark.stats.bootstrap import Floats

#: The largest difference of two values of each metric.
LIMITS = {"error_consistency": 2.0, "observed_consistency": 1.0, "accuracy_difference": 1.0}


def with_each(metric: str, one: Array, others: Array) -> tuple[Floats, Floats]:
    """Values of one observer with each of k others [k], and n times what each image adds to them [n, k].

    one: [n], others: [n, k], bool: who was right. The additions sum to 0 over images.
    """
    x, y = one.astype(float)[:, None], others.astype(float)
    p, q = x.mean(axis=0), y.mean(axis=0)
    if metric == "accuracy_difference":
        return (p - q) ** 2, 2 * (p - q) * ((x - p) - (y - q))
    same = (x == y).astype(float)
    observed = same.mean(axis=0)
    if metric == "observed_consistency":
        return observed, same - observed
    expected = expected_consistency(p, q)
    kappa, room = kappa_of(observed, expected), np.where(expected < 1, 1 - expected, 1.0)
    chance = (2 * q - 1) * (x - p) + (2 * p - 1) * (y - q)
    return kappa, ((same - observed) - (1 - kappa) * chance) / room


def among(metric: str, right: Array) -> tuple[Floats, Floats]:
    """`with_each` of all pairs of k observers: [k, k] and [n, k, k], 0 on the diagonal."""
    n, k = right.shape
    values, adds = np.zeros((k, k)), np.zeros((n, k, k))
    for i in range(k):
        values[i], adds[:, i] = with_each(metric, right[:, i], right)
        values[i, i], adds[:, i, i] = 0.0, 0.0
    return values, adds
