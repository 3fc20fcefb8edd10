"""Numbers of the definition as literals, worked out by hand or read from the papers: never the constants under test."""

import numpy as np
import pytest
import torch

from benchmark.contracts import Block, Trials
from benchmark.stats import ratio_score
from benchmark.testing import ToyView, toy_stimuli
from suites.saliency import SUITE
from suites.saliency.maps.gradients import saliency
from suites.saliency.maps.localisation import auc_of_own, pixel_ranks
from suites.saliency.maps.references import centre, darkness, sobel


def test_the_map_is_the_sum_over_channels_of_absolute_values():
    """Neither their maximum nor the absolute value of their sum: three pixels by hand."""
    gradient = np.array([[[[3.0, -1.0, 2.0]], [[-4.0, -1.0, -2.0]], [[0.0, -1.0, 0.5]]]])
    np.testing.assert_array_equal(saliency(gradient), [[[7.0, 3.0, 4.5]]])


def test_each_image_of_smoothgrad_has_noise_of_its_own():
    """Drawn anew by each image's own seed, and differentiated by hand: one noise for all gives other areas."""
    view = ToyView(Block(stimuli=toy_stimuli("cue-conflict"), role="cue-conflict"), np.arange(8))
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
        expected += auc_of_own(pixel_ranks(saliency(mean)), view.mask(row)[None]).tolist()
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert np.ptp(expected) > 0.05


def test_blob_edges_and_darkness_by_hand():
    """A Gaussian of a quarter of each side: on 4 x 8 pixels, pixel centres 1/8 or 1/16 of the side from the middle. A
    step of 1 in luminance: 4 by Sobel's weights on either side of it. Weights of ITU-R BT.601."""
    blob = centre(np.zeros((2, 3, 4, 8)))
    assert blob.shape == (2, 4, 8)
    assert blob[0, 1, 3] == pytest.approx(np.exp(-1 / 8 - 1 / 32))  # 1/8 and 1/16 of the sides: .5 and .25 sd
    assert blob[0, 0, 0] == pytest.approx(np.exp(-9 / 8 - 49 / 32))  # 3/8 and 7/16: 1.5 and 1.75 sd
    np.testing.assert_array_equal(blob[0], blob[1])
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
    found = ratio_score(SUITE.metric("clickme_alignment"), Trials(columns=columns))
    assert found.value == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize(("metric", "columns", "counted"), [
    ("object_reliance", ("object_evidence", "place_evidence"), 3),
    *(("object_auc", ("grad_auc",), 3), ("object_mass_ratio", ("mass_ratio",), 3), ("object_skill", ("skill",), 3)),
    *(("rank_accuracy", ("rank_accuracy",), 3), ("grad_centroid", ("centroid",), 5)),
])  # fmt: skip
def test_objects_of_one_to_ninety_five_percent_count_where_one_is_asked_for(metric, columns, counted):
    """A centroid needs no object."""
    areas = {"area": np.array([0.3, 0.01, 0.95, 0.0099, 0.951]), "role": np.full(5, "natural")}
    values = {name: np.array([0.1, 0.2, 0.4, 0.8, 1.6]) for name in columns}
    num, den = SUITE.metric(metric).ratio(Trials(columns={**areas, **values, "stimulus": np.arange(5).astype(str)}))
    counts = np.asarray(den) > 0
    assert counts.tolist() == [True] * counted + [False] * (5 - counted)
    assert (np.asarray(num)[~counts] == 0).all()


def test_without_trials_the_reason_is_why_masks_are_missing():
    empty = {"role": np.array([], dtype=str), "stimulus": np.array([], dtype=str)}
    for missing, why in (({}, "no trials"), ({"natural-masked": "fetch it"}, "fetch it")):
        scores = SUITE.score(SUITE.config, Trials(columns=empty, missing=missing))
        found = {score.metric: score.reason for score in scores if score.metric == "object_auc"}
        assert found == {"object_auc": why}
