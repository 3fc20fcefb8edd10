import numpy as np
import pytest

from benchmark.errors import MissingStimuli, UnknownName
from benchmark.stimuli.datasets import open_set
from benchmark.stimuli.fetch import add
from benchmark.stimuli.roles import Resolver


def test_a_role_finds_the_set_on_disk_once(conflict, settings):
    shelf = Resolver("geirhos16", settings)
    assert shelf.space == "geirhos16"
    stimuli = shelf.find("cue-conflict")
    assert stimuli.digest == open_set("cue-conflict", settings).digest
    assert shelf.find("cue-conflict") is stimuli


def test_absent_roles_say_how_to_get_them(settings):
    shelf = Resolver("geirhos16", settings)
    with pytest.raises(MissingStimuli, match="bench data fetch filled-silhouettes"):
        shelf.find("silhouettes")
    with pytest.raises(MissingStimuli, match=r"no stimulus set plays the role 'smell'.*--role smell"):
        shelf.find("smell")


def test_an_added_set_plays_its_role(conflict, settings, tmp_path):
    elsewhere = tmp_path / "mine"
    conflict.rename(elsewhere)
    add("my-conflict", elsewhere, settings, role="cue-conflict")
    stimuli = Resolver("geirhos16", settings).find("cue-conflict")
    assert stimuli.name == "my-conflict" and stimuli.origin == "added" and stimuli.whole == 8


def test_world_sets_are_drawn(settings):
    shelf = Resolver("world16", settings, limit=16)
    stimuli = shelf.find("cue-conflict")
    assert stimuli.space == "world16" and stimuli.origin == "generated"
    assert len(stimuli) == 16 and stimuli.whole == len(open_set("world-cue-conflict", settings))
    image = stimuli.decode(3)
    assert image.dtype == np.uint8 and image.shape[2] == 3
    assert stimuli.mask is not None and stimuli.mask(3).shape == image.shape[:2]
    assert np.array_equal(image, stimuli.decode(3))
    assert set(stimuli.labels) == {"category", "shape", "texture"}
    assert "texture" not in shelf.find("silhouettes").labels
    with pytest.raises(UnknownName, match="world-cue-conflict"):
        open_set("world-cue-conflit", settings)
