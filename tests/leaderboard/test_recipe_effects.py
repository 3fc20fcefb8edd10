"""Recipes: means and differences over networks and images."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from benchmark.cli.run_commands import NEXT
from benchmark.contracts import Metric, Trials
from benchmark.leaderboard.lineage import lineage
from benchmark.leaderboard.links import Observed
from benchmark.leaderboard.recipe_effects import (
    HeadlineSample,
    compared_recipes,
    recipe_comparison_table,
    recipe_power_table,
    recipe_table,
)
from benchmark.stats.comparisons import Comparison
from benchmark.stats.differences import Studentised
from benchmark.stats.network_samples import TIMES, fixed_images, from_pairs, over_networks, sampled_ratio
from benchmark.stats.ratios import share

NAMES = [f"net-{recipe}-{seed}" for recipe in ("standard", "stylised") for seed in range(3)]
SIDES = {name: frozenset([name]) for name in ("stylised", "standard")}
METRIC = Metric(name="right", title="right", definition="", headline=True, ratio=share(lambda t: t["right"]))


def answers(right):
    n = len(right)
    columns = {"role": np.full(n, "x"), "condition": np.full(n, ""), "stimulus": np.arange(n).astype(str)}
    return Trials(columns={**columns, "right": np.asarray(right, dtype=float)})


def sample(table, names, recipes):
    """table: [images, networks]."""
    found = sampled_ratio(METRIC, [answers(column) for column in np.transpose(table)])
    networks = [
        Observed(name=name, kind="network", lineage=lineage(name, (recipe,)), values={})
        for name, recipe in zip(names, recipes, strict=True)
    ]
    return HeadlineSample(
        suite="s", space="x", metric=METRIC, networks=tuple(networks), answers=found, over="networks and images"
    )


def seeds(right, recipes=("standard", "stylised"), names=NAMES):
    """A sample of three networks of each of two recipes. right: [images, 6]."""
    return sample(np.asarray(right, dtype=float), names, [recipe for recipe in recipes for _ in range(3)])


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    easy = rng.random((60, 1))
    return (rng.random((60, 6)) * 0.5 + easy * 0.5 < [0.3, 0.35, 0.5, 0.6, 0.7, 0.75]).astype(float)


def squares(table):
    """Mean squares of images, networks, and the rest of a crossed table [images, networks]."""
    n, k = table.shape
    images, networks = table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
    rest = table - images - networks + table.mean()
    return images.var(ddof=1) * k, networks.var(ddof=1) * n, (rest**2).sum() / ((n - 1) * (k - 1))


def test_pairs_by_seed_are_a_crossed_analysis_of_variance(table):
    (one,) = compared_recipes([seeds(table)], SIDES)
    apart = table[:, 3:] - table[:, :3]
    images, networks, rest = squares(apart)
    total = (max(0.0, images - rest) + networks) / apart.size
    assert (one.a, one.b) == (tuple(NAMES[3:]), tuple(NAMES[:3]))
    assert one.row.comparison.difference == pytest.approx(apart.mean())
    assert one.estimate.test.se**2 == pytest.approx(total)
    assert one.estimate.networks == pytest.approx(max(0.0, networks - rest) / apart.size)
    shown = recipe_comparison_table([one])
    share = shown.rows[0][shown.named("alone")[0]]
    assert share == pytest.approx(np.sqrt(2 / np.pi) * apart.mean(axis=0).std(ddof=1) / abs(apart.mean()))
    low, high = one.row.comparison.low, one.row.comparison.high
    half = stats.t.ppf(0.975, one.estimate.df) * np.sqrt(total)
    assert (low, high) == pytest.approx((apart.mean() - half, apart.mean() + half))
    assert one.unit == "3 pairs by seed" and "every network is net" in one.flags[0]


def test_without_partners_two_samples_of_networks_are_compared(table):
    names = ["resnet50-a", "resnet101-b", "vit_b", "alexnet", "vgg11", "vgg13"]
    (one,) = compared_recipes([sample(table, names, ["stylised"] * 3 + ["standard"] * 3)], SIDES)
    means = table.mean(axis=0)  # lines count once: resnet and vit; alexnet and vgg
    first, second = np.array([means[:2].mean(), means[2]]), np.array([means[3], means[4:].mean()])
    assert one.unit == "2 lines + 2 lines"
    assert one.row.comparison.difference == pytest.approx(first.mean() - second.mean())
    spread = first.var(ddof=1) / 2 + second.var(ddof=1) / 2
    assert one.estimate.networks + one.estimate.interaction == pytest.approx(spread)
    assert one.flags[0] == "no architecture in common: resnet, vit against alexnet, vgg"


def test_images_alone_make_the_interval_where_networks_are_alike():
    """Equal networks on many images: what is left is the images' own variance."""
    right = np.tile(np.random.default_rng(1).random((400, 1)) < 0.5, (1, 6))
    found = sampled_ratio(METRIC, [answers(column) for column in right.T])
    one = over_networks([(1.0, np.eye(6)[:3])], found.values, found.images)
    assert (one.networks, one.interaction) == pytest.approx((0, 0), abs=1e-12)
    assert one.images == pytest.approx(right[:, 0].var(ddof=1) / 400) and one.df > 300


