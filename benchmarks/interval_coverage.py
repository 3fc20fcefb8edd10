"""Coverage of the intervals: how often an interval at 95 % holds the true value, in simulated studies of each kind.

    python benchmarks/interval_coverage.py [--studies 100] [--seed 0] [--only WORD]

The true value is that of what the interval is about: other shapes and textures, other people, other images. An honest
interval holds it in 95 % of studies; with 2,000 studies a share is good to +-1 %. Beside it stands what a simpler
interval does on the same studies.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from ratios import ratio, slug
from size import METRIC, answers, crowd, trials

from benchmark.contracts import Trials
from benchmark.engine.scoring import pooled_score
from benchmark.stats import mean_interval, rank_intervals, wilson
from benchmark.stats.agreement import agreement, contingency
from benchmark.stats.correlations import correlation
from benchmark.stats.intervals import bootstrap_ratio, percentiles
from benchmark.stats.ratios import ratio_score
from suites.human_comparison.comparing import compare

Rng = np.random.Generator
Study = Callable[[Rng], Mapping[str, bool]]  # interval -> whether it held the true value
NOMINAL = 0.95
POOLED = replace(METRIC, role="x")  # people are pooled role by role
LARGE = 2_000_000  # draws behind a true value that has no formula
#: Large families by size, small ones, observers in the largest of these, correlation, share of the families' variance.
FAMILIES = (
    ((), 5, 3, 0.5, 0.8),
    ((), 8, 2, 0.0, 0.5),
    ((), 8, 2, 0.5, 0.8),
    ((), 25, 4, 0.5, 0.5),
    ((), 60, 3, 0.85, 0.5),
    ((20, 8, 8), 15, 2, 0.0, 0.5),
    ((20, 8, 8), 15, 2, 0.0, 0.9),
    ((20, 8, 8), 15, 2, 0.6, 0.9),
    ((30,), 10, 1, 0.6, 0.5),
    ((10, 10, 10), 10, 1, 0.6, 0.8),
)
ACCURACIES = (0.80, 0.79, 0.79, 0.70, 0.55, 0.53, 0.30)  # networks with close neighbours


@dataclass(frozen=True)
class Kind:
    """What is simulated, in words; slow: a study takes long, so a fifth of the number is made."""

    name: str
    setting: str
    study: Study
    slow: bool = False


def holds(low: float | None, high: float | None, truth: float) -> bool:
    """Whether an interval holds the true value; none holds nothing."""
    return low is not None and high is not None and low <= truth <= high


def logistic(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x))."""
    return np.asarray(1 / (1 + np.exp(-x)))


@cache
def true_share(middle: float, spread: float) -> float:
    """Share of shape answers over all shapes and textures: the logistic mean of a normal, by Gauss and Hermite."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    return float((logistic(middle + np.sqrt(2) * spread * nodes) * weights).sum() / weights.sum())


def conflict_images(rng: Rng, shapes: int, textures: int, each: int) -> tuple[np.ndarray, ...]:
    """Shape and texture of every image [shapes * each]: each shape with `each` different textures."""
    chosen = [rng.choice(textures, each, replace=False) for _ in range(shapes)]
    return np.repeat(np.arange(shapes), each), np.concatenate(chosen)


def shape_bias(
    rng: Rng, middle: float, spread: float, size: tuple[int, int, int]
) -> dict[str, bool]:
    """S / (S + T) of a network that has a taste for each shape and each texture; 60 % of trials count."""
    shape, texture = conflict_images(rng, *size)
    taste = rng.normal(0, spread, size[0])[shape] + rng.normal(0, spread, size[1])[texture]
    den = rng.random(len(shape)) < 0.6
    num = den & (rng.random(len(shape)) < logistic(middle + taste))
    labels = {"shape_exemplar": shape.astype(str), "texture_exemplar": texture.astype(str)}
    score = ratio_score(METRIC, trials(num * 1.0, den * 1.0, **labels))
    truth = true_share(middle, spread)
    plain = wilson(int(num.sum()), int(den.sum()))
    return {"clustered": holds(score.low, score.high, truth), "Wilson": holds(*plain, truth)}


def pooled(rng: Rng, people: int, mean: float, sd: float) -> dict[str, bool]:
    """Trials of people whose shape biases are drawn from a beta distribution; about 960 of 1,280 count."""
    total = mean * (1 - mean) / sd**2 - 1
    biases = rng.beta(mean * total, (1 - mean) * total, people)
    parts = [answered(rng, float(p), float(rng.uniform(0.6, 0.9))) for p in biases]
    score = pooled_score(POOLED, parts)
    assert score is not None
    sums = np.array([[one["num"].sum(), one["den"].sum()] for one in parts])
    names = np.arange(people)
    plain = bootstrap_ratio(sums[:, 0], sums[:, 1], names, resamples=1000)
    return {
        "t over people": holds(score.low, score.high, mean),
        "bootstrap": holds(*plain, mean),
    }


def answered(rng: Rng, p: float, counted: float, n: int = 1280) -> Trials:
    """One person's trials."""
    den = rng.random(n) < counted
    return trials((den & (rng.random(n) < p)) * 1.0, den * 1.0)


