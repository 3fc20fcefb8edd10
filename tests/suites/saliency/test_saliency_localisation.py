"""Map against mask: by hand, by brute force, by Quantus, and at the edges."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suites.saliency.maps import localisation
from suites.saliency.maps.localisation import area_share, auc_of_ranks, mass_columns, pixel_ranks, rank_accuracy


def object_auc(maps, masks, valid=None):
    return localisation.auc_of_own(pixel_ranks(maps, valid), masks, valid)


def mass_ratio(*given):
    return mass_columns(*given)["mass_ratio"]


def skill(*given):
    return mass_columns(*given)["skill"]


ALL = (object_auc, mass_ratio, skill, rank_accuracy)


@pytest.mark.slow
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_auc_is_the_share_of_pixel_pairs_ties_counting_half(seed, levels):
    rng = np.random.default_rng(seed)
    values, mask = rng.integers(0, levels + 1, (12, 12)).astype(float), rng.random((12, 12)) < 0.3
    values[0, 0], mask[0, 0], mask[5, 5] = 1.0, True, False
    inside, outside = values[mask][:, None], values[~mask]
    wins = (inside > outside).sum() + 0.5 * (inside == outside).sum()
    assert object_auc(values[None], mask[None])[0] == pytest.approx(wins / (inside.size * outside.size), abs=1e-12)


def test_rank_accuracy_shares_tied_places():
    maps, masks = np.array([[[5.0, 2], [2, 2]]]), np.array([[[True] * 2, [False] * 2]])
    assert rank_accuracy(maps, masks)[0] == pytest.approx((1 + 1 / 3) / 2)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("metric", ALL)
def test_an_undefined_map_has_no_value_and_leaves_its_neighbours_alone(bad, metric):
    maps, masks = np.random.default_rng(0).random((3, 12, 12)), np.zeros((3, 12, 12), dtype=bool)
    masks[:, 2:6, 3:9] = True
    expected = metric(maps, masks)
    maps[1] = 0.0
    maps[1, 0, 0] = bad
    found = metric(maps, masks)
    assert np.isnan(found[1])
    np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])
    for full in (True, False):  # nor has an empty or full mask
        assert np.isnan(metric(np.ones((1, 5, 5)), np.full((1, 5, 5), full))).all()


def test_the_control_leaves_out_the_own_category_and_unusable_masks():
    maps = np.random.default_rng(0).random((1, 6, 6))
    pool = np.random.default_rng(1).random((4, 36)) < 0.5
    pool[3] = False
    ranks = pixel_ranks(maps)
    areas = auc_of_ranks(ranks, pool.astype(float))[0]
    kinds = np.array(["cat", "dog", "car", "dog"])
    for count, expected in ((4, (areas[1] + areas[2]) / 2), (1, np.nan)):
        others = pool[:count].astype(float), kinds[:count]
        found = localisation.mean_auc_of_others(ranks, np.array(["cat"]), *others)
        assert found[0] == pytest.approx(expected, nan_ok=True)


def cut(values, valid, row):
    """The valid pixels of one image, as an image of one row."""
    return values[row][valid[row]][None, None]


@given(st.integers(0, 10_000))
def test_pixels_that_do_not_count_might_as_well_not_be_there_nor_in_other_masks(seed):
    rng = np.random.default_rng(seed)
    maps, valid = np.round(rng.random((3, 9, 9)), 1), rng.random((3, 9, 9)) < 0.7
    masks = (rng.random((3, 9, 9)) < 0.4) & valid
    for metric in ALL:
        found = metric(maps, masks, valid)
        for row in range(len(maps)):
            alone = metric(cut(maps, valid, row), cut(masks, valid, row))[0]
            assert found[row] == pytest.approx(alone, abs=1e-12, nan_ok=True)
    pool = rng.random((40, 81)) < 0.4
    found = auc_of_ranks(pixel_ranks(maps, valid), pool.astype(float), valid)
    for row, k in ((0, 0), (1, 33), (2, 39)):
        mask = pool[k].reshape(9, 9)
        alone = object_auc(cut(maps, valid, row), mask[valid[row]][None, None])[0]
        assert found[row, k] == pytest.approx(alone, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(("name", "metric"), [("mass", mass_ratio), ("rank", rank_accuracy), ("auc", object_auc)])
def test_the_same_as_quantus(name, metric):
    """Quantus 0.6.0 gave these values in an environment of its own (it needs another OpenCV): twelve maps without ties,
    their masks, and `RelevanceMassAccuracy(abs=True, normalise=False)`, `RelevanceRankAccuracy`, `AUC` of them."""
    with np.load(Path(__file__).parent / "data" / "quantus-0.6.0.npz") as case:
        shape, maps, expected = tuple(case["shape"]), case["maps"].astype(float), case[name]
        masks = np.unpackbits(case["masks"], count=int(np.prod(shape))).reshape(shape).astype(bool)
    assert len(np.unique(expected)) > 8
    part = area_share(masks) if name == "mass" else 1.0
    np.testing.assert_allclose(metric(maps, masks) * part, expected, atol=1e-6)
