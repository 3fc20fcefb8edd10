"""Coverage of the intervals and size of the paired tests, in simulated studies of each kind of number.

    python benchmarks/interval_coverage.py [--studies 100] [--seed 0] [--only WORD] [--keep docs/coverage.csv]

Coverage: how often an interval at 95 % holds the true value of what it is about (other shapes and textures, other
people, other images); beside it what a simpler interval does on the same studies. Size: how often a true null
hypothesis is rejected at 5 %. With 2,000 studies a share is good to +-1 % (coverage) and +-.5 % (size).

docs/coverage.csv (--studies 2000) holds what the tables of docs/statistics.md quote; a kind that is made anew takes the
place of its rows.
"""

import argparse
import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from benchmark.contracts import Metric, Trials
from benchmark.engine.scoring import pooled_score
from benchmark.leaderboard.comparison import Margin
from benchmark.stats import Comparison, compare_ratio, mean_interval, rank_intervals, wilson
from benchmark.stats.agreement import agreement
from benchmark.stats.clusters import robust_interval
from benchmark.stats.intervals import percentiles
from benchmark.stats.network_samples import from_pairs, over_networks, sampled_ratio
from benchmark.stats.paired import compare_people
from benchmark.stats.rankings import correlation
from benchmark.stats.ratios import ratio_score
from suites.human_comparison.against_people import people_scores
from suites.human_comparison.pairing import compare_all, compare_pair

Rng = np.random.Generator
Study = Callable[
    [Rng], Mapping[str, bool | None]
]  # word -> whether the interval held, the test rejected; None: no test
Kind = tuple[str, str, Study]
METRIC = Metric(name="simulated", title="", definition="", ratio=lambda t: (t["num"], t["den"]))
LARGE = 2_000_000  # draws behind a true value that has no formula
AGREEMENT = ("error_consistency", "observed_consistency")
#: Large families by size, small ones, observers in the largest of these, correlation, share of the families' variance.
FAMILIES = (
    ((), 5, 3, 0.5, 0.8), ((), 8, 2, 0.0, 0.5), ((), 8, 2, 0.5, 0.8), ((), 25, 4, 0.5, 0.5),
    ((), 60, 3, 0.85, 0.5), ((20, 8, 8), 15, 2, 0.0, 0.5), ((20, 8, 8), 15, 2, 0.0, 0.9),
    ((20, 8, 8), 15, 2, 0.6, 0.9), ((30,), 10, 1, 0.6, 0.5), ((10, 10, 10), 10, 1, 0.6, 0.8),
)  # fmt: skip


def holds(low: float | None, high: float | None, truth: float) -> bool:
    return low is not None and high is not None and low <= truth <= high


def rejected(found: Comparison) -> dict[str, bool | None]:
    return {"size": None if found.p is None else found.p < 0.05}


