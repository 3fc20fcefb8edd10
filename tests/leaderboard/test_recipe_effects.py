"""Recipes: means and differences over networks and images, numbers on recipes, claims; and their commands."""

from dataclasses import replace
from datetime import date
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from benchmark import api
from benchmark.cli import tables
from benchmark.cli.run_commands import NEXT
from benchmark.contracts import Metric, Trials
from benchmark.failures import BenchError
from benchmark.leaderboard import recipe_effects as effects
from benchmark.leaderboard.board_model import CLEAN
from benchmark.leaderboard.lineage import lineage
from benchmark.leaderboard.links import Observed
from benchmark.leaderboard.recipe_effects import SIZE, TriedClaim, claims_table, compared_recipes, dose_table, tried
from benchmark.stats import network_samples
from benchmark.stats.comparisons import Comparison
from benchmark.stats.differences import Studentised
from benchmark.stats.network_samples import over_networks, sampled_ratio
from benchmark.stats.ratios import share

NAMES = [f"net-{recipe}-{seed}" for recipe in ("standard", "stylised") for seed in range(3)]
SIDES = {name: frozenset([name]) for name in ("stylised", "standard")}
METRIC = Metric(name="right", title="right", definition="", headline=True, ratio=share(lambda t: t["right"]))


def answers(right):
    n = len(right)
    columns = {"role": np.full(n, "x"), "condition": np.full(n, ""), "stimulus": np.arange(n).astype(str)}
    return Trials(columns={**columns, "right": np.asarray(right, dtype=float)})


def observed(name, *tags, **values):
    return Observed(name=name, kind="network", lineage=lineage(name, tags), values=values)


def sample(table, names, recipes):
    """table: [images, networks]."""
    found = sampled_ratio(METRIC, [answers(column) for column in np.transpose(table)])
    shown = {"suite": "s", "space": "x", "metric": METRIC, "over": "networks and images"}
    return effects.HeadlineSample(networks=tuple(map(observed, names, recipes)), answers=found, **shown)


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
    shown = effects.recipe_comparison_table([one])
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
    found = network_samples.from_pairs(list("0123"), tests, np.sqrt(np.diag(covariance)))(weights)
    assert (found.value, found.df) == (pytest.approx(weights @ covariance @ weights), 7.0)
    assert network_samples.from_pairs(list("0123"), tests[1:], np.zeros(4)) is None
    assert network_samples.fixed_images(weights).value == 0


def test_one_network_has_a_dash_and_its_reason(table):
    names, recipes = ["n-a-0", "n-a-1", "n-a-2", "n-b-0", "n-c-0", "n-c-1"], ["stylised"] * 3 + ["standard"] + ["x"] * 2
    two, stylised, standard, within, between = effects.recipe_table([sample(table[:, ::-1], names, recipes)]).rows
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
    times = min(t for t in network_samples.TIMES if chance(3, t, (0.0006, 0.01)) >= 0.8)
    plans = {replace(one, estimate=found): 0.5, more: None}
    shown = effects.recipe_power_table(plans, detect=0.1, power=0.8, training=2.0).rows
    assert (shown[0][3], shown[0][7], shown[0][9]) == (3, needed, "no number")
    assert (shown[0][8], shown[1][9]) == (f"{2 * (needed - 3) * 2.5:.2g}", f"{times * 60:,.0f}")


def test_the_first_command_ends_with_what_one_seed_is_worth():
    assert "one seed is no evidence on a recipe: bench run -m 'world-*'" in NEXT[-1]


def test_numbers_are_read_from_tags_and_a_standard_network_has_none_of_a_treatment():
    networks = [
        observed("resnet50 (a)", "standard", **{SIZE: 6.0}),
        observed("resnet50_l2_eps3 (a)", "adversarial(l2,3)"),
        observed("resnet18-x (a)", "stylised(1/2)"), observed("vit_b (a)", "standard", **{SIZE: 8.0}),
        observed("n-0", "standard", "epochs(30)"), observed("n-1", "standard", "epochs(90)"),
        observed("n-2", "standard"), observed("m", "noise(uniform)", "blur(1/0)"),
    ]  # fmt: skip
    assert effects.doses_of(networks) == {
        "adversarial-l2": {0: 0.0, 1: 3.0}, "stylised": {0: 0.0, 2: 0.5}, "epochs": {4: 30.0, 5: 90.0},
        "log10-parameters": {0: 6.0, 3: 8.0},
    }  # fmt: skip


