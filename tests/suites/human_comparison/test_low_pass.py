"""Human, or just blurred: the ladder, the halves, the frontier; blurred readers of the built-in world."""

import numpy as np
import pytest
import torch
from answers import build, joined

from benchmark.identity import Codes, block_key
from benchmark.testing import ToyShelf, check_suite
from suites.human_comparison import SUITE, low_pass
from suites.human_comparison.low_pass import BLUR, LOW_PASS, SIGMAS, LowPassConfig, ladder_scores, low_passed, steps_of

KAPPA = "error_consistency"


@pytest.mark.slow
def test_keeps_the_contract():
    assert [check.detail for check in check_suite(LOW_PASS) if not check.ok] == []
    assert SUITE.variants["low-pass"] is LOW_PASS


def test_every_experiment_is_shown_at_every_step_and_unblurred_as_in_the_plain_suite():
    shelf = ToyShelf("world16")
    plain, ladder = SUITE.plan(None, shelf).blocks, LOW_PASS.plan(LOW_PASS.config, shelf).blocks
    assert len(ladder) == len(SIGMAS) * len(plain)
    unblurred, own = ([block_key(block, Codes()) for block in blocks] for blocks in (ladder[: len(plain)], plain))
    assert unblurred == own
    again = next(block for block in ladder if block.role == f"contrast{BLUR}2" and block.condition == "c50")
    assert again.transform.params["sigma"] == 2 and again.transform.params["after"][0] == "contrast/c50"


def test_the_blur_is_a_gaussian_in_pixels_of_224():
    from scipy.ndimage import gaussian_filter

    images = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    shown = low_passed(None, 4).apply(images, np.arange(2, dtype=np.uint64))
    for image, blurred in zip(images.numpy().reshape(-1, 112, 112), shown.numpy().reshape(-1, 112, 112), strict=True):
        assert np.abs(gaussian_filter(image.astype(float), 2.0, mode="nearest") - blurred).max() < 1e-5


def ladder(*steps):
    blurs = (f"{BLUR}{sigma}" if sigma else "" for sigma in SIGMAS)
    return joined(*(build(right, f"sketch{blur}", "") for blur, right in zip(blurs, steps, strict=False)))


def world(n=400, seed=0, crowd=5):
    """How easy images are; people, who see it; a network that sees a share of it."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(size=n)
    people = {f"subject-{i} (lab)": ladder(ease + 0.7 * rng.normal(size=n) > 0) for i in range(crowd)}
    return people, lambda share: share * ease + (1 - share) * rng.normal(size=n) > 0


def scored(trials, references, standard="standard"):
    return {(s.metric, s.condition): s for s in ladder_scores(LowPassConfig((standard,)), trials, references)}


def test_steps_have_the_plain_suites_values():
    people, seen = world()
    steps = [seen(share) for share in (0.2, 0.5, 0.9)]
    found = scored(ladder(*steps), people)
    for sigma, right in enumerate(steps):
        plain = {s.metric: s for s in SUITE.against.scores(None, ladder(right), people) if not s.role}
        for metric in (KAPPA, "observed_consistency", "accuracy_difference"):
            assert found[metric, f"sigma {sigma}"].value == pytest.approx(plain[metric].value)
    assert found[KAPPA, ""].value == found[KAPPA, "sigma 0"].value
    assert found["best_sigma", ""].reason.startswith(">= 2: ")  # better still, perhaps, beyond it
    gain, held_out = found["blur_gain", ""], found["blurred_consistency", ""].value
    assert gain.low > 0 and gain.value == pytest.approx(held_out - found[KAPPA, ""].value, abs=0.02)
    assert found["beyond_blur", ""].value is None and "no other standard network" in found["beyond_blur", ""].reason


def test_each_half_chooses_the_step_for_the_other():
    halves = [{f"own {s}": {KAPPA: np.array([k])} for s, k in enumerate(part)} for part in ((0.2, 0.6), (0.5, 0.3))]
    assert low_pass._held_out(halves, dict.fromkeys(("own 0", "own 1"))) == pytest.approx([(0.3 + 0.2) / 2])


@pytest.mark.slow
def test_the_best_of_equal_steps_gains_nothing_on_the_other_half():
    gains = []
    for seed in range(15):
        people, seen = world(80, seed, 2)
        gains.append(scored(ladder(*(seen(0.4) for _ in SIGMAS)), people)["blur_gain", ""].value)
    assert abs(np.mean(gains)) < 0.05  # the best of six on the same images: some .1


@pytest.mark.slow
def test_a_blurred_network_is_called_blurred_and_a_human_one_is_not():
    people, seen = world()
    standard = [seen(share) for share in (0.2, 0.35, 0.45, 0.4, 0.35, 0.3)]
    blurred, human, plain = (0.45, 0.4, 0.4, 0.35, 0.3, 0.3), (0.95, 0.9, 0.8, 0.7, 0.6, 0.5), (0.2,) * len(SIGMAS)
    said, references = "blur alone explains the gain over standard", {**people, "standard": ladder(*standard)}
    for shares, expected in ((blurred, True), (human, False), (plain, False)):
        found = scored(ladder(*map(seen, shares)), references)
        assert (said in found[KAPPA, ""].flags) == (said in found["beyond_blur", ""].flags) == expected


def test_without_a_ladder_there_is_a_reason_and_without_people_nothing():
    people, seen = world(50)
    found = scored(ladder(seen(0.5)), people)
    assert found["blurred_consistency", ""].value is None and "without blur" in found["blurred_consistency", ""].reason
    people, seen = world(3)  # too few for two halves
    few = scored(ladder(seen(0.5), seen(0.5)), people)["blur_gain", ""]
    assert few.value is None and "too few images" in few.reason
    assert ladder_scores(LowPassConfig(), ladder(seen(0.5)), {}) == []
    assert list(steps_of(ladder(seen(0.5), seen(0.5)))) == [0, 1]