def pair_cells(p_a: float, p_b: float, kappa: float) -> np.ndarray:
    """Probabilities of both right, only a, only b, neither, with these accuracies and this kappa."""
    chance = p_a * p_b + (1 - p_a) * (1 - p_b)
    seen = chance + kappa * (1 - chance)
    both = (p_a + p_b - 1 + seen) / 2
    return np.array([both, p_a - both, p_b - both, 1 - p_a - p_b + both])


def kappa_pair(rng: Rng, n: int, cells: np.ndarray, kappa: float) -> dict[str, bool]:
    """Kappa of two observers on n images that share nothing."""
    drawn = rng.choice(4, size=n, p=cells)
    a, b = drawn < 2, drawn % 2 == 0
    found = agreement(a, b)
    table = contingency(a, b)
    counts = np.array([table.both, table.only_a, table.only_b, table.neither]) / n
    plain = percentiles(kappas(rng.multinomial(n, counts, size=1000) / n), NOMINAL)
    return {"Jeffreys": holds(found.low, found.high, kappa), "bootstrap": holds(*plain, kappa)}


def kappas(shares: np.ndarray) -> np.ndarray:
    """Kappa from shares [m, 4] of both, only a, only b, neither, written out; 1 where they never differ."""
    both, only_a, only_b, neither = shares.T
    p, q, seen = both + only_a, both + only_b, both + neither
    chance = p * q + (1 - p) * (1 - q)
    room = np.where(seen >= 1, 1.0, 1 - chance)
    return np.where(seen >= 1, 1.0, (seen - chance) / room)