def test_a_slope_is_within_lines_of_architectures():
    rng = np.random.default_rng(4)
    doses, names = np.array([0, 1, 2, 3, 0, 1, 2, 3.0]), [f"{a}{i}" for a in ("resnet", "vit") for i in range(10, 14)]
    right = rng.random((200, 8)) < 0.3 + 0.1 * doses + 0.1 * (np.arange(8) > 3) + 0.1 * (rng.random((200, 1)) - 0.5)
    made = sample(right.astype(float), names, [f"adversarial(l2,{dose:g})" for dose in doses])
    clean = rng.random(8)
    networks = (replace(n, values={CLEAN: c, SIZE: 6.0}) for n, c in zip(made.networks, clean, strict=True))
    (shown,) = dose_table([replace(made, networks=tuple(networks))]).rows
    slope = shown[5]
    design = np.column_stack([doses, np.arange(8) < 4, np.arange(8) > 3])
    fitted, rest, *_ = np.linalg.lstsq(design, right.mean(axis=0), rcond=None)
    size = np.linalg.inv(design.T @ design)[0, 0]
    assert slope.value == pytest.approx(fitted[0])
    assert slope.source.networks + slope.source.interaction == pytest.approx(rest[0] / 5 * size)
    weights = np.linalg.pinv(design)[0]
    alike = (right @ weights).var(ddof=1) / 200  # all images' part, of which the residuals have the networks' own
    own = sum((right @ (row - 1 / 8)).var(ddof=1) / 200 for row in np.eye(8)) / 7 * size
    assert slope.source.images == pytest.approx(max(0.0, alike - own))
    r = np.linalg.inv(np.corrcoef([doses, right.mean(axis=0), clean]))
    assert shown[6].value == pytest.approx(-r[0, 1] / np.sqrt(r[0, 0] * r[1, 1]))
    assert (*shown[:5], shown[7]) == ("adversarial-l2", "s right", "x", 8, "0.000 to 3.000", "clean")
    assert slope.low < fitted[0] < slope.high


@pytest.mark.parametrize(("names", "reason"), [
    (("resnet50", "vit_b", "vgg11"), "number and architecture are not separated"),
    (("resnet50", "resnet18", "resnet34"), "3 networks in 1 lines: too few for a slope"),
])  # fmt: skip
def test_what_networks_cannot_separate_is_said_beside_the_number(names, reason):
    right = np.random.default_rng(1).random((30, 3)) < 0.5
    (shown,) = dose_table([sample(right.astype(float), names, [f"adversarial(l2,{dose})" for dose in range(3)])]).rows
    assert shown[5].value is None and reason in shown[5].reason


@pytest.fixture(scope="module")
def found():
    """Three networks of a recipe answer right .3 more often than their partners."""
    right = np.random.default_rng(5).random((400, 6)) < [0.4, 0.41, 0.39, 0.7, 0.71, 0.69]
    return effects.compared_recipes([seeds(right)], SIDES)[0]


CLAIM = effects.RecipeClaim(claim="it helps", over="stylised", suite="s", stated=date(2026, 1, 2), networks=5)


@pytest.mark.parametrize(("change", "verdict"), [
    ({}, "held"), ({"margin": 0.1}, "held"), ({"margin": 0.3}, "open"), ({"margin": 0.6}, "refuted"),
    ({"direction": "lower"}, "refuted"),
], ids=str)  # fmt: skip
def test_a_claim_is_held_beyond_its_margin_and_refuted_below_it(found, change, verdict):
    (one,) = tried([TriedClaim(claim=replace(CLAIM, **change), found=found)])
    assert one.verdict == verdict
    row = dict(zip([f.key for f in claims_table([one]).fields], claims_table([one]).rows[0], strict=True))
    assert row["verdict"] == verdict and row["difference"].value == pytest.approx(found.row.comparison.difference)
    assert row["difference"].low == pytest.approx(found.row.comparison.low, abs=1e-9)
    assert "planned for 5 networks of each recipe" in row["difference"].flags and row["over"] == "3 pairs by seed"


