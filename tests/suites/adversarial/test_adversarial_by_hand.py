"""Scores of hand-made trials: areas, medians and budgets as worked out on paper."""

import numpy as np
import pytest
from adversarial_world import fallen_trials

from benchmark.contracts import DISTRUST, Trials
from benchmark.stimuli.roles import HELD_OUT
from suites.adversarial import SUITE
from suites.adversarial.config import AdversarialConfig, Stage, Threat
from suites.adversarial.metrics import LISTED, area, protocol_metrics


def trials(epsilons, sizes=None, right=None, fgsm=None):
    """Of one Linf threat; epsilons and sizes in grey levels."""
    n, levels = len(epsilons), np.asarray(epsilons, dtype=float)
    right = np.ones(n, dtype=bool) if right is None else np.array(right, bool)
    return fallen_trials(
        n, clean_correct=right, exact_correct=right, second_opinion=np.zeros((n, 0), dtype=int), passes=np.arange(n),
        role=np.full(n, "natural"), condition=np.full(n, ""), stimulus=np.array([f"image{i}" for i in range(n)]),
        linf_by=np.where(np.isfinite(levels), "ce", ""), linf_epsilon=levels / 255,
        linf_size=np.asarray(levels if sizes is None else sizes, float) / 255,
        fgsm_broken=np.zeros((n, 3), bool) if fgsm is None else np.array(fgsm, bool),
    )  # fmt: skip


def config(levels, norm="linf", stages=()):
    epsilons = tuple(level / 255 if norm == "linf" else level for level in levels)
    return AdversarialConfig(threats=(Threat(norm=norm, epsilons=epsilons),), stages=stages)


def scores(levels, *given, **more):
    return {(score.metric, score.condition): score for score in SUITE.score(config(levels), trials(*given, **more))}


def test_the_area_weighs_budgets_by_their_share_of_the_log_axis():
    """1, 2, 8: widths 1 and 2 of log2, so weights 1/2, 3/2, 1 of 3; images that fall at 1, 2, 8 and never."""
    by_name = scores((1, 2, 8), [1, 2, 8, np.inf])
    assert by_name["auc_linf", ""].value == pytest.approx((0 + 1 / 6 + 2 / 3 + 1) / 4)
    assert [by_name["robust_accuracy", f"linf {k}/255"].value for k in (1, 2, 8)] == [0.75, 0.5, 0.25]
    shown = Trials(columns={"linf_epsilon": np.array([1.0, 4.0, np.inf, 2.0])})
    num, den = area(Threat(norm="linf", epsilons=(2.0,)))(shown)  # of a single budget: the share that stands there
    assert (num.tolist(), np.sum(den)) == ([0, 1, 1, 0], 4)


def test_the_median_is_over_the_right_answers():
    """16 right ones of sizes 1 to 16 and 5 wrong ones of size 0; order statistics 5 and 12 of 16 bound the median."""
    sizes = [*range(1, 17), *[0] * 5]
    epsilons = [4 if size <= 4 else 16 for size in sizes]
    by_name = scores((4, 16), epsilons, sizes, [True] * 16 + [False] * 5)["median_linf", ""]
    assert (by_name.value, by_name.n, by_name.excluded) == (pytest.approx(8.5), 16, 5)
    assert (by_name.low, by_name.high) == (pytest.approx(5), pytest.approx(12))


def test_what_stands_is_larger_than_all_in_the_median():
    sizes = [*range(1, 11), *[np.inf] * 6]
    epsilons = [16] * 10 + [np.inf] * 6
    by_name = scores((4, 16), epsilons, sizes)["median_linf", ""]
    assert by_name.value == pytest.approx(8.5) and by_name.low is None and by_name.high is None
    assert "no upper bound of the interval" in by_name.flags
    half = scores((4, 16), [16] * 8 + [np.inf] * 8, [*range(8), *[np.inf] * 8])["median_linf", ""]
    assert half.value is None and half.reason == "half the images or more survive linf 16/255"
    none = scores((4, 16), [0, 0], right=[False, False])["median_linf", ""]
    assert none.value is None and none.reason == "no image is answered correctly"


def test_an_image_that_falls_at_the_far_epsilon_alone_stands():
    """Sizes beyond the largest budget are no perturbation found, although the trust report tries there."""
    by_name = scores((4, 16), [4, 4, 32], [2, 3, 20])
    assert by_name["median_linf", ""].value == pytest.approx(3)
    assert by_name["robust_accuracy", "linf 16/255"].value == pytest.approx(1 / 3)


def test_fgsm_by_epsilon_and_passes_per_image():
    broken = [[0, 0, 1], [0, 1, 1], [1, 1, 1], [0, 0, 0]]
    by_name = scores((2, 4, 8), [8, 4, 2, np.inf], fgsm=broken)
    assert [by_name["fgsm_accuracy", f"linf {k}/255"].value for k in (2, 4, 8)] == [0.75, 0.5, 0.25]
    assert by_name["gradient_passes", ""].value == pytest.approx((0 + 1 + 2 + 3) / 4)


@pytest.mark.parametrize(("norm", "epsilons", "expected"), [
    ("linf", (1, 4, 8), 4 / 255), ("l2", (0.5, 1.0, 3.0), 1.0),
    ("l2", (0.25, 0.5, 3.0), 0.5),
])  # fmt: skip
def test_the_headline_is_at_the_reference_budget(norm, epsilons, expected):
    metric = next(metric for metric in protocol_metrics(config(epsilons, norm)) if metric.headline)
    at = [0.99 * expected, expected, 1.01 * expected, np.inf]
    num, den = metric.ratio(Trials(columns={f"{norm}_epsilon": np.array(at)}))
    assert num.tolist() == [False, False, True, True] and den.tolist() == [True] * 4


def test_what_other_losses_add_at_each_budget():
    """Of six images, those that a margin or Square breaks, at the budget where they fall."""
    shown = trials([2, 2, 4, 4, np.inf, 8])
    shown.columns["linf_by"] = np.array(["ce", "margin", "square", "fgsm", "", "apgd-dlr"])
    by_name = SUITE.score(config((2, 4, 8), stages=(Stage(loss="ce", steps=2),)), shown)
    by = {s.condition: s.value for s in by_name if s.metric == "beyond_ce_linf"}
    labels = ("", "linf 2/255", "linf 4/255", "linf 8/255")
    assert [by[label] for label in labels] == pytest.approx([1 / 6] * 4)


def test_no_trials_no_values():
    by_name = SUITE.score(SUITE.config, Trials(columns={"stimulus": np.zeros(0, dtype=str)}))
    assert {s.metric for s in by_name} == {m.name for m in SUITE.metrics}
    assert {(s.value, s.reason, s.role) for s in by_name} == {(None, "no trials", "natural")}


def test_flags_stand_on_every_score():
    shown = trials([1, 2, 4])
    shown.columns["probabilities"][:] = True
    stand_ins = Trials(columns=shown.columns, missing={HELD_OUT: "...", LISTED: "..."})
    found = SUITE.score(config((1, 2, 4)), stand_ins)
    said = {f"{DISTRUST}outputs are probabilities, not logits: attacked through their logarithms"}
    said |= {"training images", "evenly spaced images, not RobustBench's list"}
    assert found and all(said <= set(score.flags) for score in found)


def test_only_what_a_network_can_be_better_at_is_tested():
    tested = {metric.name for metric in SUITE.metrics if metric.ratio is not None}
    assert not {name for name in tested if name.startswith(("beyond_ce", "gradient", "median"))}
    assert {"robust_accuracy", "clean_accuracy", "auc_linf", "auc_l2", "fgsm_accuracy"} <= tested
