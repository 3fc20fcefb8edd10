"""Graded human maps: the folder, and what is said of broken ones."""

import pickle

import numpy as np
import pytest
from masked_fixtures import WNIDS, photo, save, write_labels
from set_checks import opened, refused

from benchmark.stimuli.datasets import open_set, restrict
from benchmark.stimuli.fetch import add_folder
from benchmark.stimuli.resolver import Resolver
from benchmark.stimuli.verify import verify_set

SIDE = 12


def human(seed):
    return np.random.default_rng(100 + seed).random((SIDE, SIDE), dtype=np.float32)


def folder_form(folder):
    """images/, heatmaps/ as .npy, .png and float64 with a channel axis, labels.csv."""
    rows = []
    for i, wnid in enumerate(WNIDS):
        save(folder / "images" / f"{i}.png", photo(i, SIDE, SIDE))
        rows.append({"image": f"{i}.png", "category": wnid})
    (folder / "heatmaps").mkdir()
    np.save(folder / "heatmaps" / "0.npy", human(0))
    save(folder / "heatmaps" / "1.png", (human(1) * 255).astype(np.uint8))
    np.save(folder / "heatmaps" / "2.npy", human(2).astype(np.float64)[:, :, None])
    write_labels(folder, rows)
    return folder


def test_a_folder_gives_images_labels_and_maps(tmp_path, settings):
    entry = add_folder("mine", folder_form(tmp_path / "maps"), settings)
    assert (entry.layout, entry.space, entry.role) == ("clickme", "imagenet1k", "clickme")
    stimuli = open_set("mine", settings)
    names = ("0.png", "1.png", "2.png")
    assert (stimuli.ids, stimuli.labels["category"].tolist()) == (names, list(WNIDS))
    assert stimuli.mask is None and stimuli.ignored is None
    copy, coarse = pickle.loads(pickle.dumps(stimuli)), (human(1) * 255).astype(np.uint8)
    for i, expected in enumerate((human(0), coarse, human(2))):
        assert np.array_equal(copy.decode(i), photo(i, SIDE, SIDE))
        importance = copy.importance(i)
        assert importance.dtype == np.float32
        np.testing.assert_array_equal(importance, expected)
    np.testing.assert_array_equal(restrict(stimuli, names[1:]).importance(0), coarse)
    assert len(set(stimuli.items)) == 3
    checked = verify_set("mine", settings)
    assert checked.ok and "maps of what people used: yes" in checked.lines
    assert len(Resolver("imagenet1k", settings, limit=2).find("clickme")) == 2


@pytest.mark.parametrize(("values", "message"), [
    (np.diag([np.nan] * SIDE), "NaN, infinite or negative"),
    (-0.1 * np.eye(SIDE), "NaN, infinite or negative"),
    (np.ones((SIDE, SIDE + 1)), "13 x 12 pixels, but the image that it belongs to has 12 x 12"),
    (np.full((SIDE, SIDE), "a"), "a map of <U1; expected numbers"),
    (np.array([{"a": 1}], dtype=object), "cannot be read.*not a whole NumPy file"),  # nothing in it is run
])  # fmt: skip
def test_maps_that_are_none_are_refused(values, message, tmp_path, settings):
    folder = folder_form(tmp_path / "maps")
    np.save(folder / "heatmaps" / "0.npy", values)
    assert "0.npy" in refused(message, opened("mine", folder, settings).importance, 0)
    (folder / "heatmaps" / "2.npy").unlink()
    refused(r"2\.npy: this file does not exist.*'2\.png'", add_folder, "mine", folder, settings)
