"""Sets in cells: found with and without groups, in the published order, the same images in each under a limit."""

from zlib import crc32

import numpy as np
import pytest
from refusals import refused

from benchmark.errors import MissingStimuli
from benchmark.stimuli.catalogue import find_entry
from benchmark.stimuli.datasets import find_cells
from benchmark.stimuli.fetch import add
from benchmark.stimuli.roles import Resolver


@pytest.fixture
def tree(settings, draw):
    """tree(*cells): imagenet-c in the data folder, six images in three classes per cell, pixels of their own."""

    def make(*cells, images=6, root=None):
        folder = root or settings.data / "imagenet-c"
        for cell in cells:
            for i in range(images):
                name = f"n0000000{i % 3}/ILSVRC2012_val_0000000{i}.png"
                draw(folder / cell / name, seed=crc32(f"{cell} {i}".encode()))
        return folder

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
    for corruption in (grouped / "noise", grouped / "blur", grouped / "extra"):
        for place in corruption.iterdir():
            place.rename(flat / place.name)
    assert [cell.name for cell in find_cells(find_entry("imagenet-c", settings), flat)] == expected
    deeper = tmp_path / "deeper" / "imagenet-c" / "all"
    deeper.parent.mkdir(parents=True)
    flat.rename(deeper)
    assert len(find_cells(find_entry("imagenet-c", settings), tmp_path / "deeper")) == 6


def test_each_cell_is_a_set_of_its_own(tree, settings):
    folder = tree("fog/1", "fog/2")
    parts = Resolver("imagenet1k", settings).parts("imagenet-c")
    first, second = parts["fog/1"], parts["fog/2"]
    assert (first.name, first.space, first.whole) == ("imagenet-c fog/1", "imagenet1k", 50000)
    assert first.digest != second.digest and first.ids is second.ids
    assert first.labels["category"] is second.labels["category"]
    assert parts["fog/1"] is first
    from PIL import Image

    for stimuli, cell in ((first, "fog/1"), (second, "fog/2")):
        for i, (name, category) in enumerate(zip(stimuli.ids, stimuli.labels["category"], strict=True)):
            assert np.array_equal(stimuli.decode(i), np.asarray(Image.open(folder / cell / category / name)))
    with pytest.raises(KeyError):
        parts["fog/3"]


def test_a_limit_shows_the_same_images_in_every_cell(tree, settings, draw):
    folder = tree("fog/1", "fog/2", "snow/1")
    next((folder / "fog" / "2").rglob("*00000003.png")).unlink()
    draw(folder / "snow" / "1" / "n00000001" / "ILSVRC2012_val_00000009.png")
    next((folder / "snow" / "1").rglob("*00000001.png")).rename(
        folder / "snow" / "1" / "n00000002" / "ILSVRC2012_val_00000001.png"
    )  # the same name in another class is another image
    whole = Resolver("imagenet1k", settings).parts("imagenet-c")
    assert {name: len(part) for name, part in whole.items()} == {"snow/1": 7, "fog/1": 6, "fog/2": 5}
    for limit, expected in ((2, (4, 0)), (4, (0, 4, 2, 5)), (99, (0, 4, 2, 5))):
        parts = Resolver("imagenet1k", settings, limit=limit).parts("imagenet-c")
        names = {part.ids for part in parts.values()}
        assert names == {tuple(f"ILSVRC2012_val_0000000{i}.png" for i in expected)}
        for name, part in parts.items():
            at = [whole[name].ids.index(one) for one in part.ids]
            assert list(part.items) == [whole[name].items[i] for i in at]
            assert all(np.array_equal(part.decode(k), whole[name].decode(i)) for k, i in enumerate(at))


def test_absent_cells_say_where_to_get_them(settings, tmp_path):
    shelf = Resolver("imagenet1k", settings)
    with pytest.raises(MissingStimuli, match=r"bench data fetch imagenet-c.*data add imagenet-c FOLDER"):
        shelf.parts("imagenet-c")
    with pytest.raises(MissingStimuli, match=r"in cells plays the role 'smog'.*--layout cells"):
        shelf.parts("smog")
    with pytest.raises(MissingStimuli, match="in cells plays the role 'natural'"):
        shelf.parts("natural")
    with pytest.raises(MissingStimuli, match="in the space 'geirhos16'"):
        Resolver("geirhos16", settings).parts("imagenet-c")
    (tmp_path / "none" / "fog").mkdir(parents=True)
    refused("no cells of 'imagenet-c'", add, "imagenet-c", tmp_path / "none", settings)
