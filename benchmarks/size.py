"""Size of the paired tests: how often a true null hypothesis is rejected at 5 %, for every kind of metric.

    python benchmarks/size.py [--runs 400] [--seed 0] [--only WORD]

Two observers of the same true value answer the same simulated stimuli, again and again. A test that keeps its level
rejects in 5 % of runs; with 4,000 runs a count is good to +-.7 %. `kept` is the share of runs whose 95 % interval
holds the true difference 0: 1 - size, as p and interval are one test.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from ratios import ratio, slug

from benchmark.contracts import Metric, Trials
from benchmark.leaderboard.comparison import Margin
from benchmark.stats import Comparison, compare_ratio
from benchmark.stats.crossed import compare_people
from suites.human_comparison.pairing import compare_pair

Rng = np.random.Generator
METRIC = Metric("simulated", "", "", ratio=lambda t: (t["num"], t["den"]))


@dataclass(frozen=True)
class Kind:
    """What is simulated: words for the table, and one study, which gives a comparison for each of the names."""

    names: tuple[str, ...]
    setting: str
    study: Callable[[Rng], Sequence[Comparison]]


def trials(num: np.ndarray, den: np.ndarray, **labels: np.ndarray) -> Trials:
    """Trials of one observer by numerator and denominator [n], or [stimuli, conditions]."""
    stimulus, condition = np.indices((len(num), num.size // len(num))).reshape(2, -1)
    columns = {
        "role": np.full(num.size, "x"),
        "condition": np.char.add("c", condition.astype(str)),
        "stimulus": np.char.add("i", stimulus.astype(str)),
    }
    return Trials({**columns, "num": num.ravel(), "den": den.ravel(), **labels})


def related(rng: Rng, shape: tuple[int, ...], share: float) -> tuple[np.ndarray, np.ndarray]:
    """Two uniform draws that are the same number in `share` of the places."""
    one = rng.random(shape)
    return one, np.where(rng.random(shape) < share, one, rng.random(shape))


def accuracy(rng: Rng, n: int, p: float) -> list[Comparison]:
    """Right or wrong, each stimulus once."""
    a, b = (trials((u < p) * 1.0, np.ones(n)) for u in related(rng, (n,), 0.6))
    return [compare_ratio(METRIC, a, b)]


def bias(rng: Rng, n: int, bias: float, counted: tuple[float, float]) -> list[Comparison]:
    """S / (S + T), of observers who follow a cue in different shares of the trials."""
    a, b = (
        trials((u < bias * share) * 1.0, (u < share) * 1.0)
        for u, share in zip(related(rng, (n,), 0.6), counted, strict=True)
    )
    return [compare_ratio(METRIC, a, b)]


def clustered(
    rng: Rng,
    spread: tuple[float, float],
    counted: tuple[float, float],
    size: tuple[int, int, int] = (150, 48, 8),
) -> list[Comparison]:
    """S / (S + T) on shapes x textures, so many textures of each shape; tastes for both differ by observer."""
    shapes, textures, each = size
    shape = np.repeat(np.arange(shapes), each)
    texture = np.concatenate([rng.choice(textures, each, replace=False) for _ in range(shapes)])
    labels = {"shape_exemplar": shape.astype(str), "texture_exemplar": texture.astype(str)}

    def observer(share: float) -> Trials:
        taste = (
            rng.normal(0, spread[0], shapes)[shape] + rng.normal(0, spread[1], textures)[texture]
        )
        den = rng.random(len(shape)) < share
        num = den & (rng.random(len(shape)) < 1 / (1 + np.exp(-taste)))
        return trials(num * 1.0, den * 1.0, **labels)

    return [compare_ratio(METRIC, observer(counted[0]), observer(counted[1]))]


def equivalence(rng: Rng, n: int, margin: float) -> list[Comparison]:
    """Two accuracies that differ by just the margin: p below .05 where they are called equivalent."""
    a, b = related(rng, (n,), 0.6)
    found = compare_ratio(
        METRIC, *(trials((u < p) * 1.0, np.ones(n)) for u, p in ((a, 0.6 + margin), (b, 0.6)))
    )
    assert found.test is not None
    low, high = found.test.interval(Margin(margin, both=True).level(1))
    inside = low is not None and high is not None and -margin < low and high < margin
    return [replace(found, p=0.0 if inside else 1.0)]


def mean(rng: Rng, n: int, skewed: bool) -> list[Comparison]:
    """A mean of numbers, such as AUC excess."""

    def draw() -> np.ndarray:
        return rng.exponential(size=n) ** 2 if skewed else rng.normal(size=n)

    common = draw()
    a, b = (trials(common + draw(), np.ones(n)) for _ in range(2))
    return [compare_ratio(METRIC, a, b)]


def cells(rng: Rng, n: int, conditions: int) -> list[Comparison]:
    """Mean accuracy over conditions that show the same stimuli."""
    hard = rng.random((n, 1))
    a, b = (
        trials(
            (np.where(rng.random((n, conditions)) < 0.5, hard, rng.random((n, conditions))) < 0.4)
            * 1.0,
            np.ones((n, conditions)),
        )
        for _ in range(2)
    )
    return [compare_ratio(METRIC, a, b)]


def of_clean(rng: Rng, n: int, clean: tuple[float, float]) -> list[Comparison]:
    """Accuracy left under five corruptions, over clean accuracy: numerator and denominator on other trials."""

    def observer(p: float) -> Trials:
        skill = rng.random((n, 1))
        draws = np.where(rng.random((n, 6)) < 0.6, skill, rng.random((n, 6)))
        num = (draws < 0.6 * p) / 5.0
        num[:, 0] = 0
        den = np.zeros((n, 6))
        den[:, 0] = draws[:, 0] < p
        return trials(num, den)

    return [compare_ratio(METRIC, *map(observer, clean))]


def answers(rng: Rng, n: int, share: float, hard: np.ndarray, p: float) -> Trials:
    """Right where the image is easy, in `share` of the images; else by lot."""
    right = np.where(rng.random(n) < share, hard < p, rng.random(n) < p)
    return Trials(
        {
            "role": np.full(n, "edges"),
            "condition": np.full(n, ""),
            "stimulus": np.array([f"i{i}" for i in range(n)]),
            "category": np.full(n, "cat"),
            "response": np.where(right, "cat", "dog"),
            "num": right * 1.0,
            "den": np.ones(n),
        }
    )


def crowd(rng: Rng, n: int, k: int, skill: float, habit: float) -> tuple[np.ndarray, list[Trials]]:
    """Difficulties [n], and k people who differ in accuracy by `skill` and in how far they follow them by `habit`."""
    hard = rng.random(n)
    shares, levels = rng.normal(0.7, habit, k), rng.normal(0.6, skill, k)
    people = zip(shares, levels, strict=True)
    return hard, [answers(rng, n, float(share), hard, float(p)) for share, p in people]


def chosen(found: Sequence[Comparison], metrics: Sequence[str]) -> list[Comparison]:
    """The comparisons over all experiments, in the order of `metrics`."""
    whole = {one.metric: one for one in found if not one.condition}
    return [whole[metric] for metric in metrics]


def human(rng: Rng, metrics: Sequence[str], n: int, k: int, level: float = 0.6) -> list[Comparison]:
    """Two networks against the same people, who differ in accuracy and habits."""
    hard, people = crowd(rng, n, k, 0.08, 0.12)
    a, b = (answers(rng, n, 0.5, hard, level) for _ in range(2))
    named = {f"subject-{i}": one for i, one in enumerate(people)}
    return chosen(compare_pair(a, b, named), metrics)


def pooled(rng: Rng, n: int, k: int) -> list[Comparison]:
    """A network that is as good as people are on average, who differ."""
    hard, people = crowd(rng, n, k, 0.08, 0.0)
    return [compare_people(METRIC, answers(rng, n, 0.7, hard, 0.6), people)]


def among(rng: Rng, metrics: Sequence[str], n: int, k: int) -> list[Comparison]:
    """A network that follows difficulty as far as people do on average, who differ."""
    hard, people = crowd(rng, n, k, 0.0, 0.12)
    named = {f"subject-{i}": one for i, one in enumerate(people)}
    return chosen(compare_pair(answers(rng, n, 0.7, hard, 0.6), None, named), metrics)


def kinds() -> Iterator[Kind]:
    """Every kind of metric, on the sizes that occur."""
    for n, p in ((100, 0.5), (160, 0.9), (1000, 0.1)):
        yield Kind(("accuracy",), f"n={n}, p={p}", partial(accuracy, n=n, p=p))
    for n, counted in (
        (100, (0.8, 0.8)),
        (160, (0.8, 0.26)),
        (160, (0.9, 0.1)),
        (1200, (0.8, 0.3)),
    ):
        words = f"n={n}, counted {counted[0]:g} and {counted[1]:g}"
        yield Kind(("shape bias",), words, partial(bias, n=n, bias=0.3, counted=counted))
    for spread, counted in ((1.0, (0.6, 0.6)), (1.0, (0.6, 0.2)), (0.0, (0.6, 0.6))):
        words = (
            f"150 x 48 exemplars of spread {spread:g}, counted {counted[0]:g} and {counted[1]:g}"
        )
        study = partial(clustered, spread=(spread, spread), counted=counted)
        yield Kind(("shape bias, clustered",), words, study)
    for size in ((40, 3, 3), (8, 4, 4), (20, 5, 5)):
        for both in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)):
            words = f"{size[0]} x {size[1]} exemplars of spread {both[0]:g} and {both[1]:g}"
            study = partial(clustered, spread=both, counted=(0.6, 0.6), size=size)
            yield Kind(("shape bias, few clusters",), words, study)
    for n, margin in ((200, 0.15), (1000, 0.05)):
        words = f"n={n}, margin {margin:g}"
        yield Kind(("equivalence",), words, partial(equivalence, n=n, margin=margin))
    for n, skewed in ((40, False), (192, True)):
        words = f"n={n}, {'skewed' if skewed else 'normal'}"
        yield Kind(("mean",), words, partial(mean, n=n, skewed=skewed))
    yield Kind(("mean over cells",), "n=160 x 33 cells", partial(cells, n=160, conditions=33))
    for clean in ((0.9, 0.9), (0.9, 0.6)):
        words = f"n=160 x 5, clean {clean[0]:g} and {clean[1]:g}"
        yield Kind(("of clean",), words, partial(of_clean, n=160, clean=clean))
    yield from kinds_with_people()


def kinds_with_people() -> Iterator[Kind]:
    """Metrics of agreement with people, and people as a group."""
    agreement, apart = ("error_consistency", "observed_consistency"), ("accuracy_difference",)
    for n, k in ((160, 10), (640, 4)):
        size = f"n={n}, {k} people"
        two, one = f"two networks, {size}", f"one network and a group, {size}"
        below = f"two networks .2 below people, {size}"
        yield Kind(agreement, two, partial(human, metrics=agreement, n=n, k=k))
        yield Kind(apart, below, partial(human, metrics=apart, n=n, k=k, level=0.4))
        yield Kind(("accuracy, pooled",), one, partial(pooled, n=n, k=k))
        yield Kind(agreement, one, partial(among, metrics=agreement, n=n, k=k))


def measured(kind: Kind, runs: int, seed: int) -> Iterator[tuple[str, float, float]]:
    """(name, size, share of intervals that hold 0), over the runs in which a test was possible."""
    rng = np.random.default_rng(seed)
    studies = [kind.study(rng) for _ in range(runs)]
    for name, found in zip(kind.names, zip(*studies, strict=True), strict=True):
        tested = [one for one in found if one.p is not None]
        rejected = [(one.p or 0.0) < 0.05 for one in tested]
        kept = [one.low is None or one.high is None or one.low <= 0 <= one.high for one in tested]
        yield name, float(np.mean(rejected)), float(np.mean(kept))


def main() -> None:
    """Print the table, then a line for each of its rows: size over the nominal .05."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=400, help="simulated studies of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds whose name has this word")
    args = parser.parse_args()
    print(f"{args.runs} runs each\n\n| metric | setting | size | intervals that hold 0 |")
    print("|---|---|---|---|")
    rows = []
    for kind in kinds():
        if any(args.only in name for name in kind.names):
            for name, size, kept in measured(kind, args.runs, args.seed):
                print(f"| {name} | {kind.setting} | {size:.3f} | {kept:.3f} |", flush=True)
                rows.append((slug("size", name, kind.setting), size / 0.05))
    for label, value in rows:
        ratio(label, value, "nominal size .05")


if __name__ == "__main__":
    main()