def test_a_metric_of_pairs_has_the_covariance_that_they_imply():
    rng = np.random.default_rng(2)
    root = rng.normal(size=(4, 4))
    covariance, weights = root @ root.T, np.array([0.5, 0.5, -1.0, 0.0])
    tests = [
        (str(i), str(j), Comparison(metric="m", test=Studentised(difference=0, se=variance**0.5, df=7)))
        for i, j in combinations(range(4), 2)
        for variance in [covariance[i, i] + covariance[j, j] - 2 * covariance[i, j]]
    ]
    found = from_pairs(list("0123"), tests, np.sqrt(np.diag(covariance)))(weights)
    assert (found.value, found.df) == (pytest.approx(weights @ covariance @ weights), 7.0)
    assert from_pairs(list("0123"), tests[1:], np.zeros(4)) is None
    assert fixed_images(weights).value == 0


def test_one_network_has_a_dash_and_its_reason(table):
    names, recipes = ["n-a-0", "n-a-1", "n-a-2", "n-b-0", "n-c-0", "n-c-1"], ["stylised"] * 3 + ["standard"] + ["x"] * 2
    two, stylised, standard, within, between = recipe_table([sample(table[:, ::-1], names, recipes)]).rows
    stylised, two = sorted([stylised, two], key=lambda row: row[0])
    assert stylised[2].value == pytest.approx(table[:, 3:].mean()) and stylised[2].low < stylised[2].value
    assert (two[2].value, two[2].low) == (pytest.approx(table[:, :2].mean()), None)
    assert (standard[2].value, standard[2].reason) == (None, "one network: its seed cannot be told from its recipe")
    parts = [table[:, 3:].mean(axis=0), table[:, :2].mean(axis=0)]
    assert within[2] == pytest.approx(np.sqrt(sum(((p - p.mean()) ** 2).sum() for p in parts) / 3))
    assert between[2] == pytest.approx(np.std([p.mean() for p in parts], ddof=1))


def test_a_plan_is_the_noncentral_t_of_more_networks_and_images(table):
    (one,) = compared_recipes([seeds(table)], SIDES)
    found = replace(one.estimate, networks=0.004, images=0.0005, interaction=0.001, single=(0.012, 0.003))
    assert found.planned(3).se == pytest.approx(found.test.se)

    def chance(k, times=1.0, single=(0.012, 0.003)):
        spread = (single[0] + single[1] / times) / k
        se, df = np.sqrt(spread + 0.0005 / times), (k - 1) * ((spread + 0.0005 / times) / spread) ** 2
        return stats.nct.sf(stats.t.ppf(0.975, df), df, 0.1 / se) + stats.nct.cdf(-stats.t.ppf(0.975, df), df, 0.1 / se)

    needed = next(k for k in range(2, 99) if chance(k) >= 0.8)
    assert chance(3, 1e6) < 0.8
    more = replace(one, estimate=replace(found, single=(0.0006, 0.01)))
    times = min(t for t in TIMES if chance(3, t, (0.0006, 0.01)) >= 0.8)
    plans = {replace(one, estimate=found): 0.5, more: None}
    shown = recipe_power_table(plans, detect=0.1, power=0.8, training=2.0).rows
    assert (shown[0][3], shown[0][7], shown[0][9]) == (3, needed, "no number")
    assert (shown[0][8], shown[1][9]) == (f"{2 * (needed - 3) * 2.5:.2g}", f"{times * 60:,.0f}")


def test_the_first_command_ends_with_what_one_seed_is_worth():
    assert "one seed is no evidence on a recipe: bench run -m 'world-*'" in NEXT[-1]