def tasted(rng: Rng, tastes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Right answers of two observers to images of these tastes, which both share in part."""
    return tuple(rng.random(len(tastes)) < logistic(0.5 + tastes) for _ in range(2))  # type: ignore[return-value]


@cache
def true_kappa_of_tastes(spread: float) -> float:
    """Kappa of `tasted` over all shapes and textures."""
    rng = np.random.default_rng(1)
    a, b = tasted(rng, rng.normal(0, np.sqrt(2) * spread, LARGE))
    p, q, seen = a.mean(), b.mean(), (a == b).mean()
    chance = p * q + (1 - p) * (1 - q)
    return float((seen - chance) / (1 - chance))


def kappa_shared(rng: Rng, spread: float, size: tuple[int, int, int]) -> dict[str, bool]:
    """Kappa on images that share shapes and textures, which are hard for both observers."""
    shape, texture = conflict_images(rng, *size)
    taste = rng.normal(0, spread, size[0])[shape] + rng.normal(0, spread, size[1])[texture]
    a, b = tasted(rng, taste)
    truth = true_kappa_of_tastes(spread)
    found, plain = agreement(a, b, [shape, texture]), agreement(a, b)
    return {
        "Jeffreys, clustered": holds(found.low, found.high, truth),
        "Jeffreys": holds(plain.low, plain.high, truth),
    }


@cache
def true_kappa_of_people() -> float:
    """Kappa of a network with people in `size.crowd`, over all images and people."""
    rng = np.random.default_rng(2)
    found = []
    for share, p in zip(rng.normal(0.7, 0.12, 400), rng.normal(0.6, 0.08, 400), strict=True):
        hard = rng.random(20_000)
        a, b = (answers(rng, len(hard), s, hard, q)["num"] for s, q in ((0.5, 0.6), (share, p)))
        cells = np.array([[(a * b).mean(), (a * (1 - b)).mean(), ((1 - a) * b).mean(), 0.0]])
        cells[0, 3] = 1 - cells.sum()
        found.append(kappas(cells)[0])
    return float(np.mean(found))


def with_people(rng: Rng, n: int, people: int, metric: str) -> dict[str, bool]:
    """Agreement of a network with people, images and people drawn; people's accuracies differ by .08."""
    hard, others = crowd(rng, n, people, 0.08, 0.12)
    mine = answers(rng, n, 0.5, hard, 0.6)
    scores = compare(None, mine, {f"subject-{i}": one for i, one in enumerate(others)})
    score = next(s for s in scores if s.metric == metric and not s.condition)
    truth = 0.08**2 if metric == "accuracy_difference" else true_kappa_of_people()
    return {"images weighted, people drawn": holds(score.low, score.high, truth)}


def mean(rng: Rng, n: int, kind: str) -> dict[str, bool]:
    """A mean of numbers over images, one trial each."""
    draw, truth, bounds = {
        "normal": (partial(rng.normal, 1, 1), 1.0, None),
        "skewed": (rng.exponential, 1.0, None),
        "within 0 and 1": (partial(rng.beta, 0.5, 4), 1 / 9, (0.0, 1.0)),
    }[kind]
    score = ratio_score(replace(METRIC, bounds=bounds), trials(draw(size=n), np.ones(n)))
    return {score.method: holds(score.low, score.high, truth)}


def share(rng: Rng, n: int, p: float) -> dict[str, bool]:
    """Right or wrong, each image once."""
    score = ratio_score(METRIC, trials((rng.random(n) < p) * 1.0, np.ones(n)))
    return {"Wilson": holds(score.low, score.high, p)}


def mean_over_people(rng: Rng, people: int, middle: float, sd: float) -> dict[str, bool]:
    """Mean over people of shares, from a beta distribution."""
    total = middle * (1 - middle) / sd**2 - 1
    x = rng.beta(middle * total, (1 - middle) * total, people)
    found = mean_interval(x, bounds=(0.0, 1.0))
    return {"within bounds": holds(*found, middle), "t": holds(*mean_interval(x), middle)}


def ranks(rng: Rng) -> dict[str, bool]:
    """Ranks of seven networks on common images: of one network given beforehand, and of all at once."""
    truth, n = np.array(ACCURACIES), 1000
    hard = rng.random(n)
    seen = np.where(rng.random((7, n)) < 0.5, hard, rng.random((7, n))) < truth[:, None]
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


def correlations(
    rng: Rng, large: Sequence[int], small: int, size: int, rho: float, share: float
) -> dict[str, bool]:
    """Rank correlation of two scores over observers; `share` of the variance is their families'.

    The true value, of observers at large: 6/pi asin(rho/2) (Kruskal 1958, JASA 53:814).
    """
    sizes = [*large, *rng.integers(1, size + 1, small)]
    cov, member = [[1, rho], [rho, 1]], np.repeat(np.arange(len(sizes)), sizes)
    shared = rng.multivariate_normal([0, 0], cov, len(sizes))[member]
    own = rng.multivariate_normal([0, 0], cov, len(member))
    x, y = (np.sqrt(share) * shared + np.sqrt(1 - share) * own).T
    truth = 6 / np.pi * np.arcsin(rho / 2)
    clustered = correlation(x, y, [str(one) for one in member])
    alone = correlation(x, y, [str(one) for one in range(len(member))])
    return {
        "families as wholes": holds(clustered.low, clustered.high, truth),
        "observers alone": holds(alone.low, alone.high, truth),
    }


def kinds() -> Iterator[Kind]:
    """Every kind of interval, on the sizes that occur."""
    for middle, spread, size in (
        (-1.5, 1.0, (160, 48, 8)),
        (-1.5, 1.3, (160, 48, 8)),
        (0.0, 1.0, (160, 48, 8)),
        (-1.5, 0.0, (160, 48, 8)),
        (-1.5, 1.0, (40, 16, 8)),
    ):
        made = f"{size[0]} shapes x {size[1]} textures, {size[0] * size[2]} images"
        words = f"{made}, bias {true_share(middle, spread):.2f}, effects {spread:g}"
        yield Kind(
            "shape bias", words, partial(shape_bias, middle=middle, spread=spread, size=size)
        )
    for n, p in ((160, 0.5), (160, 0.95)):
        yield Kind("accuracy", f"{n} images, p = {p}", partial(share, n=n, p=p))
    for people in (4, 5, 7, 10):
        for middle, sd in ((0.7, 0.1), (0.96, 0.018)):
            yield Kind(
                "pooled people",
                f"{people} people, {middle:g}, sd {sd:g}",
                partial(pooled, people=people, mean=middle, sd=sd),
            )
    for people in (4, 10):
        yield Kind(
            "mean of people",
            f"{people} people, 0.96, sd 0.018",
            partial(mean_over_people, people=people, middle=0.96, sd=0.018),
        )
    for n in (40, 160):
        for kind in ("normal", "skewed", "within 0 and 1"):
            yield Kind("mean", f"{n} images, {kind}", partial(mean, n=n, kind=kind))
    yield from kappa_kinds()
    yield Kind("rank", "7 networks, 1000 images in common", ranks)
    for networks in (3, 12):
        yield Kind("rank", f"{networks} equal networks", partial(equal_ranks, networks=networks))
    for large, small, size, rho, own in FAMILIES:
        most = "".join(f"one of {n}, " for n in large)
        words = f"{most}{small} families of 1 to {size}, correlation {rho:g}, share {own:g}"
        study = partial(correlations, large=large, small=small, size=size, rho=rho, share=own)
        yield Kind("rank correlation", words, study)


def kappa_kinds() -> Iterator[Kind]:
    """Agreement of two observers, and with people."""
    for n, p_a, p_b, kappa in (
        (160, 0.6, 0.6, 0.4),
        (1280, 0.6, 0.6, 0.4),
        (160, 0.95, 0.95, 0.4),
        (160, 0.99, 0.99, 0.4),
        (160, 0.99, 0.95, 0.2),
        (160, 0.995, 0.995, 0.9),
    ):
        cells = pair_cells(p_a, p_b, kappa)
        words = f"{n} images, accuracies {p_a:g} and {p_b:g}, kappa {kappa:g}"
        yield Kind("kappa", words, partial(kappa_pair, n=n, cells=cells, kappa=kappa))
    words = "160 shapes x 48 textures, effects 1"
    yield Kind("kappa", words, partial(kappa_shared, spread=1.0, size=(160, 48, 8)))
    for n, people in ((160, 10), (640, 4)):
        words = f"{n} images, {people} people"
        for name, metric in (
            ("kappa with people", "error_consistency"),
            ("squared difference from people", "accuracy_difference"),
        ):
            study = partial(with_people, n=n, people=people, metric=metric)
            yield Kind(name, words, study, True)


def measured(kind: Kind, studies: int, seed: int) -> tuple[dict[str, float], int]:
    """The share of studies whose interval holds the truth, by interval; and how many studies there were."""
    rng = np.random.default_rng(seed)
    n = max(20, studies // 5) if kind.slow else studies
    found = [kind.study(rng) for _ in range(n)]
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}, n


def main(given: Sequence[str] | None = None) -> None:
    """Print the table, then a line for each of its rows: coverage over the nominal .95, 1 where it is kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=100, help="simulated studies of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds whose name has this word")
    args = parser.parse_args(given)
    print("| what | setting | interval | coverage | a simpler one | studies |")
    print("|---|---|---|---|---|---|")
    rows = []
    for kind in kinds():
        if args.only not in kind.name:
            continue
        found, n = measured(kind, args.studies, args.seed)
        (name, value), *rest = found.items()
        other = "; ".join(f"{plain}: {kept:.3f}" for plain, kept in rest)
        print(
            f"| {kind.name} | {kind.setting} | {name} | {value:.3f} | {other} | {n} |", flush=True
        )
        rows.append((slug("coverage", kind.name, kind.setting), value / NOMINAL))
    for label, value in rows:
        ratio(label, value, "nominal coverage .95")


if __name__ == "__main__":
    main()