def test_families_are_adjusted_and_what_no_network_tells_is_open(found):
    pair = tried([TriedClaim(claim=CLAIM, found=found), TriedClaim(claim=CLAIM, found=found)])
    apart = tried([TriedClaim(claim=replace(CLAIM, family=name), found=found) for name in "ab"])
    assert pair[0].test.p_holm == pytest.approx(2 * apart[0].test.p_holm)
    missing = TriedClaim(claim=CLAIM, found=None, reason="nobody")
    assert tried([missing])[0].verdict == "open" and claims_table([missing]).rows[0][4].reason == "nobody"


@pytest.mark.parametrize(("stated", "first", "before"), [
    ("2026-01-02", "2026-01-03T08:00:00+00:00", True), ("2026-01-02", "2026-01-02T23:00:00+00:00", False),
    ("2026-01-02", "", False),
])  # fmt: skip
def test_a_claim_is_stated_before_the_first_trial_or_looked_for_after_it(found, stated, first, before):
    claim = replace(CLAIM, stated=date.fromisoformat(stated))
    assert TriedClaim(claim=claim, found=found, first=first).before is before


@pytest.mark.parametrize(("text", "said"), [
    ("a: 1", "expected a list of claims"), ("[]", "expected a list"), ("[1]", "expected a list"),
    ("- {claim: x, over: a, suite: s}", "claim 1: field 'stated' is missing"),
    ("- {claim: x, over: a, suite: s, stated: '2026'}", "field 'stated'"),
    ("- {claim: x, over: a, suite: s, stated: '2026-01-02', direction: up}", "field 'direction'"),
    ("- {claim: x, over: a, suite: s, stated: '2026-01-02', word: 1}", "no such field"),
])  # fmt: skip
def test_a_file_that_is_no_list_of_claims_is_refused_in_a_line(tmp_path, text, said):
    file = tmp_path / "claims.yaml"
    file.write_text(text)
    with pytest.raises(BenchError, match=said):
        effects.read_claims(file)


def test_the_papers_claims_are_such_a_file():
    claims = effects.read_claims(effects.PAPERS)
    suites = {"cue-conflict", "corruption", "adversarial", "saliency", "human-comparison"}
    assert {claim.suite for claim in claims} == suites


@pytest.fixture
def asked(monkeypatch, verb_cells):
    """What the verbs are asked for: simulated networks answer."""
    right = np.random.default_rng(8).random((80, 6)) < [0.4, 0.42, 0.41, 0.7, 0.71, 0.69]
    made = seeds(right, ("standard", "stylised(0.5)"))
    found, seen = compared_recipes([made], SIDES | {"stylised": frozenset(["stylised(0.5)"])}), {}

    def verb(name, result):
        def called(*words, leaderboard=None, **given):
            seen[name] = (*words[leaderboard is None :], given)
            return result

        monkeypatch.setattr(api, name, called)
        for cell in verb_cells(getattr(tables, name).callback) if name in ("doses", "claims") else ():
            monkeypatch.setattr(cell, "cell_contents", called)

    verb("recipes", [[made]])
    verb("compare_recipes", found)
    verb("recipe_power", effects.recipe_power_table({found[0]: 0.25}, detect=0.1, power=0.8, training=2.0))
    verb("claims", tried([TriedClaim(claim=CLAIM, found=found[0])]))
    verb("doses", dose_table([made]))
    return seen


def test_the_commands_ask_their_verbs_and_print_their_tables(asked, bench):
    ended = bench("compare", "--recipes", "stylised", "standard")
    assert "3 pairs by seed" in ended.out and "every network is net" in ended.out
    assert asked["compare_recipes"] == ("stylised", "standard", {"suite": None})
    bench("compare", "--recipes", "stylised*")
    assert asked["compare_recipes"][1] == "standard"
    ended = bench("compare", "doses", "--format", "csv")
    assert ended.out.startswith("dose,metric,space") and "stylised,s right" in ended.out
    ended = bench("claims", "--format", "csv")
    assert "it helps,held" in ended.out
    ended = bench("power", "stylised", "standard", "--networks", "--train-hours", "2", "--detect", "0.1")
    assert "to train each in 2" in ended.out and "networks" in ended.out
    assert asked["recipe_power"][0]["train_hours"] == 2.0 and asked["recipe_power"][0]["detect"] == 0.1
    for by, title in (("recipe", "recipes"), ("family", "families"), ("architecture", "architectures")):
        assert bench("rank", f"--by-{by}").out.startswith(f"{title}, x")
    ended = bench("power", "stylised", "--networks")
    assert ended.code == 2 and "--networks plans two recipes" in ended.err
