"""The published toolbox's two rankings, as pure functions over scores.

Both hold within the set of models that is given: adding or removing one model moves the others, in the mean rank
even against one another. So a rank is shown with its set; scores are what is stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmark.stats.bootstrap import Floats

#: The three human metrics and whether a larger value ranks higher.
HUMAN_METRICS = {
    "accuracy_difference": False,
    "observed_consistency": True,
    "error_consistency": True,
}


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
