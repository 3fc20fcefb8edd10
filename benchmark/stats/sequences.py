"""Confidence sequences: intervals that hold at every n at once, so that sampling may stop at any time. With P(truth in
all of them) >= level, one may look after every chunk and stop once the interval is narrow."""

from math import log
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.stats.intervals import Floats

Whole = NDArray[np.int64]

PRIOR = 0.5  # both parameters of the mixing beta distribution (Jeffreys): near the least regret at every p
HALVINGS = 60  # an interval of length 1 is then shorter than the spacing of floats near 0.01


def confidence_sequence(
    successes: ArrayLike, n: ArrayLike, level: float = 0.95, size: int | None = None
) -> tuple[Any, Any]:
    """Return (low, high) after `successes` of `n` samples, in [0, 1]: floats for numbers, arrays for arrays; n = 0: (0,
    1). With probability >= `level` the intervals at all n contain the truth together, under any rule of stopping.
    Without a `size`, samples are independent, and the truth is the source's p. With `size` N they come from a set of N
    without replacement, in random order, and the truth is the proportion in the set. 0 <= successes <= n (<= size)."""
    k, m = (counts.astype(np.int64) for counts in np.broadcast_arrays(successes, n))
    bound = -log(1 - level)
    low, high = _of_source(k, m, bound) if size is None else _of_set(k, m, size, bound)
    return (float(low), float(high)) if k.ndim == 0 else (low, high)


# A source of independent samples uses the beta-binomial mixture. With q ~ Beta(1/2, 1/2), the ratio of the mixture's
# likelihood of the samples so far to their likelihood under the true p is a martingale of mean 1; by Ville's inequality
# it ever reaches 1/alpha with a probability of at most alpha; the p at which it has not are the interval (Robbins 1970,
# Annals of Mathematical Statistics 41:1397; Howard, Ramdas, McAuliffe and Sekhon 2021, Annals of Statistics 49:1055).


def _of_source(k: Whole | Floats, n: Whole | Floats, bound: float) -> tuple[Floats, Floats]:
    mixture = _log_mixture(k, n)

    def inside(p: Floats) -> NDArray[np.bool_]:
        with np.errstate(divide="ignore", invalid="ignore"):
            right, wrong = k * np.log(p), (n - k) * np.log1p(-p)
        likelihood = np.where(k == 0, 0.0, right) + np.where(k == n, 0.0, wrong)
        return cast(NDArray[np.bool_], mixture - likelihood < bound)

    # The ratio falls up to k/n, where it is at most 1, and rises from there: one crossing on each side.
    best = k / np.maximum(n, 1)
    # The crossing between each `end` and `best` (inside), from the outer side; `end` where that is inside itself.
    end = np.stack([np.zeros_like(best), np.ones_like(best)])
    outer, inner = end, np.broadcast_to(best, end.shape)
    for _ in range(HALVINGS):
        middle = (outer + inner) / 2
        within = inside(middle)
        outer, inner = np.where(within, outer, middle), np.where(within, middle, inner)
    low, high = np.where(inside(end), end, outer)
    return np.where(n == 0, 0.0, low), np.where(n == 0, 1.0, high)


# A finite set in random order without replacement uses the prior-posterior ratio (Waudby-Smith and Ramdas 2020, NeurIPS
# 33), with the beta-binomial prior of the same mixture on the number of successes in the set. It is narrower, and exact
# once the whole set was sampled.


def _of_set(k: Whole, n: Whole, size: int, bound: float) -> tuple[Floats, Floats]:
    """Return the same over the number of successes in the set, a whole number between k and size - (n - k)."""
    # Of ordered draws: (mixture of k) / ((in set falling k) (others falling n - k) / (size falling n)).
    constant = _log_mixture(k, n) + _log_falling(np.full_like(n, size), n)

    def inside(total: Whole) -> NDArray[np.bool_]:
        likelihood = _log_falling(total, k) + _log_falling(size - total, n - k)
        return constant - likelihood < bound

    least, most = k, size - (n - k)
    # The likelihood is log-concave in the total, greatest at k (size + 1) / n, where the ratio is at most 1.
    best = np.clip(k * (size + 1) // np.maximum(n, 1), least, most)
    ends = []
    for end in (least, most):  # the whole number farthest from `best` (inside) towards `end` that is inside
        toward = np.sign(end - best)
        near, far = np.zeros_like(best), np.abs(end - best)  # steps: inside, not yet known to be
        while (near < far).any():
            middle = (near + far + 1) // 2
            within = inside(best + toward * middle)
            near, far = np.where(within, middle, near), np.where(within, far, middle - 1)
        ends.append((best + toward * near) / max(size, 1))
    return np.where(n == 0, 0.0, ends[0]), np.where(n == 0, 1.0, ends[1])


def _log_mixture(k: Whole | Floats, n: Whole | Floats) -> Floats:
    """Return the log likelihood of k right draws of n in one order, averaged over p ~ Beta(PRIOR, PRIOR)."""
    from scipy.special import betaln

    return np.asarray(betaln(k + PRIOR, n - k + PRIOR) - betaln(PRIOR, PRIOR))


def _log_falling(total: Whole, draws: Whole) -> Floats:
    """Return log(total (total - 1) ... over `draws` factors), draws <= total."""
    from scipy.special import gammaln

    return np.asarray(gammaln(total + 1) - gammaln(total - draws + 1))
