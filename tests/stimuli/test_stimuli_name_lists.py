"""Sets that are a list of names in another set."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import refused

from benchmark.settings import Settings
from benchmark.stimuli.catalogue import find_entry
from benchmark.stimuli.datasets import open_set, read_names
from benchmark.stimuli.fetch import add, fetch
from benchmark.stimuli.roles import Resolver

NAME, FILE = "imagenet-val-robustbench", "imagenet_test_image_ids.txt"
WNIDS = ("n01440764", "n01443537", "n01484850")


@pytest.fixture
def photographs(tmp_path):
    """Twelve images in the layout of imagenet-val."""
    rng = np.random.default_rng(0)
    for i in range(12):
        place = tmp_path / "data/imagenet-val" / WNIDS[i % 3]
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"ILSVRC2012_val_{i:08d}.JPEG")


def listed(tmp_path, *lines):
    place = tmp_path / "data" / NAME
    place.mkdir(parents=True, exist_ok=True)
    (place / FILE).write_text("\n".join(lines) + "\n")


def lines(*numbers):
    return [f"{WNIDS[i % 3]}/ILSVRC2012_val_{i:08d}.JPEG" for i in numbers]


def test_the_named_images_in_the_order_of_their_set(settings, photographs, tmp_path):
    listed(tmp_path, *lines(7, 0, 4, 2))
    stimuli = Resolver("imagenet1k", settings).find("natural-robustbench")
    whole = open_set("imagenet-val", settings)
    assert stimuli.name == NAME and len(stimuli) == 4
    assert stimuli.ids == tuple(f"ILSVRC2012_val_{i:08d}.JPEG" for i in (0, 4, 7, 2))
    assert stimuli.labels["category"].tolist() == [WNIDS[i] for i in (0, 1, 1, 2)]
    for i, name in enumerate(stimuli.ids):
        at = whole.ids.index(name)
        assert np.array_equal(stimuli.decode(i), whole.decode(at))
        assert stimuli.items[i] == whole.items[at]
    assert stimuli.digest != whole.digest


def test_names_that_the_set_lacks_are_counted(settings, photographs, tmp_path):
    listed(tmp_path, *lines(0, 40, 41))
    refused("lacks 2 of the 3 images", open_set, NAME, settings)


@pytest.mark.parametrize("text", ["", "a/b.JPEG\na/b.JPEG\n"])
def test_a_list_must_name_images_each_once(settings, tmp_path, text):
    listed(tmp_path, *text.splitlines())
    refused("one a line, each once", read_names, find_entry(NAME, settings), tmp_path / "data" / NAME)


def test_a_list_is_added_and_copied_from_a_mirror(settings, photographs, tmp_path):
    listed(tmp_path, *lines(3))
    bare = Settings(tmp_path / "other", "unused.db", str(tmp_path / "data"), None)
    assert add(NAME, tmp_path / "data" / NAME, settings).role == "natural-robustbench"
    place = fetch(NAME, bare, lambda _: None)
    assert (Path(place) / FILE).read_text().startswith("n01440764/")
