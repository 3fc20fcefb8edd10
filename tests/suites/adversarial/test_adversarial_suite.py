"""The suite."""

import numpy as np
import pytest
import torch
from adversarial_world import BRIEF

from benchmark.testing import check_suite
from suites.adversarial import SUITE

pytestmark = pytest.mark.slow

CURVE = [f"linf {e}/255" for e in ("0.25", "1", "4")]


def values(scores):
    others = ("fgsm_accuracy", "beyond_ce_linf", "beyond_ce_l2")
    return {score.condition or score.metric: score.value for score in scores if score.metric not in others}


def test_keeps_the_contract():
    assert [check for check in check_suite(SUITE) if not check.ok] == []


def test_standard_networks_fall_and_robust_ones_hold_without_any_flag(standard, robust):
    weak, strong = (SUITE.score(BRIEF, one.usual) for one in (standard, robust))
    for scores in (weak, strong):
        assert {flag for score in scores for flag in score.flags} <= {"no upper bound of the interval"}
        curve = [values(scores)[name] for name in ("clean_accuracy", *CURVE)]
        assert curve == sorted(curve, reverse=True)
    assert values(weak)["robust_accuracy"] <= 0.05
    assert values(strong)["robust_accuracy"] >= 0.45
    assert values(strong)["robust_accuracy"] == values(strong)["linf 4/255"]
    assert values(strong)["auc_linf"] > values(weak)["auc_linf"]


def near(image, x):
    """[n]: the images of x that are no further than 40/255 from one image, and are not that image itself."""
    away = (x.detach() - image).abs().flatten(1).amax(dim=1)
    return (away < 40 / 255) & (away > 1e-4)


@pytest.mark.parametrize("what", ["answer", "gradient"])
def test_one_nan_under_attack_fails_that_image_and_not_the_run(what, robust):
    usual = robust.usual
    attacked = np.flatnonzero(np.isinf(usual["linf_epsilon"]) | (usual["linf_epsilon"] > 0.02))
    victim = int(attacked[0])
    image = robust.pixels[victim : victim + 1]

    def run(x):
        z = robust.feed.run(x)
        hit = near(image, x)[:, None]
        if what == "answer":
            return torch.where(hit, float("nan"), z)
        return z + torch.where(hit, x[:, :1, 0, 0] - x[:, :1, 0, 0], 1.0).sqrt() - 1 + hit.float()

    trials = robust.trials(BRIEF, run=run)
    assert trials["not_finite"].nonzero()[0].tolist() == [victim]
    assert trials["linf_epsilon"][victim] <= 0.25 / 255 * (1 + 1e-6)
    others = np.arange(len(usual)) != victim
    assert np.array_equal(trials["linf_epsilon"][others], usual["linf_epsilon"][others])
    n = int(usual["clean_correct"].sum())
    said = f"trust: NaN or infinite under attack: 1 of {n} images, counted as broken"
    assert all(said in score.flags for score in SUITE.score(BRIEF, trials))


def test_an_image_without_a_gradient_to_begin_with_is_broken(standard):
    image = standard.pixels[3:4]

    def run(x):
        at_rest = (x.detach() - image).abs().flatten(1).amax(dim=1) < 1e-5
        z = standard.feed.run(x)
        return z + torch.where(at_rest, 0 * x[:, 0, 0, 0], 1.0).sqrt()[:, None]

    trials = standard.trials(BRIEF, run=run)
    assert trials["not_finite"].nonzero()[0].tolist() == [3]
    assert trials["linf_epsilon"][3] == 0.25 / 255 and trials["l2_epsilon"][3] == 1.0
    assert trials["linf_by"][3] == trials["l2_by"][3] == "not finite"


def test_wrong_images_count_as_broken_and_cost_nothing(standard):
    trials = standard.trials(BRIEF, run=lambda x: standard.feed.run(0.4 + 0.2 * x))
    wrong = ~trials["clean_correct"]
    assert wrong.any()
    assert (trials["linf_epsilon"][wrong] == 0).all() and (trials["passes"][wrong] == 0).all()
    assert trials["fgsm_broken"][wrong].all() and np.isnan(trials["loss"][wrong]).all()
