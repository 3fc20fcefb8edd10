import numpy as np
import pytest

from benchmark.errors import ModelFailure
from benchmark.testing import check_suite
from registry.labels import Grouping
from suites.adversarial import SUITE

CURVE = [f"linf {e}/255" for e in ("0.25", "0.5", "1", "2", "4", "8")]


def values(scores):
    return {
        score.condition or score.metric: score.value
        for score in scores
        if score.metric not in ("fgsm_accuracy", "beyond_ce_linf", "beyond_ce_l2")
    }


def test_keeps_the_contract():
    assert [check for check in check_suite(SUITE) if not check.ok] == []


def test_standard_networks_fall_and_robust_ones_hold_without_any_flag(standard, robust):
    weak, strong = (SUITE.score(SUITE.config, one.trials()) for one in (standard, robust))
    for scores in (weak, strong):
        assert {flag for score in scores for flag in score.flags} <= {
            "no upper bound of the interval"
        }
        curve = [values(scores)[name] for name in ("clean_accuracy", *CURVE)]
        assert curve == sorted(curve, reverse=True)
    assert values(weak)["robust_accuracy"] <= 0.05
    assert values(strong)["robust_accuracy"] >= 0.45
    assert values(strong)["robust_accuracy"] == values(strong)["linf 4/255"]
    assert values(strong)["auc_linf"] > values(weak)["auc_linf"]


def test_batch_size_changes_no_verdict(robust):
    whole, small = robust.trials(batch=32), robust.trials(batch=7)
    for norm in ("linf", "l2"):
        assert (whole[f"{norm}_epsilon"] != small[f"{norm}_epsilon"]).mean() <= 0.02
    assert (whole["fgsm_broken"] != small["fgsm_broken"]).mean() <= 0.01


def test_not_finite_outputs_are_a_failure_of_the_model(standard):
    calls = iter(range(10_000))

    def breaks(x):
        z = standard.feed.run(x)
        return z * float("nan") if next(calls) > 3 else z

    with pytest.raises(ModelFailure, match="NaN or infinite"):
        standard.trials(run=breaks)


def test_wrong_images_count_as_broken_and_cost_nothing(standard):
    trials = standard.trials(run=lambda x: standard.feed.run(0.4 + 0.2 * x))
    wrong = ~trials["clean_correct"]
    assert wrong.any()
    assert (trials["linf_epsilon"][wrong] == 0).all() and (trials["passes"][wrong] == 0).all()
    assert trials["fgsm_broken"][wrong].all() and np.isnan(trials["loss"][wrong]).all()


def test_groups_of_classes_are_attacked_like_single_ones(standard):
    """Every class twice, with equal outputs: the same network, whose categories are groups of two outputs."""
    single = standard.trials()
    pairs = tuple((i, i + 16) for i in range(16))
    grouping = Grouping("world16", standard.feed.model.labels.classes, pairs)

    def doubled(x):
        return standard.feed.run(x).repeat(1, 2)

    (view,) = standard.views(32, run=doubled, grouping=grouping)
    columns = SUITE.observe(SUITE.config, view)
    assert np.array_equal(columns["response"], single["response"])
    for norm in ("linf", "l2"):
        assert (columns[f"{norm}_epsilon"] != single[f"{norm}_epsilon"]).mean() <= 0.04
    assert np.allclose(columns["margin"], single["margin"], atol=1e-3)
    assert not columns["probabilities"].any()
