"""Error consistency of everybody with everybody on the same images, as a matrix, with people's as the ceiling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.report.answers import NETWORKS, PEOPLE, Answers
from benchmark.report.figures.chosen import featured
from benchmark.report.figures.figure import Figure, Records, Spec, axis, some_of
from benchmark.report.writing import slug
from benchmark.stats.agreement import pairwise
from benchmark.stats.intervals import percentiles

SUITE = "human-comparison"
NAMES = ("a", "b", "kappa", "observed", "expected", "n")
MOST_NETWORKS, MOST_PEOPLE = 14, 10
#: Roles that are drawn: those that most observers answered.
ROLES = 4
DRAWS, SEED = 200, 0


def figures(answers: Sequence[Answers]) -> Iterator[Figure]:
    """One for each role that three or more observers answered."""
    for one in [each for each in answers if each.role != "natural"][:ROLES]:
        made = _matrix(one)
        if made is not None:
            yield made


def _matrix(answers: Answers) -> Figure | None:
    networks = _whole(answers, NETWORKS)
    everybody = _whole(answers, PEOPLE)
    people = everybody[:MOST_PEOPLE]
    shown = [*featured(networks, MOST_NETWORKS), *people]
    if len(shown) < 3:
        return None
    members = [answers.observers.index(name) for name in shown]
    inside = answers.shown[members].all(axis=0)
    n = int(inside.sum())
    if n < 2:
        return None
    right = answers.right[members][:, inside].T
    found = pairwise(right)
    records = [
        {
            "a": shown[i],
            "b": shown[j],
            "kappa": float(found.kappa[i, j]),
            "observed": float(found.observed[i, j]),
            "expected": float(found.expected[i, j]),
            "n": n,
        }
        for i in range(len(shown))
        for j in range(len(shown))
        if i != j and np.isfinite(found.kappa[i, j])
    ]
    if not records:
        return None
    more = (
        f" {MOST_NETWORKS} of {len(networks)} networks, evenly spaced by name."
        if len(networks) > MOST_NETWORKS
        else ""
    ) + some_of(len(everybody), len(people), "people")
    place = {name: at for at, name in enumerate(shown)}
    return Figure(
        f"consistency-matrix-{slug(answers.key)}",
        f"Error consistency on {answers.role}, {answers.space}",
        f"Cohen's kappa of right and wrong answers, on the {n} images that all of them answered; networks first, then "
        f"people.{_ceiling(right[:, len(shown) - len(people) :])}{more} 0: as if errors fell independently.",
        _spec(records, shown),
        [one for one in records if place[str(one["a"])] < place[str(one["b"])]],
        NAMES,
    )


def _whole(answers: Answers, kinds: Sequence[str]) -> list[str]:
    """Who of these kinds answered nearly all images, by name."""
    seen = answers.shown.mean(axis=1)
    return [
        name
        for name, kind, share in zip(answers.observers, answers.kinds, seen.tolist(), strict=True)
        if kind in kinds and share > 0.95 * float(seen.max())
    ]


def _ceiling(people: NDArray[np.bool_]) -> str:
    """The mean over pairs of people, with an interval over images (bootstrap).

    Every resample holds half an image more, itself random, that all answer, that none does, and that sets people
    apart (Jeffreys): where nobody errs, images drawn anew would leave no doubt at all.
    """
    n, k = people.shape
    if k < 2:
        return ""
    pairs = np.triu_indices(k, 1)
    rng, means = np.random.default_rng(SEED), []
    for _ in range(DRAWS):
        drawn = people[rng.integers(0, n, n)]
        right = np.vstack([drawn, np.ones(k), np.zeros(k), rng.permutation(k) < k // 2])
        counts = np.append(np.ones(n), rng.standard_gamma(0.5, 3))[:, None] * np.ones(k)
        means.append(float(np.nanmean(pairwise(right, np.sqrt(counts)).kappa[pairs])))
    value = float(np.nanmean(pairwise(people).kappa[pairs]))
    low, high = percentiles(np.array(means), 0.95)
    low, high = min(low, value), max(high, value)
    return f" Ceiling, people with one another: {value:.3f} [{low:.3f}, {high:.3f}] (95 %, bootstrap over images)."


def _spec(records: Records, order: list[str]) -> Spec:
    top = max(0.6, *(abs(float(one["kappa"])) for one in records))
    colour: dict[str, Any] = {
        "field": "kappa",
        "type": "quantitative",
        "scale": {
            "scheme": "viridis",
            "domain": [min(0.0, *(float(one["kappa"]) for one in records)), top],
        },
        "legend": {"title": "kappa", "gradientLength": 160},
    }
    names = {"type": "nominal", "scale": {"domain": order}}
    return {
        "data": {"values": list(records)},
        "width": {"step": 17},
        "height": {"step": 17},
        "mark": {"type": "rect"},
        "encoding": {
            "x": {"field": "b", **names, "axis": axis("", labelAngle=-90, labelLimit=220)},
            "y": {"field": "a", **names, "axis": axis("", labelLimit=240)},
            "color": colour,
        },
    }
