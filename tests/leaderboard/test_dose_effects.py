"""Numbers on recipes against headlines; a mixed model as a second opinion."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from test_recipe_effects import SIDES, sample, seeds

from benchmark.failures import BenchError
from benchmark.leaderboard.board_model import CLEAN
from benchmark.leaderboard.lineage import lineage
from benchmark.leaderboard.links import Observed
from benchmark.leaderboard.recipe_effects import SIZE, compared_recipes, dose_table, doses_of
from benchmark.stats import network_samples
from benchmark.stats.network_samples import mixed_difference


def observed(name, *tags, **values):
    return Observed(name=name, kind="network", lineage=lineage(name, tags), values=values)


def test_numbers_are_read_from_tags_and_a_standard_network_has_none_of_a_treatment():
    networks = [
        observed("resnet50 (a)", "standard", **{SIZE: 6.0}),
        observed("resnet50_l2_eps3 (a)", "adversarial(l2,3)"),
        observed("resnet18-x (a)", "stylised(1/2)"), observed("vit_b (a)", "standard", **{SIZE: 8.0}),
        observed("n-0", "standard", "epochs(30)"), observed("n-1", "standard", "epochs(90)"),
        observed("n-2", "standard"), observed("m", "noise(uniform)", "blur(1/0)"),
    ]  # fmt: skip
    assert doses_of(networks) == {
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


def test_a_mixed_model_that_disagrees_by_a_tenth_is_a_remark(monkeypatch):
    right = np.random.default_rng(9).random((60, 6)) < [0.4, 0.41, 0.42, 0.7, 0.71, 0.72]
    own = compared_recipes([seeds(right)], SIDES)[0].estimate
    said = []
    for value, se in ((1.05, 0.95), (1.2, 1), (1, 1.2)):
        second = (value * own.value, se * own.test.se)
        monkeypatch.setattr(network_samples, "mixed_difference", lambda *_, second=second: second)
        said.append(compared_recipes([seeds(right)], SIDES, mixed=True)[0].flags[1:])
    assert not said[0] and all(text.startswith("a mixed model has ") for (text,) in said[1:])
    monkeypatch.setitem(sys.modules, "gpboost", None)
    with pytest.raises(BenchError, match=r"pip install 'gestaltbench\[mixed\]'"):
        mixed_difference(np.ones((2, 2)), np.ones((2, 2)), [np.arange(2)], np.array([0.0, 1.0]))


@pytest.mark.slow
def test_a_mixed_model_finds_the_difference_of_simulated_recipes():
    pytest.importorskip("gpboost")
    rng = np.random.default_rng(6)
    first = np.repeat([1.0, 0.0], 4)
    level = 0.4 + 0.2 * first + rng.normal(0, 0.03, 8) + rng.normal(0, 0.1, (120, 1))
    table = (rng.random((120, 8)) < level).astype(float)
    value, se = mixed_difference(table, np.ones((120, 8)), [np.arange(120)], first)
    means = table.mean(axis=0)
    assert value == pytest.approx(means[:4].mean() - means[4:].mean(), abs=1e-3)
    assert 0.02 < se < 0.05
