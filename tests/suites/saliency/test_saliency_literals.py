"""Numbers of the definition as literals, worked out by hand or read from the papers: never the constants under test."""

import numpy as np
import pytest
import torch

from benchmark.contracts import Block, Trials
from benchmark.stats import ratio_score
from benchmark.testing import ToyView, toy_stimuli
from suites.saliency import SUITE
from suites.saliency.maps.gradients import saliency
from suites.saliency.maps.localisation import area_share, mass_ratio, object_auc, rank_accuracy, skill
from suites.saliency.maps.references import centre, darkness, sobel


def test_the_map_is_the_sum_over_channels_of_absolute_values():
    """Neither their maximum nor the absolute value of their sum: three pixels by hand."""
    gradient = np.array([[[[3.0, -1.0, 2.0]], [[-4.0, -1.0, -2.0]], [[0.0, -1.0, 0.5]]]])
    np.testing.assert_array_equal(saliency(gradient), [[[7.0, 3.0, 4.5]]])


VALUES = np.array([[[5.0, 1.0, 3.0], [2.0, 4.0, 9.0]]])
MASK = np.array([[[True, False, True], [False, False, False]]])
VALID = np.array([[[True, True, True], [True, True, False]]])


def test_void_pixels_count_for_nothing():
    """Object 5 and 3, ground 1, 2, 4, void 9: 5 of 6 pairs are in order, 8 of 15 of the mass on 2 of 5 pixels."""
    assert object_auc(VALUES, MASK, VALID)[0] == pytest.approx(5 / 6)
    assert area_share(MASK, VALID)[0] == pytest.approx(2 / 5)
    assert mass_ratio(VALUES, MASK, VALID)[0] == pytest.approx((8 / 15) / (2 / 5))
    assert skill(VALUES, MASK, VALID)[0] == pytest.approx((8 / 15 - 2 / 5) / (3 / 5))
    assert rank_accuracy(VALUES, MASK, VALID)[0] == pytest.approx(1 / 2)  # the two strongest: 5 and 4


def test_each_image_of_smoothgrad_has_noise_of_its_own():
    """Drawn anew by each image's own seed, and differentiated by hand: one noise for all gives other areas."""
    view = ToyView(Block(toy_stimuli("cue-conflict"), role="cue-conflict"), np.arange(8))
    found = SUITE.observe(SUITE.config, view)["smooth_auc"]
    expected = []
    for row, seed in enumerate(view.seeds):
        stream = np.random.Generator(np.random.Philox(key=int(seed)))
        noise = np.float32(0.15) * stream.standard_normal((4, 3, 32, 32), dtype=np.float32)
        x = (view.images[row] + torch.from_numpy(noise)).requires_grad_()
        logits = view.forward(x).double()
        target = view.categories.index(view.labels["shape"][row])
        odds = logits[:, target] - torch.cat([logits[:, :target], logits[:, target + 1 :]], 1).logsumexp(1)
        (slope,) = torch.autograd.grad(odds.sum(), x)
        mean = slope.mean(0, keepdim=True).numpy()
        expected += object_auc(saliency(mean), view.mask(row)[None]).tolist()
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert np.ptp(expected) > 0.05


def test_the_blob_in_the_middle():
    """A Gaussian of a quarter of each side: on 4 x 8 pixels, pixel centres 1/8 or 1/16 of the side from the middle."""
    blob = centre(np.zeros((2, 3, 4, 8)))
    assert blob.shape == (2, 4, 8)
    assert blob[0, 1, 3] == pytest.approx(np.exp(-1 / 8 - 1 / 32))  # 1/8 and 1/16 of the sides: .5 and .25 sd
    assert blob[0, 0, 0] == pytest.approx(np.exp(-9 / 8 - 49 / 32))  # 3/8 and 7/16: 1.5 and 1.75 sd
    np.testing.assert_array_equal(blob[0], blob[1])