def logistic(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def trials(num: np.ndarray, den: np.ndarray, **labels: np.ndarray) -> Trials:
    """Trials of one observer by numerator and denominator [n], or [stimuli, conditions]."""
    stimulus, condition = np.indices((len(num), num.size // len(num))).reshape(2, -1)
    columns = {
        "role": np.full(num.size, "x"),
        "condition": np.char.add("c", condition.astype(str)),
        "stimulus": np.char.add("i", stimulus.astype(str)),
    }
    return Trials(columns={**columns, "num": num.ravel() * 1.0, "den": den.ravel() * 1.0, **labels})


def related(rng: Rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two uniform draws that are the same number in 60 % of the places."""
    one = rng.random(n)
    return one, np.where(rng.random(n) < 0.6, one, rng.random(n))


def tastes(
    rng: Rng, size: tuple[int, int, int], spread: tuple[float, float], observers: int
) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Each observer's taste for the images (`size`: shapes, textures, textures of each shape), and their labels."""
    shapes, textures, each = size
    shape = np.repeat(np.arange(shapes), each)
    texture = np.concatenate([rng.choice(textures, each, replace=False) for _ in range(shapes)])
    drawn = [
        rng.normal(0, spread[0], shapes)[shape] + rng.normal(0, spread[1], textures)[texture] for _ in range(observers)
    ]
    return drawn, {"shape_exemplar": shape.astype(str), "texture_exemplar": texture.astype(str)}


def followed(rng: Rng, taste: np.ndarray, counted: float, labels: dict[str, np.ndarray]) -> Trials:
    """Shape answers by taste, in the share of the trials that count."""
    den = rng.random(len(taste)) < counted
    return trials(den & (rng.random(len(taste)) < logistic(taste)), den, **labels)


# Intervals


def shape_bias(rng: Rng, middle: float, spread: float, size: tuple[int, int, int]) -> dict[str, bool]:
    """S / (S + T) of a network that has a taste for each shape and each texture."""
    (taste,), labels = tastes(rng, size, (spread, spread), 1)
    found = followed(rng, middle + taste, 0.6, labels)
    score = ratio_score(METRIC, found)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)  # the logistic mean of a normal
    truth = (logistic(middle + np.sqrt(2) * spread * nodes) * weights).sum() / weights.sum()
    plain = wilson(int(found["num"].sum()), int(found["den"].sum()))
    return {"clustered": holds(score.low, score.high, truth), "Wilson": holds(*plain, truth)}


def share(rng: Rng, n: int, p: float) -> dict[str, bool]:
    score = ratio_score(METRIC, trials(rng.random(n) < p, np.ones(n)))
    return {"Wilson": holds(score.low, score.high, p)}


def biases(rng: Rng, people: int, mean: float, sd: float) -> np.ndarray:
    total = mean * (1 - mean) / sd**2 - 1
    return rng.beta(mean * total, (1 - mean) * total, people)


def pooled(rng: Rng, people: int, mean: float, sd: float) -> dict[str, bool]:
    parts = []
    for p in biases(rng, people, mean, sd):
        den = rng.random(1280) < rng.uniform(0.6, 0.9)
        parts.append(trials(den & (rng.random(1280) < p), den))
    score = pooled_score(replace(METRIC, role="x"), parts)
    assert score is not None
    sums = np.array([[part["num"].sum(), part["den"].sum()] for part in parts])
    drawn = rng.multinomial(people, np.full(people, 1 / people), size=1000) @ sums
    plain = percentiles(drawn[:, 0] / drawn[:, 1], 0.95)
    return {"t over people": holds(score.low, score.high, mean), "bootstrap": holds(*plain, mean)}


def mean_over_people(rng: Rng, people: int, mean: float, sd: float) -> dict[str, bool]:
    x = biases(rng, people, mean, sd)
    bounded = mean_interval(x, bounds=(0.0, 1.0))
    return {"within bounds": holds(*bounded, mean), "t": holds(*mean_interval(x), mean)}


def mean_over_images(rng: Rng, n: int, kind: str) -> dict[str, bool]:
    """A mean of numbers over images, one trial each."""
    draw, truth, bounds = {
        "normal": (partial(rng.normal, 1, 1), 1.0, None),
        "skewed": (rng.exponential, 1.0, None),
        "within 0 and 1": (partial(rng.beta, 0.5, 4), 1 / 9, (0.0, 1.0)),
    }[kind]
    score = ratio_score(replace(METRIC, bounds=bounds), trials(draw(size=n), np.ones(n)))
    return {score.method: holds(score.low, score.high, truth)}


def kappas(shares: np.ndarray) -> np.ndarray:
    """Kappa from shares [m, 4] of both, only a, only b, neither, written out; 1 where they never differ."""
    both, only_a, only_b, neither = shares.T
    p, q, seen = both + only_a, both + only_b, both + neither
    chance = p * q + (1 - p) * (1 - q)
    room = np.where(seen >= 1, 1.0, 1 - chance)
    return np.where(seen >= 1, 1.0, (seen - chance) / room)


def kappa_of(a: np.ndarray, b: np.ndarray) -> float:
    cells = [(a & b).mean(), (a & ~b).mean(), (~a & b).mean(), (~a & ~b).mean()]
    return float(kappas(np.array([cells]))[0])


def kappa_pair(rng: Rng, n: int, p_a: float, p_b: float, kappa: float) -> dict[str, bool]:
    """Kappa of two observers of these accuracies on n images that share nothing."""
    chance = p_a * p_b + (1 - p_a) * (1 - p_b)
    both = (p_a + p_b - 1 + chance + kappa * (1 - chance)) / 2
    drawn = rng.choice(4, size=n, p=[both, p_a - both, p_b - both, 1 - p_a - p_b + both])
    a, b = drawn < 2, drawn % 2 == 0
    found = agreement(a, b)
    table = found.table
    counts = np.array([table.both, table.only_a, table.only_b, table.neither]) / n
    plain = percentiles(kappas(rng.multinomial(n, counts, size=1000) / n), 0.95)
    return {"score": holds(found.low, found.high, kappa), "bootstrap": holds(*plain, kappa)}


@cache
def true_kappa_of_tastes() -> float:
    """Kappa of two observers who share a taste of spread 1 for shapes and textures, over all of them."""
    rng = np.random.default_rng(1)
    p = logistic(0.5 + rng.normal(0, np.sqrt(2), LARGE))
    return kappa_of(rng.random(LARGE) < p, rng.random(LARGE) < p)


def kappa_shared(rng: Rng, size: tuple[int, int, int]) -> dict[str, bool]:
    """Kappa on images that share shapes and textures, which are hard for both observers."""
    (taste,), labels = tastes(rng, size, (1.0, 1.0), 1)
    a, b = (rng.random(len(taste)) < logistic(0.5 + taste) for _ in range(2))
    found, plain = agreement(a, b, list(labels.values())), agreement(a, b)
    truth = true_kappa_of_tastes()
    return {"score, clustered": holds(found.low, found.high, truth), "score": holds(plain.low, plain.high, truth)}


def answers(rng: Rng, share: float, hard: np.ndarray, p: float) -> Trials:
    """Right where the image is easy, in `share` of the images; else by lot."""
    n = len(hard)
    right = np.where(rng.random(n) < share, hard < p, rng.random(n) < p)
    labels = {"category": np.full(n, "cat"), "response": np.where(right, "cat", "dog")}
    found = trials(right, np.ones(n), **labels).columns
    return Trials(columns={**found, "role": np.full(n, "edges"), "condition": np.full(n, "")})


def crowd(rng: Rng, n: int, k: int, skill: float, habit: float) -> tuple[np.ndarray, dict[str, Trials]]:
    """Difficulties [n], and k people who differ in accuracy by `skill` and in how far they follow them by `habit`."""
    hard = rng.random(n)
    people = zip(rng.normal(0.7, habit, k), rng.normal(0.6, skill, k), strict=True)
    found = [answers(rng, float(follows), hard, float(p)) for follows, p in people]
    return hard, {f"subject-{i}": person for i, person in enumerate(found)}


@cache
def true_kappa_of_people() -> float:
    """Kappa of a network with people of `crowd`, over all images and people."""
    rng = np.random.default_rng(2)
    found = []
    for follows, p in zip(rng.normal(0.7, 0.12, 400), rng.normal(0.6, 0.08, 400), strict=True):
        hard = rng.random(20_000)
        pair = (answers(rng, s, hard, q)["num"] > 0 for s, q in ((0.5, 0.6), (follows, p)))
        found.append(kappa_of(*pair))
    return float(np.mean(found))


def with_people(rng: Rng, n: int, people: int, metric: str) -> dict[str, bool]:
    """Agreement of a network with people, images and people drawn; people's accuracies differ by .08."""
    hard, others = crowd(rng, n, people, 0.08, 0.12)
    scores = people_scores(None, answers(rng, 0.5, hard, 0.6), others)
    score = next(s for s in scores if s.metric == metric and not s.condition)
    truth = 0.08**2 if metric == "accuracy_difference" else true_kappa_of_people()
    return {"images weighted, people drawn": holds(score.low, score.high, truth)}


#: Networks of two recipes, spread of each recipe's networks (logits), an outlier's further spread (times), effects of
#: images on a recipe, and the spread of the architectures of pairs (0: two samples).
RECIPES = (
    ((3, 3), (0.3, 0.3), 1, 0.3, 0), ((3, 3), (0.1, 0.1), 1, 0.3, 0), ((3, 3), (0.3, 0.15), 1, 0.3, 0),
    ((3, 3), (0.3, 0.3), 2, 0.3, 0), ((5, 5), (0.3, 0.3), 1, 0.3, 0), ((5, 5), (0.3, 0.3), 3, 0.3, 0),
    ((10, 10), (0.3, 0.3), 1, 0.3, 0), ((10, 10), (0.3, 0.3), 3, 0.3, 0), ((3, 5), (0.3, 0.3), 1, 0.3, 0),
    ((3, 10), (0.3, 0.3), 1, 0.3, 0), ((3, 10), (0.1, 0.1), 1, 0.3, 0), ((3, 10), (0.3, 0.15), 1, 0.3, 0),
    ((3, 10), (0.15, 0.3), 1, 0.3, 0), ((10, 3), (0.3, 0.3), 3, 0.3, 0), ((3, 3), (0.3, 0.3), 1, 0.3, 0.5),
    ((3, 3), (0.1, 0.1), 1, 0.3, 0.5), ((6, 6), (0.3, 0.3), 1, 0.3, 0.5), ((6, 6), (0.3, 0.3), 3, 0.3, 0.5),
)  # fmt: skip


def two_recipes(
    rng: Rng, sizes: tuple[int, int], spread: tuple[float, float], outlier: float, effects: float, lines: float
) -> dict[str, bool | None]:
    """Accuracy of equal recipes on 300 images, with networks and images drawn; one network of the first strays."""
    n, hard, parts = 300, rng.normal(size=300), []
    line = rng.normal(0, lines, max(sizes))
    for k, sd in zip(sizes, spread, strict=True):
        own = rng.normal(0, sd, k) * np.where((np.arange(k) == 0) & (not parts), outlier, 1)
        mine = hard[:, None] + rng.normal(0, effects, (n, 1)) + rng.normal(0, 0.5, (n, k)) + own + line[:k]
        parts.append(rng.random((n, k)) < logistic(mine))
    seen = sampled_ratio(METRIC, [trials(right, np.ones(n)) for right in np.hstack(parts).T])
    assert seen is not None
    each = np.eye(sum(sizes))
    first, second = each[: sizes[0]], each[sizes[0] :]
    test = over_networks([(1.0, first - second)] if lines else [(1.0, first), (-1.0, second)], seen.values, seen.images)
    mean = over_networks([(1.0, second)], seen.values, seen.images)
    half = robust_interval(mean.value, mean.spread, (0.0, 1.0))
    low, high = test.test.interval(0.95)
    alone = (first.mean(axis=0) - second.mean(axis=0)) if not lines else (first - second).mean(axis=0)
    fixed = 1.96 * np.sqrt(seen.images(alone).value)
    return {
        "networks and images": holds(low, high, 0.0), "mean": holds(*half, 0.5), "images alone": abs(test.value) < fixed
    }  # fmt: skip


def recipes_with_people(rng: Rng, sizes: tuple[int, int], n: int, people: int) -> dict[str, bool | None]:
    """Error consistency of equal recipes with people: networks differ in how far they follow the images' difficulty."""
    hard, others = crowd(rng, n, people, 0.08, 0.12)
    names = [f"net{i}" for i in range(sum(sizes))]
    given = {name: answers(rng, float(rng.normal(0.5, 0.12)), hard, float(rng.normal(0.6, 0.05))) for name in names}
    tests = list(compare_all(given, {f"subject-{name}": person for name, person in others.items()}))
    images = from_pairs(names, tests, np.zeros(len(names)))
    assert images is not None
    right = {who: t["response"] == "cat" for who, t in {**given, **others}.items()}
    values = np.array([np.mean([kappa_of(right[name], right[who]) for who in others]) for name in names])
    each = np.eye(len(names))
    found = over_networks([(1.0, each[: sizes[0]]), (-1.0, each[sizes[0] :])], values, images)
    return {"networks and images": holds(*found.test.interval(0.95), 0.0)}


def ranks(rng: Rng) -> dict[str, bool]:
    truth, n = np.array((0.80, 0.79, 0.79, 0.70, 0.55, 0.53, 0.30)), 1000
    seen = np.where(rng.random((7, n)) < 0.5, rng.random(n), rng.random((7, n))) < truth[:, None]
    values = seen.mean(axis=1)
    _, low, high = rank_intervals(values, np.sqrt(values * (1 - values) / n))
    best = 1 + (truth[None, :] > truth[:, None]).sum(axis=1)
    worst = len(truth) - (truth[None, :] < truth[:, None]).sum(axis=1)
    inside = (low <= best) & (high >= worst)
    return {"second network": bool(inside[1]), "all at once": bool(inside.all())}


def equal_ranks(rng: Rng, networks: int) -> dict[str, bool]:
    """Ranks of networks that are all alike, on images of their own: where most can go wrong."""
    _, low, high = rank_intervals(rng.normal(size=networks), np.ones(networks))
    inside = (low == 1) & (high == networks)
    return {"one network": bool(inside[0]), "all at once": bool(inside.all())}


def correlations(rng: Rng, large: Sequence[int], small: int, size: int, rho: float, share: float) -> dict[str, bool]:
    """Rank correlation of two scores over observers; `share` of the variance is their families'.

    The true value, of observers at large: 6/pi asin(rho/2) (Kruskal 1958, JASA 53:814)."""
    sizes = [*large, *rng.integers(1, size + 1, small)]
    cov, member = [[1, rho], [rho, 1]], np.repeat(np.arange(len(sizes)), sizes)
    shared = rng.multivariate_normal([0, 0], cov, len(sizes))[member]
    own = rng.multivariate_normal([0, 0], cov, len(member))
    x, y = (np.sqrt(share) * shared + np.sqrt(1 - share) * own).T
    truth = 6 / np.pi * np.arcsin(rho / 2)
    clustered, alone = (correlation(x, y, by) for by in (list(map(str, member)), [*map(str, range(len(x)))]))
    return {
        "families as wholes": holds(clustered.low, clustered.high, truth),
        "observers alone": holds(alone.low, alone.high, truth),
    }  # fmt: skip


# Tests


def test_bias(rng: Rng, n: int, bias: float, counted: tuple[float, float]) -> dict[str, bool | None]:
    """S / (S + T) of observers who follow a cue in different shares of the trials; accuracy where all count."""
    draws = zip(related(rng, n), counted, strict=True)
    return rejected(compare_ratio(METRIC, *(trials(u < bias * s, u < s) for u, s in draws)))  # fmt: skip


def test_clustered(
    rng: Rng, size: tuple[int, int, int], spread: tuple[float, float], counted: tuple[float, float]
) -> dict[str, bool | None]:
    """S / (S + T) on shapes x textures; tastes for both differ by observer."""
    drawn, labels = tastes(rng, size, spread, 2)
    pair = (followed(rng, t, s, labels) for t, s in zip(drawn, counted, strict=True))
    return rejected(compare_ratio(METRIC, *pair))


def test_equivalence(rng: Rng, n: int, margin: float) -> dict[str, bool | None]:
    """Two accuracies that differ by just the margin, called equivalent."""
    a, b = related(rng, n)
    pair = (trials(u < p, np.ones(n)) for u, p in ((a, 0.6 + margin), (b, 0.6)))
    found = compare_ratio(METRIC, *pair)
    assert found.test is not None
    low, high = found.test.interval(Margin(margin, both=True).level(1))
    return {"size": low is not None and high is not None and -margin < low and high < margin}


def test_mean(rng: Rng, n: int, skewed: bool) -> dict[str, bool | None]:
    draw = (lambda: rng.exponential(size=n) ** 2) if skewed else (lambda: rng.normal(size=n))
    common = draw()
    return rejected(compare_ratio(METRIC, *(trials(common + draw(), np.ones(n)) for _ in range(2))))


def test_of_clean(rng: Rng, n: int, clean: tuple[float, float]) -> dict[str, bool | None]:
    """Accuracy left under five corruptions, over clean accuracy: numerator and denominator on other trials."""

    def observer(p: float) -> Trials:
        draws = np.where(rng.random((n, 6)) < 0.6, rng.random((n, 1)), rng.random((n, 6)))
        num, den = (draws < 0.6 * p) / 5.0, np.zeros((n, 6))
        num[:, 0], den[:, 0] = 0, draws[:, 0] < p
        return trials(num, den)

    return rejected(compare_ratio(METRIC, *map(observer, clean)))


def test_people(
    rng: Rng, metric: str, n: int, k: int, spread: tuple[float, float], group: bool, level: float
) -> dict[str, bool | None]:
    """Two networks against the same people, or a network like them against the group, who differ by `spread`."""
    hard, people = crowd(rng, n, k, *spread)
    a, b = (answers(rng, 0.7 if group else 0.5, hard, level) for _ in range(2))
    if not metric:
        return rejected(compare_people(METRIC, a, list(people.values())))
    found = compare_pair(a, None if group else b, people)
    return rejected(next(c for c in found if c.metric == metric and not c.condition))


def kinds() -> Iterator[Kind]:
    """Every kind of interval and test, on the sizes that occur."""
    whole = (160, 48, 8)
    for middle, spread, size in ((-1.5, 1.0, whole), (-1.5, 1.3, whole), (0.0, 1.0, whole),
                                 (-1.5, 0.0, whole), (-1.5, 1.0, (40, 16, 8))):  # fmt: skip
        words = f"{size[0]} shapes x {size[1]} textures, middle {middle:g}, effects {spread:g}"
        yield "shape bias", words, partial(shape_bias, middle=middle, spread=spread, size=size)
    for n, p in ((160, 0.5), (160, 0.95)):
        yield "accuracy", f"{n} images, p = {p}", partial(share, n=n, p=p)
    for k in (4, 5, 7, 10):
        for mean, sd in ((0.7, 0.1), (0.96, 0.018)):
            words = f"{k} people, {mean:g}, sd {sd:g}"
            yield "pooled people", words, partial(pooled, people=k, mean=mean, sd=sd)
            yield "mean of people", words, partial(mean_over_people, people=k, mean=mean, sd=sd)
    for n in (40, 160):
        for kind in ("normal", "skewed", "within 0 and 1"):
            yield "mean", f"{n} images, {kind}", partial(mean_over_images, n=n, kind=kind)
    for n, p_a, p_b, kappa in ((160, 0.6, 0.6, 0.4), (1280, 0.6, 0.6, 0.4), (160, 0.95, 0.95, 0.4),
                               (160, 0.99, 0.99, 0.4), (160, 0.99, 0.95, 0.2), (160, 0.995, 0.995, 0.9)):  # fmt: skip
        words = f"{n} images, accuracies {p_a:g} and {p_b:g}, kappa {kappa:g}"
        yield "kappa", words, partial(kappa_pair, n=n, p_a=p_a, p_b=p_b, kappa=kappa)
    yield "kappa", "160 shapes x 48 textures, effects 1", partial(kappa_shared, size=whole)
    for n, k in ((160, 10), (640, 4)):
        for metric in ("error_consistency", "accuracy_difference"):
            study = partial(with_people, n=n, people=k, metric=metric)
            yield f"{metric.replace('_', ' ')} with people", f"{n} images, {k} people", study
    yield "rank", "7 networks, 1000 images in common", ranks
    for networks in (3, 12, 65):
        yield "rank", f"{networks} equal networks", partial(equal_ranks, networks=networks)
    for large, small, most, rho, own in FAMILIES:
        words = f"families of {large} and {small} of 1 to {most}, correlation {rho:g}, share {own:g}"
        study = partial(correlations, large=large, small=small, size=most, rho=rho, share=own)
        yield "rank correlation", words, study
    for networks, spread, outlier, effects, lines in RECIPES:
        words = f"{networks[0]} and {networks[1]} networks of spread {spread[0]:g} and {spread[1]:g}"
        words += f", one {outlier} times as far" * (outlier > 1) + ", paired" * bool(lines)
        more = {"sizes": networks, "spread": spread, "outlier": outlier, "effects": effects, "lines": lines}
        yield "recipes", words, partial(two_recipes, **more)
    for networks, n, k in (((3, 3), 160, 10), ((3, 6), 160, 10), ((5, 5), 320, 4)):
        words = f"error consistency: {networks[0]} and {networks[1]} networks, {n} images, {k} people"
        yield "recipes", words, partial(recipes_with_people, sizes=networks, n=n, people=k)
    yield from tests()


def tests() -> Iterator[Kind]:
    for n, bias, both in ((100, 0.5, (1, 1)), (160, 0.9, (1, 1)), (1000, 0.1, (1, 1)), (100, 0.3, (0.8, 0.8)),
                          (160, 0.3, (0.8, 0.26)), (160, 0.3, (0.9, 0.1)), (1200, 0.3, (0.8, 0.3))):  # fmt: skip
        name = "test of accuracy" if both == (1, 1) else "test of shape bias"
        yield (name, f"n={n}, {bias:g}, counted {both}", partial(test_bias, n=n, bias=bias, counted=both))
    few = [((n, m, min(n, m)), spread, (0.6, 0.6)) for n, m in ((40, 3), (8, 4), (20, 5), (16, 16), (20, 20))
           for spread in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))]  # fmt: skip
    large = (160, 48, 8)
    for size, spread, counted in ((large, (1.0, 1.0), (0.6, 0.6)), (large, (1.0, 1.0), (0.6, 0.2)),
                                  (large, (0.0, 0.0), (0.6, 0.6)), *few):  # fmt: skip
        words = f"{size[0]} x {size[1]} exemplars of spread {spread}, counted {counted}"
        study = partial(test_clustered, size=size, spread=spread, counted=counted)
        levels = "160 x 48" if size is large else "16 and 20 levels" if size[1] >= 16 else "fewer than 16 levels"
        yield f"test of shape bias, clustered: {levels}", words, study
    for n, margin in ((200, 0.15), (1000, 0.05)):
        yield ("equivalence", f"n={n}, margin {margin:g}", partial(test_equivalence, n=n, margin=margin))
    for n, skewed in ((40, False), (192, True)):
        yield "test of mean", f"n={n}, skewed {skewed}", partial(test_mean, n=n, skewed=skewed)
    for clean in ((0.9, 0.9), (0.9, 0.6)):
        yield ("test of clean", f"n=160 x 5, clean {clean}", partial(test_of_clean, n=160, clean=clean))
    for n, k in ((160, 10), (640, 4)):
        rows = [(metric, (0.08, 0.12), False, 0.6) for metric in AGREEMENT]
        rows += [(metric, (0.0, 0.12), True, 0.6) for metric in AGREEMENT]
        rows += [("accuracy_difference", (0.08, 0.12), False, 0.4), ("", (0.08, 0.0), True, 0.6)]
        for metric, spread, group, level in rows:
            what = metric.replace("_", " ") or "pooled accuracy"
            words = f"{what}, n={n}, {'one network and the group' if group else 'two networks'}"
            study = partial(test_people, metric=metric, n=n, k=k, spread=spread, group=group, level=level)
            yield f"tests with {k} people", words, study


def keep(path: Path, name: str, setting: str, shares: Mapping[str, float], studies: int) -> None:
    """Write the shares of one kind into the file, in place of those that it had."""
    rows = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            replaced = (setting, "lowest", "highest")  # the last two: what a page quoted of all settings
            rows = [row for row in list(csv.reader(file))[1:] if row[0] != name or row[1] not in replaced]
    rows += [[name, setting, word, f"{value:.4f}", str(studies)] for word, value in shares.items()]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("what", "setting", "by", "share", "studies"), *sorted(rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--studies", type=int, default=100, help="simulated studies of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds whose name has this word")
    parser.add_argument("--keep", type=Path, help="a file that keeps the shares")
    args = parser.parse_args()
    print("| what | setting | interval or size | share | a simpler one |\n|---|---|---|---|---|")
    for name, setting, study in kinds():
        if args.only not in name:
            continue
        rng = np.random.default_rng(args.seed)
        found = [study(rng) for _ in range(args.studies)]
        shares = {
            word: float(np.mean([one[word] for one in found if one[word] is not None])) for word in found[0]
        }  # fmt: skip
        if args.keep:
            keep(args.keep, name, setting, shares, args.studies)
        (word, value), *rest = shares.items()
        other = "; ".join(f"{plain}: {kept:.3f}" for plain, kept in rest)
        print(f"| {name} | {setting} | {word} | {value:.3f} | {other} |", flush=True)


if __name__ == "__main__":
    main()
