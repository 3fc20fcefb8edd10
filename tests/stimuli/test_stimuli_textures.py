"""Frost textures: found, checked by content, handed over in order; a changed or missing file is named."""

import hashlib
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from refusals import refused

from benchmark.errors import MissingStimuli
from benchmark.stimuli import catalogue
from benchmark.stimuli.catalogue import Entry, locate
from benchmark.stimuli.fetch import fetch
from benchmark.stimuli.roles import Resolver
from benchmark.stimuli.verify import verify

NAMES = ("frost2.png", "frost1.png")  # the published order is the catalogue's, not the alphabet's


@pytest.fixture
def frost(settings, draw, monkeypatch):
    """Two pictures in the data folder, and a catalogue that knows their digests."""
    paths = [draw(settings.data / "frost" / name, seed=i, size=9) for i, name in enumerate(NAMES)]
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    entry = Entry("frost", "frost", "any", "textures", kind="textures", files=files,
                  url="http://127.0.0.1:1/create_c", member="ImageNet-C/create_c")  # fmt: skip
    monkeypatch.setattr(catalogue, "_built_in", lambda: {"frost": entry})
    return entry


def test_textures_come_in_the_catalogue_s_order_in_every_space(frost, settings):
    shelf = Resolver("imagenet1k", settings)
    found = shelf.textures("frost")
    for array, name in zip(found, NAMES, strict=True):
        assert array.dtype == np.uint8 and array.shape == (9, 9, 3)
        assert np.array_equal(array, np.asarray(Image.open(settings.data / "frost" / name)))
    assert shelf.textures("frost") is found
    assert len(Resolver("world16", settings).textures("frost")) == 2


def test_another_picture_under_the_name_is_refused(frost, settings, draw):
    path = draw(settings.data / "frost" / "frost2.png", seed=77, size=9)
    refused(r"frost2.png: not the published file.*bench data fetch", Resolver("any", settings).textures, "frost")
    checked = verify("frost", settings)
    assert not checked.ok and "frost1.png: 9 x 9 px, as published" in checked.lines
    path.unlink()
    refused(r"frost2.png cannot be read", Resolver("any", settings).textures, "frost")
    assert not verify("frost", settings).ok


def test_absent_textures_say_how_to_get_them(settings):
    with pytest.raises(MissingStimuli, match=r"bench data fetch frost.*bench data add frost"):
        Resolver("imagenet1k", settings).textures("frost")
    with pytest.raises(MissingStimuli, match=r"role 'rain'.*--role rain --layout textures"):
        Resolver("imagenet1k", settings).textures("rain")


def test_textures_are_fetched_from_a_mirror_folder_and_checked(frost, settings, tmp_path, draw):
    mirror = tmp_path / "mirror"
    (settings.data / "frost").rename(settings.data / "hidden")
    shutil.copytree(settings.data / "hidden", mirror / "frost")
    mirrored = replace(settings, mirror=str(mirror))
    assert fetch("frost", mirrored, lambda line: None) == settings.stimuli / "frost"
    assert len(Resolver("any", settings).textures("frost")) == 2
    shutil.rmtree(settings.stimuli / "frost")
    draw(mirror / "frost" / "frost2.png", seed=5)
    refused("not the published file", fetch, "frost", mirrored, lambda line: None)
    assert locate("frost", settings) is None
    refused(r"create_c/frost2.png: no connection.*holds frost/frost2.png", fetch, "frost", settings, lambda line: None)
