"""Graded human maps: the folder, the npz files and the TFRecords; what is said of broken ones."""

import pickle

import numpy as np
import pytest
from masked_fixtures import WNIDS, encoded, example, photo, records, save, write, write_labels
from refusals import refused

from benchmark.stimuli.datasets import open_set, restrict
from benchmark.stimuli.fetch import add
from benchmark.stimuli.roles import Resolver
from benchmark.stimuli.verify import verify

SIDE = 12
LABELS = (1, 3, 11)
CODED = ("0.tfrecords/000000", "0.tfrecords/000001", "1.tfrecords/000000")


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


def npz_form(folder):
    """clickme_val/0.npz ...: image, heatmap, clicks, label, as the lab's own conversion writes them."""
    (folder / "clickme_val").mkdir(parents=True)
    for i, label in enumerate(LABELS):
        kept = {"image": photo(i, SIDE, SIDE).astype(np.float32), "heatmap": human(i)}
        np.savez(folder / "clickme_val" / f"{i}.npz", clicks=30, label=label, **kept)
    return folder


def coded_records(folder):
    """val/val-0.tfrecords with PNG in it (a JPEG would not keep the pixels)."""
    images = [(encoded(photo(i, SIDE, SIDE)), encoded((human(i) * 255).astype(np.uint8))) for i in range(3)]
    payloads = [
        example(packed=label != 3, image=image, heatmap=heatmap, label=label)
        for (image, heatmap), label in zip(images, LABELS, strict=True)
    ]
    write(folder / "val" / "val-0.tfrecords", records(payloads[:2]))
    write(folder / "val" / "val-1.tfrecords", records(payloads[2:]))
    return folder


def raw_records(folder):
    """clickme_val.tfrecords: float32 values, and features that nobody reads."""
    more = {"click_count": 30, "file_path": b"/somewhere/n01443537_1.JPEG"}
    values = [{"heatmap": human(i).tobytes(), "image": photo(i, SIDE, SIDE).astype("<f4").tobytes()} for i in range(3)]
    payloads = [example(**more, **each, label=label) for each, label in zip(values, LABELS, strict=True)]
    write(folder / "clickme_val.tfrecords", records(payloads))
    return folder


def coarse(values):
    """A map that went through bytes."""
    return (values * 255).astype(np.uint8).astype(np.float32)


@pytest.mark.parametrize(("make", "names", "in_bytes"), [
    (folder_form, ("0.png", "1.png", "2.png"), (1,)),
    (npz_form, tuple(f"clickme_val/{i}.npz" for i in range(3)), ()),
    (coded_records, tuple(f"val/val-{name}" for name in CODED), (0, 1, 2)),
    (raw_records, tuple(f"clickme_val.tfrecords/00000{i}" for i in range(3)), ()),
])  # fmt: skip
def test_every_form_gives_images_labels_and_maps(make, names, in_bytes, tmp_path, settings):
    expected = [coarse(human(i)) if i in in_bytes else human(i) for i in range(3)]
    entry = add("mine", make(tmp_path / "maps"), settings)
    assert (entry.layout, entry.space, entry.role) == ("clickme", "imagenet1k", "clickme")
    stimuli = open_set("mine", settings)
    assert (stimuli.ids, stimuli.labels["category"].tolist()) == (names, list(WNIDS))
    assert stimuli.mask is None and stimuli.ignored is None
    copy = pickle.loads(pickle.dumps(stimuli))
    for i in range(3):
        assert np.array_equal(copy.decode(i), photo(i, SIDE, SIDE))
        assert stimuli.decode(i).dtype == np.uint8
        found = copy.importance(i)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected[i])
    part = restrict(stimuli, names[1:])
    np.testing.assert_array_equal(part.importance(0), expected[1])
    assert len(set(stimuli.items)) == 3
    checked = verify("mine", settings)
    assert checked.ok and "maps of what people used: yes" in checked.lines
    shelf = Resolver("imagenet1k", settings, limit=2)
    assert len(shelf.find("clickme")) == 2


def bad(value):
    values = human(0)
    values[3, 3] = value
    return values


@pytest.mark.parametrize(("values", "message"), [
    (bad(float("nan")), "NaN, infinite or negative"),
    (bad(-0.1), "NaN, infinite or negative"),
    (np.ones((SIDE, SIDE + 1)), "13 x 12 pixels, but the image that it belongs to has 12 x 12"),
    (np.full((SIDE, SIDE), "a"), "a map of <U1; expected numbers"),
])  # fmt: skip
def test_maps_that_are_none_are_refused(values, message, tmp_path, settings):
    folder = folder_form(tmp_path / "maps")
    np.save(folder / "heatmaps" / "0.npy", values)
    add("mine", folder, settings)
    assert "0.npy" in refused(message, open_set("mine", settings).importance, 0)


def test_nothing_in_a_file_of_numbers_is_run(tmp_path, settings):
    folder = folder_form(tmp_path / "maps")
    np.save(folder / "heatmaps" / "0.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    add("mine", folder, settings)
    refused(r"0\.npy cannot be read.*not a whole NumPy file", open_set("mine", settings).importance, 0)


def test_missing_maps_and_unknown_labels_are_named(tmp_path, settings):
    folder = folder_form(tmp_path / "maps")
    (folder / "heatmaps" / "2.npy").unlink()
    refused(r"2\.npy: there is no such map.*'2\.png'", add, "mine", folder, settings)
    other = npz_form(tmp_path / "npz")
    np.savez(other / "clickme_val" / "1.npz", image=photo(0), heatmap=human(0), label=1000)
    refused(r"1\.npz: label 1000; expected", add, "mine", other, settings)
    write(other / "clickme_val" / "1.npz", b"PK\x03\x04 no")
    refused(r"1\.npz cannot be read.*not a whole NumPy file with 'label'", add, "mine", other, settings)
    third = tmp_path / "records"
    write(third / "val-0.tfrecords", records([example(image=b"x", label=4)]))
    refused("record 0: no feature 'heatmap'", add, "mine", third, settings)
    write(third / "val-0.tfrecords", records([example(image=b"xyz", heatmap=b"x", label=4)]))
    add("mine", third, settings)
    refused("record 0: 3 bytes that are neither", open_set("mine", settings).decode, 0)
