"""Each masked network is caught by the check that is meant for it; honest networks raise none."""

import numpy as np
import pytest
from adversarial_world import fallen_trials

from benchmark.contracts import DISTRUST
from suites.adversarial import SUITE
from suites.adversarial.trust.report import CONFIRMED, flags


def by_hand(**given):
    return flags(SUITE.config, fallen_trials(**given))


def first(n, value, other):
    return np.where(np.arange(100) < n, value, other)


@pytest.mark.parametrize(("columns", "few", "many"), [
    ({"gradient_norm": (0.0, 1.0)}, 5, 6), ({"gradient_norm": (1e-31, 1.0)}, 5, 6),
    ({"repeat_difference": (2e-4, 0.0)}, 0, 1), ({"alone_difference": (2e-4, 0.0)}, 0, 1),
    ({"company_difference": (2e-4, 0.0)}, 0, 1), ({"gradient_error": (0.6, 0.2)}, 20, 21),
    ({"gradient_error": (np.nan, 0.2)}, 20, 21), ({"gradient_company": (0.6, 0.2)}, 20, 21),
    ({"gradient_rise": (0.49, 0.51)}, 20, 21), ({"gradient_scale": (4.1, 3.9)}, 20, 21),
    ({"gradient_scale": (0.24, 0.26)}, 20, 21),
    ({"tied": (True, False)}, 5, 6), ({"bounded": (True, False)}, 99, 100), ({"not_finite": (True, False)}, 0, 1),
    ({"probabilities": (True, False)}, 99, 100), ({"linf_by": ("fgsm", "ce")}, 5, 6),
    ({"linf_by": ("square", "ce")}, 1, 2), ({"l2_by": ("square", "ce")}, 1, 2), ({"linf_by": ("transfer", "ce")}, 1, 2),
    ({"linf_by": ("", "ce"), "linf_epsilon": (np.inf, 1 / 255)}, 2, 3),
    ({"linf_by": ("square", "ce"), "linf_epsilon": (32 / 255, 1 / 255)}, 1, 3),
    ({"l2_by": ("", "ce"), "l2_epsilon": (np.inf, 0.5), "l2_margin": (-2.0, 1.0)}, 7, 8),
])  # fmt: skip
def test_each_threshold(columns, few, many):
    for count, flagged in ((few, False), (many, True)):
        made = {name: first(count, *values) for name, values in columns.items()}
        assert bool(by_hand(**made)) == flagged, count


def test_a_loss_of_zero_is_no_flag_where_its_gradient_is_not():
    assert by_hand(loss=np.zeros(100), gradient_norm=np.full(100, 1e-20)) == ()
    assert by_hand(loss=first(6, 0.0, 1.0), gradient_norm=first(6, 0.0, 1.0)) == (
        f"{CONFIRMED}zero gradient: 6% of images",
        f"{CONFIRMED}saturated: cross entropy is 0 on 6% of images",
    )


def test_two_grades():
    """Odd and confirmed unless an attack breaks more than chance allows, or was not asked, or something else is wrong.
    Of 20 images left, Square breaks 1 in a hundred by chance, APGD 1 in ten."""
    enough = np.where(np.arange(100)[:, None] < 16, [[0, 0]], -1)
    odd = {"probabilities": np.ones(100, dtype=bool), "second_opinion": enough}
    (said,) = by_hand(**odd)
    assert said.startswith(CONFIRMED) and not said.startswith(DISTRUST)
    for column, few, many in ((0, 1, 2), (1, 4, 5)):
        for broken, wrong in ((few, False), (many, True)):
            opinions = np.full((100, 2), -1)
            opinions[:20] = 0
            opinions[:broken, column] = 1
            flags_ = by_hand(**{**odd, "second_opinion": opinions})
            assert len(flags_) == 1 + wrong
            assert all(flag.startswith(DISTRUST) == wrong for flag in flags_)
            if wrong:
                name = ("square", "apgd-margin")[column]
                assert flags_[0].startswith(f"trust: number wrong: {name} breaks {broken} of 20 ")
    assert by_hand(**{**odd, "second_opinion": np.zeros((100, 0))})[0].startswith(DISTRUST)
    both = by_hand(**odd, not_finite=first(1, True, False))
    assert len(both) == 2 and all(flag.startswith(DISTRUST) for flag in both)


