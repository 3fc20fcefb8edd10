import pickle
from dataclasses import replace
from itertools import product
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from masked_fixtures import save
from PIL import Image
from set_checks import missing, opened, refused

from benchmark.contracts import Trials
from benchmark.stimuli import image_files
from benchmark.stimuli.catalogue import find_entry
from benchmark.stimuli.datasets import find_cells, open_folder, open_set, restrict, sample, shuffled, subset
from benchmark.stimuli.fetch import add_folder
from benchmark.stimuli.image_names import exemplars
from benchmark.stimuli.items import images_below, sample_order
from benchmark.stimuli.resolver import Resolver
from benchmark.stimuli.world.sets import generated_set
from benchmark.testing import toy_stimuli


def test_a_conflict_set_is_read_in_order_with_its_cues_and_digest(conflict, settings, draw):
    stimuli = open_set("cue-conflict", settings)
    assert stimuli.ids[:3] == ("cat1-cat1.png", "cat1-elephant1.png", "cat2-cat2.png")
    assert len(stimuli) == 8 and stimuli.whole == 1280
    assert stimuli.labels["category"].tolist() == stimuli.labels["shape"].tolist()
    assert stimuli.labels["texture"][:2].tolist() == ["cat", "elephant"]
    assert stimuli.mask is None and stimuli.origin == "catalogue"
    expected = np.asarray(Image.open(conflict / "cat" / "cat1-elephant1.png"))
    assert np.array_equal(stimuli.decode(1), expected)
    # The digest follows content, names and labels.
    assert open_set("cue-conflict", settings).digest == stimuli.digest
    draw(conflict / "cat" / "cat1-cat1.png", seed=99)
    changed = open_set("cue-conflict", settings)
    assert changed.digest != stimuli.digest and list(changed.items[1:]) == list(stimuli.items[1:])
    (conflict / "dog" / "dog1-car1.png").rename(conflict / "dog" / "dog1-bear1.png")
    assert open_set("cue-conflict", settings).digest != changed.digest


@pytest.mark.parametrize(("name", "message"), [
    ("cat/cat1.png", "has another form than 'cat/cat7-elephant1.png'"),
    ("cat/cat1-zebra1.png", "lacks 'zebra', of the image .*; it has airplane, bear"),
    ("zebra/zebra1-cat1.png", "lacks 'zebra'"),
])  # fmt: skip
def test_files_that_break_the_layout_or_are_cut_short_are_named(conflict, settings, draw, name, message):
    path = conflict / "cat" / "cat1-cat1.png"
    path.write_bytes(path.read_bytes()[:80])
    assert str(path) in refused("not a complete image.*data fetch", open_set("cue-conflict", settings).decode, 0)
    draw(conflict / name)
    assert name.split("/")[0] in refused(message, open_set, "cue-conflict", settings)


def test_masks_come_from_the_silhouette_of_the_shape(conflict, settings):
    for shape in ("cat", "dog", "truck"):
        for k in (1, 2):
            pixels = np.full((8, 8, 3), 255, np.uint8)
            pixels[:k, :, :] = 0
            save(settings.data / "filled-silhouettes" / shape / f"{shape}{k}.png", pixels)
    stimuli = open_set("cue-conflict", settings)
    for i, name in enumerate(stimuli.ids):
        assert stimuli.mask(i).dtype == np.bool_
        assert stimuli.mask(i).sum() == 8 * int(name[name.index("-") - 1])
    assert pickle.loads(pickle.dumps(subset(stimuli, 3))).mask(2).shape == (8, 8)
    Image.new("RGB", (9, 9)).save(settings.data / "filled-silhouettes" / "cat" / "cat1.png")
    refused(r"cat1.png: not 8 x 8 px", stimuli.mask, 0)
    (settings.data / "filled-silhouettes" / "dog" / "dog1.png").unlink()
    assert open_set("cue-conflict", settings).mask is None


def test_session_names_give_condition_and_category(settings, draw):
    folder = settings.data / "high-pass" / "dnn" / "session-1"
    draw(folder / "0001_hp_dnn_3.0_knife_10_n03041632_1.png")
    draw(folder / "0002_hp_dnn_inf_cat_10_n02124075_2.png")
    stimuli = open_set("high-pass", settings)
    assert stimuli.ids == ("inf/n02124075_2.png", "3/n03041632_1.png")
    assert stimuli.labels["condition"].tolist() == ["inf", "3"]
    draw(folder / "0003_hp_dnn_3_knife_10_n03041632_1.png")
    refused("image names must be unique", open_set, "high-pass", settings)


