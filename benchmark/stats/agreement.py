"""Do two observers err on the same images? Contingency table, observed and expected consistency, kappa.

Error consistency: Geirhos, Meding & Wichmann 2020, NeurIPS, equations 1-3. For observers a and b with accuracies p_a,
p_b on the same n images: c_obs is the share of images on which both are right or both are wrong, c_exp = p_a p_b + (1 -
p_a)(1 - p_b), kappa = (c_obs - c_exp) / (1 - c_exp). Only right or wrong enters, not which wrong answer. Where c_obs =
1 kappa is 1 by definition (this covers c_exp = 1: both perfect, both always wrong). Kappa is negative where two
observers agree less than chance; it is left so."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Trials
from benchmark.contracts.trials import KEY
from benchmark.stats.clusters import clustered_variance
from benchmark.stats.intervals import Floats, normal_quantile, percentiles, t_quantile

Flags = NDArray[np.bool_]
RESAMPLES, LEVEL = 1000, 0.95
#: Images that the prior holds: both right, only a, only b, neither. Half a one for each of "both right", "both wrong"
#: and "apart", which is two cells; half a one in each of the four would pull towards disagreement.
PRIOR = (0.5, 0.25, 0.25, 0.5)


@dataclass(frozen=True)
class Contingency:
    """Images by who was right: both, only a, only b, neither."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def n(self) -> int:
        """All images."""
        return self.both + self.only_a + self.only_b + self.neither


@dataclass(frozen=True)
class Agreement:
    """Two observers on `table.n` common images. kappa None: undefined, `reason` says why. low, high: 95 % interval of
    kappa, made by `method` (None from fewer than two images)."""

    table: Contingency
    accuracy_a: float | None = None
    accuracy_b: float | None = None
    observed: float | None = None
    expected: float | None = None
    kappa: float | None = None
    low: float | None = None
    high: float | None = None
    method: str = ""
    reason: str = ""


@dataclass(frozen=True)
class AgreementMatrix:
    """All pairs of k observers, each array [k, k] and symmetric: NaN where n, the number of common images, is 0."""

    observed: Floats
    expected: Floats
    kappa: Floats
    n: NDArray[np.int64]


@dataclass(frozen=True)
class Matched:
    """Right answers of several observers, trial by trial, sorted by role, condition, stimulus. right, present: [n, k]
    bool; role, condition, stimulus: [n] text; left_out: [k], trials of each observer that are not among the n."""

    right: Flags
    present: Flags
    role: Array
    condition: Array
    stimulus: Array
    left_out: tuple[int, ...]


def contingency(a: Array, b: Array) -> Contingency:
    """Counts from right answers a, b [n] bool on the same images. ValueError where the lengths differ."""
    first, second = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"two observers need the same images, got {first.shape} and {second.shape}")
    both, only_a = int((first & second).sum()), int((first & ~second).sum())
    only_b = int((~first & second).sum())
    return Contingency(both, only_a, only_b, len(first) - both - only_a - only_b)


def expected_consistency(p_a: Array | float, p_b: Array | float) -> Floats:
    """c_exp of two accuracies in [0, 1], elementwise."""
    first, second = np.asarray(p_a, dtype=float), np.asarray(p_b, dtype=float)
    return np.asarray(first * second + (1 - first) * (1 - second))


def kappa_of(observed: Array | float, expected: Array | float) -> Floats:
    """Kappa from c_obs and c_exp in [0, 1], elementwise; exactly 1 where c_obs = 1."""
    seen, chance = np.asarray(observed, dtype=float), np.asarray(expected, dtype=float)
    room = np.where(seen == 1, 1.0, 1 - chance)
    return np.where(seen == 1, 1.0, (seen - chance) / np.where(room == 0, 1.0, room))


def pairwise(right: Array, present: Array | None = None) -> AgreementMatrix:
    """All pairs at once, by matrix products, from right answers [n images, k observers]. present: [n, k] bool, which
    observer answered which image (None: all did); a pair is taken on the images that both answered, and is NaN where
    there are none. Square roots of weights make images count by their weights."""
    there = np.ones(np.shape(right)) if present is None else np.asarray(present, dtype=float)
    yes = np.asarray(right, dtype=float) * there
    no = there - yes
    n = there.T @ there
    some = np.where(n > 0, n, np.nan)
    observed = (yes.T @ yes + no.T @ no) / some
    p = (yes.T @ there) / some  # [i, j]: accuracy of i on the images that j answered, too
    expected = expected_consistency(p, p.T)
    return AgreementMatrix(observed, expected, kappa_of(observed, expected), n.astype(np.int64))