@pytest.mark.parametrize(
    ("asked", "stood", "confirmed"), [(16, 100, 1), (15, 100, 0), (8, 8, 1), (7, 7, 0), (7, 8, 0), (0, 0, 1)]
)
def test_a_number_is_confirmed_by_enough_images_that_stood(asked, stood, confirmed):
    said = by_hand(
        probabilities=np.ones(100, dtype=bool),
        second_opinion=np.where(np.arange(100)[:, None] < asked, [[0, 0]], -1),
        linf_epsilon=first(stood, 1 / 255, 0.25 / 255),
    )
    assert len(said) == 2 - confirmed and said[-1].startswith(CONFIRMED if confirmed else DISTRUST)
    if not confirmed:
        assert said[0].startswith(f"trust: cannot be checked: {asked} of {stood} images")


def test_slopes_that_contradict_and_slopes_that_say_nothing():
    off = {"gradient_error": np.full(100, 0.9)}
    (masked,) = by_hand(**off)
    assert by_hand(**off, gradient_spread=np.full(100, 0.85)) == (masked,)
    (rough,) = by_hand(**off, gradient_spread=np.full(100, 0.86))
    assert masked.startswith("trust: masked gradient: ")
    assert rough.startswith(f"{CONFIRMED}rough gradient: ")
    (masked,) = by_hand(gradient_rise=first(30, -0.9, 0.95), gradient_scale=np.full(100, 5.0))
    assert masked.startswith("trust: masked gradient: on 30% of images the margin does not rise along it as it says")
    (length,) = by_hand(gradient_scale=np.full(100, 1e12))
    assert length == f"{CONFIRMED}gradient of another length: the slope is 1e+12 times as steep, on 100% of images"


def test_company_is_told_from_randomness():
    batch = by_hand(company_difference=np.ones(100), repeat_difference=np.ones(100))
    assert batch == ("trust: batch: answers depend on the other images of the batch",)
    (slight,) = by_hand(company_difference=np.full(100, 0.05), repeat_difference=np.ones(100))
    assert slight.startswith(f"{CONFIRMED}batch: answers depend on the other images of the batch a little")
    assert by_hand(company_difference=np.full(100, 0.051)) == batch


def test_many_steps_that_break_nothing_that_one_leaves():
    stands = np.repeat(first(8, False, True)[:, None], 6, axis=1)
    held = {"fgsm_broken": stands, "linf_by": first(8, "ce", "fgsm").astype("U40")}
    for count, flagged in ((8, True), (7, False)):  # FGSM ahead on the rest is another flag
        said = by_hand(**held, linf_epsilon=first(count, 32 / 255, 1 / 255))
        assert ("trust: more steps are not stronger than one" in said) == flagged


def test_what_falls_far_out_is_blocked_unless_gradients_broke_it():
    """Ten images fall at 32/255 only: to gradients, no flag; to Square, or not at all, one. At 4/255 Square is ahead,
    but nothing is left."""
    far, blocked = first(10, 32 / 255, 1 / 255), first(10, "square", "ce").astype("U40")
    still = "trust: 10% of images are still right at linf 32/255"
    assert by_hand(linf_epsilon=far) == ()
    assert still in by_hand(linf_epsilon=far, linf_by=blocked)
    assert still in by_hand(linf_epsilon=first(10, np.inf, 1 / 255), linf_by=first(10, "", "ce").astype("U40"))
    ahead = by_hand(linf_epsilon=first(10, 4 / 255, 1 / 255), linf_by=blocked)
    assert ahead == ("trust: black box beats white box: square on 10% of images (linf)",)
    only = by_hand(linf_epsilon=first(10, 32 / 255, 1 / 255), linf_by=first(7, "square", "ce"))
    assert "trust: 7% of images are still right at linf 32/255" in only


def test_trials_of_older_versions_lack_columns_and_say_nothing_of_them():
    later = ("not_finite", "probed", "bounded", "tied", "second_opinion", "gradient_error", "gradient_spread")
    later = (*later, "gradient_company", "gradient_rise", "gradient_scale", "company_difference", "alone_difference")
    assert by_hand(without=later) == ()