@pytest.mark.slow
@given(st.integers(1, 60), st.integers(1, 80))
def test_a_subset_is_evenly_spaced_and_keeps_the_full_count(n, limit):
    whole, m = replace(toy_stimuli("natural", size=n), whole=None), min(n, limit)
    part = subset(whole, limit)
    assert part.ids == tuple(whole.ids[i * n // m] for i in range(m))
    assert (part.digest == whole.digest) == (limit >= n)
    assert limit >= n or part.whole == n
    assert np.array_equal(part.decode(m - 1), whole.decode((m - 1) * n // m))


@pytest.fixture
def natural(settings, draw):
    """Nine images in three classes, as imagenet-val."""
    folder = settings.data / "imagenet-val"
    for i in range(9):
        draw(folder / f"n0000000{i % 3}" / f"ILSVRC2012_val_0000000{8 - i}.png", seed=i)
    (folder / "n00000000" / "notes.txt").write_text("not an image")
    (folder / "n00000000" / ".hidden.png").write_text("not an image")
    (folder / ".cache").mkdir()
    (folder / "empty").mkdir()
    return folder


def test_images_come_by_class_then_name_and_once(natural, settings, tmp_path):
    (natural / "n00000002").rename(tmp_path / "elsewhere")
    for name, target in (("n00000002", tmp_path / "elsewhere"), ("n00000000/loop", "."), ("n00000001/up", natural)):
        (natural / name).symlink_to(target)
    stimuli = open_set("imagenet-val", settings)
    assert len(list(images_below(natural))) == len(stimuli) == 9
    numbers = [int(name[15:23]) for name in stimuli.ids]
    assert numbers == [2, 5, 8, 1, 4, 7, 0, 3, 6]
    assert stimuli.labels["category"].tolist() == [f"n0000000{i}" for i in (0, 0, 0, 1, 1, 1, 2, 2, 2)]
    assert stimuli.whole == 50000
    again = pickle.loads(pickle.dumps(stimuli))
    assert np.array_equal(again.decode(4), stimuli.decode(4)) and list(again.items) == list(stimuli.items)


def test_a_limit_reads_no_other_file(natural, settings, monkeypatch):
    part = sample(open_set("imagenet-val", settings), 4)
    seen = []
    read = image_files.digest_file
    monkeypatch.setattr(image_files, "digest_file", lambda path: (seen.append(Path(path).name), read(path))[1])
    fresh = replace(settings, home=settings.home / "other")
    entry = find_entry("imagenet-val", settings)
    limited = open_folder(entry, natural, fresh, limit=4)
    assert tuple(seen) == limited.ids == part.ids
    assert (limited.digest, limited.whole) == (part.digest, part.whole)
    assert np.array_equal(limited.decode(3), part.decode(3))
    seen.clear()
    assert Resolver("imagenet1k", fresh, limit=4).find("natural").digest == part.digest
    whole = open_folder(entry, natural, fresh, limit=90)
    assert whole.digest == open_set("imagenet-val", settings).digest


def test_names_that_repeat_over_classes_carry_their_class(settings, draw, tmp_path):
    ids = ("n00000000/a.png", "n00000001/a.png", "n00000001/b.png")
    for i, name in enumerate(ids[::-1]):
        draw(tmp_path / "r" / name, seed=i)
    stimuli = opened("renditions", tmp_path / "r", settings)
    assert stimuli.ids == ids and len(set(stimuli.items)) == 3
    assert not np.array_equal(stimuli.decode(0), stimuli.decode(1))


@pytest.fixture
def tree(settings, draw):
    """tree(*cells): imagenet-c in the data folder, six images in three classes per cell, pixels of their own."""

    def make(*cells):
        for cell, i in product(cells, range(6)):
            name = f"n0000000{i % 3}/ILSVRC2012_val_0000000{i}.png"
            draw(settings.data / "imagenet-c" / cell / name, seed=crc32(f"{cell} {i}".encode()))
        return settings.data / "imagenet-c"

    return make


def test_cells_come_in_the_published_order_with_or_without_groups(tree, settings, tmp_path):
    grouped = tree("noise/shot_noise/2", "noise/gaussian_noise/10", "noise/gaussian_noise/2", "blur/zoom_blur/1",
                   "extra/saturate/1", "extra/aaa_of_ones_own/0.5")  # fmt: skip
    expected = ["gaussian_noise/2", "gaussian_noise/10", "shot_noise/2", "zoom_blur/1", "saturate/1",
                "aaa_of_ones_own/0.5"]  # fmt: skip
    parts = Resolver("imagenet1k", settings).parts("imagenet-c")
    assert list(parts) == expected and len(parts) == 6
    flat = tmp_path / "flat"
    flat.mkdir()
    for place in [*grouped.glob("*/*")]:
        place.rename(flat / place.name)
    assert [*find_cells(find_entry("imagenet-c", settings), flat)] == expected
    deeper = tmp_path / "deeper" / "imagenet-c" / "all"
    deeper.parent.mkdir(parents=True)
    flat.rename(deeper)
    assert len(find_cells(find_entry("imagenet-c", settings), tmp_path / "deeper")) == 6


def test_a_limit_shows_the_same_images_in_every_cell(tree, settings, draw):
    folder = tree("fog/1", "fog/2", "snow/1")
    next((folder / "fog/2").rglob("*00000003.png")).unlink()
    draw(folder / "snow/1/n00000001/ILSVRC2012_val_00000009.png")
    moved = next((folder / "snow/1").rglob("*00000001.png"))
    moved.rename(folder / "snow/1/n00000002" / moved.name)  # the same name in another class is another image
    whole = Resolver("imagenet1k", settings).parts("imagenet-c")
    assert {name: len(part) for name, part in whole.items()} == {"snow/1": 7, "fog/1": 6, "fog/2": 5}
    for limit, expected in ((2, (4, 0)), (4, (0, 4, 2, 5)), (99, (0, 4, 2, 5))):
        parts = Resolver("imagenet1k", settings, limit=limit).parts("imagenet-c")
        names = {part.ids for part in parts.values()}
        assert names == {tuple(f"ILSVRC2012_val_0000000{i}.png" for i in expected)}
        for name, part in parts.items():
            same = restrict(whole[name], part.ids)
            assert part.digest == same.digest and np.array_equal(part.decode(1), same.decode(1))


def test_absent_cells_say_where_to_get_them(settings, tmp_path):
    shelf = Resolver("imagenet1k", settings)
    missing(r"bench data fetch imagenet-c.*data add imagenet-c FOLDER", shelf.parts, "imagenet-c")
    missing(r"in cells has the role 'smog'.*--layout cells", shelf.parts, "smog")
    missing("in cells has the role 'natural'", shelf.parts, "natural")
    missing("in the label space 'geirhos16'", Resolver("geirhos16", settings).parts, "imagenet-c")
    (tmp_path / "none" / "fog").mkdir(parents=True)
    refused("no cells of 'imagenet-c'", add_folder, "imagenet-c", tmp_path / "none", settings)


@pytest.mark.parametrize("name", ["cue-conflict", "natural", "cue-conflict-alpha0", "edges"])
def test_every_number_of_images_is_balanced_to_within_one(name):
    labels = shuffled(generated_set(f"world-{name}")).labels
    for column in {"category", "texture"} & set(labels):
        counts = np.cumsum(labels[column][:, None] == np.unique(labels[column]), axis=0)
        assert np.ptp(counts, axis=1).max() == 1  # in each front part


def test_n_images_are_contained_in_more_and_in_what_a_protocol_shows_of_them():
    whole = generated_set("world-natural")
    before = set()
    for limit in (1, 15, 16, 100, 300, 479):
        part = sample(whole, limit)
        assert before < set(part.ids) and len(part) == limit and part.whole == 480
        assert set(subset(part, 64).ids) == set(part.ids[:64])
        before = set(part.ids)
    assert sample(whole, 480) is whole


def test_the_order_follows_names_not_places():
    ids, places = [f"{i:05d}.png" for i in range(200)], np.arange(200)
    labels = {"category": (places // 40).astype(str), "condition": (places // 10 % 4).astype(str)}
    turned = sample_order(ids[::-1], {name: column[::-1] for name, column in labels.items()}, 30)
    assert [ids[::-1][i] for i in turned] == [ids[i] for i in sample_order(ids, labels, 30)]
    assert len(set(sample_order(ids[:9], {}, 4))) == 4


def test_shuffled_stimuli_come_in_the_order_that_a_limit_cuts():
    plain = toy_stimuli("natural", size=200)
    mixed = shuffled(plain)
    assert sorted(mixed.ids) == sorted(plain.ids) and mixed.ids[:50] == sample(plain, 50).ids
    assert mixed.digest != plain.digest and mixed.name == "toy-natural (shuffled)" and mixed.whole == 200
    assert mixed.digest == restrict(plain, mixed.ids).digest  # of items and labels, too
    assert np.array_equal(mixed.decode(57), plain.decode(plain.ids.index(mixed.ids[57])))
    part = sample(plain, 50)
    assert shuffled(part).ids == part.ids
    nothing = replace(plain, ids=(), items=(), labels={"category": np.zeros(0, dtype=str)})
    assert not len(shuffled(nothing)) and sample(nothing, 3) is nothing


def test_names_say_what_images_are_made_of():
    names = ["cat7-elephant1.png", "dog2-cat3.png", "cat7.png", "other.png", "cat7-elephant1.png"]
    parts = exemplars(Trials(columns={"stimulus": np.array(names)}))
    assert parts["shape_exemplar"].tolist() == ["cat7", "dog2", "cat7", "", "cat7"]
    assert parts["texture_exemplar"].tolist() == ["elephant1", "cat3", "", "", "elephant1"]