def agreement(a: Array, b: Array, clusters: Sequence[Array] = (), *, resamples: int = RESAMPLES) -> Agreement:
    """Kappa of right answers a, b [n] bool on the same images, with a 95 % interval.

    The interval is that of the four counts under Jeffreys' prior of three outcomes, both right, both wrong and apart
    (`PRIOR`; Brown, Cai & DasGupta 2001, Statistical Science 16:101): resampling images gives one of no width where no
    image tells the two apart. It depends neither on the order of the images nor, in cost, on their number. clusters:
    what images share, [n] each (`benchmark.stats.clusters`): the counts are then scaled to the number of independent
    images that has kappa's two-way cluster-robust variance. ValueError where the lengths differ."""
    table = contingency(a, b)
    if table.n == 0:
        return Agreement(table, reason="no image in common")
    counts = np.array([table.both, table.only_a, table.only_b, table.neither], dtype=float)
    p_a, p_b, seen, chance, kappa = _of_counts(counts[None, :])[:, 0].tolist()
    point = Agreement(table, p_a, p_b, seen, chance, kappa)
    if table.n < 2:
        return point
    share = _independent_share(a, b, clusters) if clusters else 1.0
    drawn = np.random.default_rng(0).dirichlet(counts * share + PRIOR, size=resamples)
    low, high = percentiles(_of_counts(drawn)[4], LEVEL)
    method = "Jeffreys" + (", clustered" if clusters else "")
    return replace(point, low=min(low, kappa), high=max(high, kappa), method=method)


def _independent_share(a: Array, b: Array, clusters: Sequence[Array]) -> float:
    """How many independent images one image is worth, at most 1."""
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    same, p_a, p_b = 1.0 * (first == second), first.mean(), second.mean()
    seen, chance = same.mean(), expected_consistency(p_a, p_b)
    influence = np.zeros(len(first))  # what each image adds to kappa, to first order; nothing where kappa is 1
    if seen < 1:
        by_chance = (2 * p_b - 1) * (first - p_a) + (2 * p_a - 1) * (second - p_b)
        kappa = (seen - chance) / (1 - chance)
        influence = (same - seen - (1 - kappa) * by_chance) / (1 - chance) / len(first)
    alone = clustered_variance(influence, [np.arange(len(influence))])
    together = clustered_variance(influence, clusters)
    if together.value == 0:  # no spread to see: each cluster of the factor with fewest counts as one image
        return (together.df + 1) / len(influence)
    wider = (t_quantile(LEVEL, together.df) / normal_quantile(LEVEL)) ** 2
    return min(1.0, alone.value / together.value / wider)


def match(trials: Sequence[Trials], *, every: bool = True) -> Matched:
    """Trials by (role, condition, stimulus); right: response equals category. every: only the trials that all observers
    have; else all that anybody has (absent ones are not right). ValueError where one observer has two answers to one
    (role, condition, stimulus)."""
    keyed = [_keyed(each) for each in trials]
    names = [keys for keys, _ in keyed] or [np.empty(0, dtype=str)]
    kept = reduce(np.intersect1d if every else np.union1d, names)
    right = np.zeros((len(kept), len(keyed)), dtype=bool)
    present = np.zeros_like(right)
    for column, (keys, correct) in enumerate(keyed):
        there = np.isin(kept, keys)
        present[:, column] = there
        right[there, column] = correct[np.searchsorted(keys, kept[there])]
    parts = np.array([key.split(KEY) for key in kept.tolist()], dtype=str).reshape(len(kept), 3)
    left_out = tuple(len(keys) - int(present[:, i].sum()) for i, (keys, _) in enumerate(keyed))
    return Matched(right, present, parts[:, 0], parts[:, 1], parts[:, 2], left_out)


def _of_counts(counts: Array) -> Floats:
    """[5, m]: p_a, p_b, c_obs, c_exp, kappa from counts [m, 4] (both, only a, only b, neither)."""
    both, only_a, only_b, neither = np.asarray(counts, dtype=float).T
    n = both + only_a + only_b + neither
    p_a, p_b, seen = (both + only_a) / n, (both + only_b) / n, (both + neither) / n
    chance = expected_consistency(p_a, p_b)
    return np.stack([p_a, p_b, seen, chance, kappa_of(seen, chance)])


def _keyed(trials: Trials) -> tuple[Array, Flags]:
    """Sorted unique keys [n] and whether the answer at each was right [n]."""
    if not len(trials):
        return np.empty(0, dtype=str), np.empty(0, dtype=bool)
    order = trials.by_key
    keys = trials.keys[order]
    repeated = np.flatnonzero(keys[1:] == keys[:-1])
    if len(repeated):
        where = keys[repeated[0]].split(KEY)
        raise ValueError(f"two answers to one trial: role, condition, stimulus = {where}")
    right = np.asarray(trials["response"] == trials["category"], dtype=bool)
    return keys, right[order]