def test_edges_and_darkness_by_hand():
    """A step of 1 in luminance: 4 by Sobel's weights on either side of it. Weights of ITU-R BT.601."""
    step = np.zeros((1, 3, 3, 4))
    step[..., 2:] = 1.0
    np.testing.assert_allclose(sobel(step)[0], [[0, 4, 4, 0]] * 3)
    red = np.zeros((1, 3, 1, 1))
    red[:, 0] = 1.0
    assert darkness(red)[0, 0, 0] == pytest.approx(0.701)


def test_clickme_is_a_share_of_how_well_people_agree():
    """Fel et al. 2022: .65753. Half of it is .5 of the ceiling."""
    n = 4
    columns = {"role": np.full(n, "clickme"), "stimulus": np.arange(n).astype(str), "clickme": np.full(n, 0.328765)}
    found = ratio_score(SUITE.metric("clickme_alignment"), Trials(columns))
    assert found.value == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize(("area", "counts"), [(0.0099, False), (0.01, True), (0.95, True), (0.951, False)])
def test_objects_of_one_to_ninety_five_percent_count(area, counts):
    columns = {
        "role": np.full(3, "natural"),
        "stimulus": np.arange(3).astype(str),
        "area": np.array([0.3, 0.4, area]),
        "object_evidence": np.full(3, 2.0),
        "place_evidence": np.full(3, 1.0),
    }
    found = ratio_score(SUITE.headline, Trials(columns))
    assert found.n == 2 + counts
    assert found.value == pytest.approx(1 / 3)


def test_only_the_main_role_of_several_enters_the_headline_and_the_excess():
    """Two photographs and two conflict images: all of what the others add is 0 over 0."""
    columns = {
        "role": np.array(["natural-masked", "natural-masked", "cue-conflict", "cue-conflict"]),
        "stimulus": np.arange(4).astype(str),
        "area": np.full(4, 0.3),
        "object_evidence": np.array([1.0, 3.0, 5.0, 5.0]),
        "place_evidence": np.array([1.0, 1.0, 1.0, 1.0]),
        "grad_auc": np.array([0.7, 0.8, 0.9, 0.9]),
        "grad_auc_other": np.array([0.5, 0.5, 0.4, 0.4]),
        "smooth_auc": np.array([0.7, 0.8, 0.9, 0.9]),
        "smooth_auc_other": np.array([0.5, 0.5, 0.4, 0.4]),
    }
    for metric in ("object_reliance", "object_auc_excess", "sg_object_auc_excess"):
        num, den = SUITE.metric(metric).ratio(Trials(columns))
        counts = np.asarray(den, dtype=bool)
        assert counts.sum() == 2 and (counts[0] == counts[1]) and (counts[2] == counts[3])
        assert (np.asarray(num)[~counts] == 0).all() and (np.asarray(num)[counts] != 0).any()


@pytest.mark.parametrize(
    ("metric", "column", "counted"),
    [
        ("object_auc", "grad_auc", 2),
        ("object_mass_ratio", "mass_ratio", 2),
        ("object_skill", "skill", 2),
        ("rank_accuracy", "rank_accuracy", 2),
        ("grad_centroid", "centroid", 4),
    ],
)
def test_what_asks_for_an_object_leaves_out_images_without_one(metric, column, counted):
    """Objects of 30 and 40 %, of half a percent, and of 99 %; a centroid needs none."""
    columns = {
        "role": np.full(4, "natural"),
        "stimulus": np.arange(4).astype(str),
        "area": np.array([0.3, 0.4, 0.005, 0.99]),
        column: np.array([0.2, 0.4, 0.9, 0.9]),
    }
    num, den = SUITE.metric(metric).ratio(Trials(columns))
    assert np.sum(den) == counted
    assert np.sum(num) == pytest.approx({2: 0.6, 4: 2.4}[counted])


def test_without_trials_the_reason_is_why_masks_are_missing():
    empty = {"role": np.array([], dtype=str), "stimulus": np.array([], dtype=str)}
    for missing, why in (({}, "no trials"), ({"natural-masked": "fetch it"}, "fetch it")):
        scores = SUITE.score(SUITE.config, Trials(empty, missing))
        found = {score.metric: score.reason for score in scores if score.metric == "object_auc"}
        assert found == {"object_auc": why}
