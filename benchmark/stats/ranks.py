"""Rank intervals: which ranks the data do not rule out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.stats.intervals import Floats, normal_quantile

Ranks = NDArray[np.int64]
SLACK = 1e-9  # far above rounding: what lies so near to a bound is looked at pair by pair
PAIRS = 1_000_000  # pairs held at once
ALIKE = 8  # groups of entries of about one margin


def rank_intervals(
    values: Sequence[float | None] | NDArray[np.float64],
    ses: Sequence[float | None] | NDArray[np.float64],
    higher_is_better: bool = True,
    level: float = 0.95,
) -> tuple[Ranks, Ranks, Ranks]:
    """(rank, low, high), each [n] int; 0 where a value is None or NaN (unranked).

    values, ses: [n] estimates and their standard errors (>= 0). Equal values share the better rank.
    [low, high] holds the true rank of one given entry with probability >= `level`: its differences
    from the other n - 1 are tested two-sided, Bonferroni-corrected, and low = 1 + those certainly
    better, high = n - those certainly worse: the marginal confidence set of Mogstad, Romano, Shaikh
    & Wilhelm (2024, Review of Economic Studies 91:476). The estimates are taken as independent; on
    common stimuli they correlate positively, so the intervals are then wider than they need be. An
    entry without a standard error (None, NaN) is separable from none. ValueError: lengths differ,
    or a negative standard error.
    """
    x, se = (np.array(a, dtype=float) for a in (values, ses))  # None becomes NaN
    if x.shape != se.shape or x.ndim != 1:
        raise ValueError(f"one standard error per value needed, got {x.shape} and {se.shape}")
    if (se < 0).any():
        raise ValueError("a standard error is negative")
    ranked = np.isfinite(x)
    result = [np.zeros(len(x), dtype=np.int64) for _ in range(3)]
    if ranked.any():
        better = x[ranked] if higher_is_better else -x[ranked]
        for whole, part in zip(result, _ranks(better, se[ranked], level), strict=True):
            whole[ranked] = part
    return result[0], result[1], result[2]


def _ranks(x: NDArray[np.float64], se: NDArray[np.float64], level: float) -> tuple[Ranks, Ranks, Ranks]:
    """Ranks of finite values, the largest first, with the bounds of each."""
    n = len(x)
    ordered = np.sort(x)
    rank = 1 + n - np.searchsorted(ordered, x, side="right")
    if n == 1:
        return rank, rank, rank
    margin = (normal_quantile(1 - (1 - level) / (n - 1)) * se) ** 2
    better, worse = _certain(x, margin)
    return rank, 1 + better, n - worse


def _certain(x: NDArray[np.float64], margin: NDArray[np.float64]) -> tuple[Ranks, Ranks]:
    """[n] how many are certainly better than each, and how many certainly worse: k is better than i where
    x[k] - x[i] > sqrt(margin[i] + margin[k]), never where a margin is NaN.

    Entries of about one margin are taken together, so that few have to be looked at pair by pair.
    """
    better, worse = np.zeros((2, len(x)), dtype=np.int64)
    order = np.flatnonzero(~np.isnan(margin))
    order = order[np.argsort(x[order], kind="stable")]
    x, margin = x[order], margin[order]
    for alike in np.array_split(np.argsort(margin, kind="stable"), min(ALIKE, len(order)) or 1):
        some = np.sort(alike)
        above, below = _beyond(x, margin, x[some], margin[some])
        better[order] += above
        worse[order[some]] += below
    return better, worse


def _beyond(
    x: NDArray[np.float64], margin: NDArray[np.float64], others: NDArray[np.float64], of_others: NDArray[np.float64]
) -> tuple[Ranks, Ranks]:
    """Of each of x how many others are certainly better, and of each other how many of x are certainly worse. Both in
    order; those between the others' least and largest margin are looked at pair by pair.
    """
    n, m = len(x), len(others)
    ends = (of_others.min(initial=np.inf), of_others.max(initial=0.0))
    least, most = (np.sqrt(margin + end) for end in ends)
    first = np.searchsorted(others, x + least * (1 - SLACK) - SLACK, side="left")
    last = np.searchsorted(others, x + most * (1 + SLACK) + SLACK, side="right")
    above, below = m - last, np.cumsum(np.bincount(last, minlength=m + 1))[:m]
    for some in _blocks(last - first):
        i = np.repeat(np.arange(some.start, some.stop), (last - first)[some])
        starts = np.cumsum((last - first)[some]) - (last - first)[some]
        k = np.arange(len(i)) - starts[i - some.start] + first[i]
        gap = others[k] - x[i]
        sure = gap * np.abs(gap) > margin[i] + of_others[k]
        above = above + np.bincount(i[sure], minlength=n)
        below = below + np.bincount(k[sure], minlength=m)
    return above, below


def _blocks(counts: Ranks) -> Iterator[slice]:
    """Entries in blocks of about PAIRS pairs."""
    done = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = done[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(done, before + PAIRS, side="right")))
        yield slice(start, stop)
        start = stop


# The published toolbox's two rankings, as pure functions over scores.
#
# Both hold within the set of models that is given: adding or removing one model moves the others, in the mean rank
# even against one another. So a rank is shown with its set; scores are what is stored.


#: The three human metrics and whether a larger value ranks higher.
HUMAN_METRICS = {"accuracy_difference": False, "observed_consistency": True, "error_consistency": True}


@dataclass(frozen=True)
class HumanRank:
    """A model's place: mean_rank over the three human metrics (1: best), place by it, accuracy_place by OOD accuracy.

    Tied models share the mean of their places. None: a value is missing, the model is not ranked (by that table).
    """

    name: str
    mean_rank: float | None
    place: float | None
    accuracy_place: float | None


def human_likeness(rows: Mapping[str, Mapping[str, float | None]]) -> list[HumanRank]:
    """Models by human-likeness, unranked ones last. rows: name -> metric -> value, people left out by the caller."""
    names = sorted(rows)
    complete = [n for n in names if all(rows[n].get(m) is not None for m in HUMAN_METRICS)]
    ranks = [
        average_ranks(np.array([rows[n][metric] for n in complete], dtype=float), larger)
        for metric, larger in HUMAN_METRICS.items()
    ]
    mean = dict(zip(complete, np.mean(ranks, axis=0).tolist(), strict=True)) if complete else {}
    place = _places(mean, larger_first=False)
    accuracy = {n: v for n in names if (v := rows[n].get("ood_accuracy")) is not None}
    by_accuracy = _places(accuracy, larger_first=True)
    found = [HumanRank(n, mean.get(n), place.get(n), by_accuracy.get(n)) for n in names]
    return sorted(found, key=lambda row: (row.mean_rank is None, row.mean_rank or 0.0, row.name))


def average_ranks(values: Floats, larger_first: bool) -> Floats:
    """Ranks [n] from 1; equal values share the mean of their ranks."""
    x = -values if larger_first else values
    below = (x[None, :] < x[:, None]).sum(axis=1)
    equal = (x[None, :] == x[:, None]).sum(axis=1)
    ranks: Floats = below + (equal + 1) / 2
    return ranks


def _places(values: Mapping[str, float], *, larger_first: bool) -> dict[str, float]:
    array = np.array(list(values.values()), dtype=float)
    return dict(zip(values, average_ranks(array, larger_first).tolist(), strict=True))
