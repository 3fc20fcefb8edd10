import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from refusals import refused

from benchmark.contracts import Stimuli
from benchmark.errors import StimuliError
from benchmark.stimuli.datasets import open_set, restrict, seeds_of, subset
from benchmark.stimuli.image_files import set_digest


def made_up(n):
    ids = tuple(f"{i}.png" for i in range(n))
    items = tuple(f"{i:064x}" for i in range(n))
    labels = {"category": np.array(["cat"] * n)}
    blank = np.zeros((1, 1, 3), np.uint8)
    return Stimuli("made-up", set_digest(ids, items, labels), "geirhos16", ids, items, labels,
                   decode=lambda i: blank + np.uint8(i))  # fmt: skip


def test_a_conflict_set_is_read_in_order_with_its_cues(conflict, settings):
    stimuli = open_set("cue-conflict", settings)
    assert stimuli.ids[:3] == ("cat1-cat1.png", "cat1-elephant1.png", "cat2-cat2.png")
    assert len(stimuli) == 8 and stimuli.whole == 1280
    assert stimuli.labels["category"].tolist() == stimuli.labels["shape"].tolist()
    assert stimuli.labels["texture"][:2].tolist() == ["cat", "elephant"]
    assert stimuli.mask is None and stimuli.origin == "catalogue"
    expected = np.asarray(Image.open(conflict / "cat" / "cat1-elephant1.png"))
    assert np.array_equal(stimuli.decode(1), expected)


def test_the_digest_follows_content_names_and_labels(conflict, settings, draw):
    before = open_set("cue-conflict", settings)
    assert open_set("cue-conflict", settings).digest == before.digest
    draw(conflict / "cat" / "cat1-cat1.png", seed=99)
    changed = open_set("cue-conflict", settings)
    assert changed.digest != before.digest and list(changed.items[1:]) == list(before.items[1:])
    (conflict / "dog" / "dog1-car1.png").rename(conflict / "dog" / "dog1-bear1.png")
    assert open_set("cue-conflict", settings).digest != changed.digest


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cat/cat1.png", "expected a name like 'cat7-elephant1.png'"),
        ("cat/dog1-cat1.png", "expected a name like"),
        ("cat/cat1-zebra1.png", "expected a name like"),
        ("zebra/zebra1-cat1.png", "not one of the 16 categories"),
    ],
)
def test_files_that_break_the_layout_are_named(conflict, settings, draw, name, message):
    draw(conflict / name)
    with pytest.raises(StimuliError, match=message) as error:
        open_set("cue-conflict", settings)
    assert name.split("/")[0] in str(error.value)


def test_an_image_cut_short_is_named_with_the_remedy(conflict, settings):
    path = conflict / "cat" / "cat1-cat1.png"
    path.write_bytes(path.read_bytes()[:80])
    stimuli = open_set("cue-conflict", settings)
    assert str(path) in refused(r"not a complete image.*bench data fetch", stimuli.decode, 0)


def test_masks_come_from_the_silhouette_of_the_shape(conflict, settings):
    for shape in ("cat", "dog", "truck"):
        for k in (1, 2):
            pixels = np.full((8, 8, 3), 255, np.uint8)
            pixels[:k, :, :] = 0
            path = settings.data / "filled-silhouettes" / shape / f"{shape}{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    stimuli = open_set("cue-conflict", settings)
    for i, name in enumerate(stimuli.ids):
        assert stimuli.mask(i).dtype == np.bool_
        assert stimuli.mask(i).sum() == 8 * int(name[name.index("-") - 1])
    assert pickle.loads(pickle.dumps(subset(stimuli, 3))).mask(2).shape == (8, 8)
    Image.new("RGB", (9, 9)).save(settings.data / "filled-silhouettes" / "cat" / "cat1.png")
    refused(r"9 x 9 pixels.*8 x 8", stimuli.mask, 0)
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
    whole = made_up(n)
    part = subset(whole, limit)
    m = min(n, limit)
    assert part.ids == tuple(whole.ids[i * n // m] for i in range(m))
    assert (part.digest == whole.digest) == (limit >= n)
    assert limit >= n or part.whole == n
    assert [int(part.decode(i)[0, 0, 0]) for i in range(m)] == [i * n // m for i in range(m)]


@given(st.data())
def test_seeds_follow_the_item_not_its_place(data):
    whole = made_up(30)
    order = data.draw(st.lists(st.sampled_from(whole.ids), min_size=1, unique=True))
    seed = data.draw(st.integers(0, 2**40))
    part = restrict(whole, order)
    of_whole = dict(zip(whole.ids, seeds_of(whole, np.arange(30), seed), strict=True))
    of_part = seeds_of(part, np.arange(len(part)), seed)
    assert of_part.dtype == np.uint64
    assert of_part.tolist() == [int(of_whole[name]) for name in order]
    assert len(set(of_whole.values())) == 30
    assert of_part.tolist() != seeds_of(part, np.arange(len(part)), seed + 1).tolist()
