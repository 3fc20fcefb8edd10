"""What a sweep shows: blocks, presentations, options, what is missing; the variants."""

from dataclasses import replace

import numpy as np
import pytest
from corruption_tables import CELLS, table
from shelves import Shelf

import suites.corruption as room
from benchmark.failures import MissingStimuli, UnknownName
from benchmark.stimuli.datasets import restrict
from benchmark.testing import toy_stimuli
from suites.corruption import SUITE, config
from suites.corruption.cells import cells_of
from suites.corruption.config import CorruptionConfig, Folders, conditions_digest, versioned
from suites.corruption.plan import plan, plan_folders


def conditions(made):
    return [block.condition for block in made.blocks]


def test_the_default_is_15_by_5_and_the_images_as_they_are():
    made = plan(CorruptionConfig(), Shelf("imagenet1k"))
    assert conditions(made) == ["clean", *CELLS]
    assert {block.presentation for block in made.blocks} == {"crop224"}
    assert {block.role for block in made.blocks} == {"natural"}
    assert len({block.stimuli.digest for block in made.blocks}) == 1
    assert made.blocks[0].transform is None and not made.missing
    assert [block.transform.name for block in made.blocks[1:]] == list(CELLS)


def test_without_textures_frost_is_missing_and_the_rest_goes_on():
    made = plan(CorruptionConfig(), Shelf("imagenet1k", "frost"))
    assert made.missing == {"frost": "'frost' is not here: fetch it"}
    assert conditions(made) == ["clean", *(c for c in CELLS if not c.startswith("frost"))]


def test_training_images_stand_in_and_are_named():
    made = plan(CorruptionConfig(), Shelf("imagenet1k", "natural", "imagenet-v2"))
    assert made.blocks[0].stimuli.name == "toy-natural-training"
    assert "training images" in made.missing["natural (held out)"]
    with pytest.raises(MissingStimuli, match="'natural' is not here"):
        plan(CorruptionConfig(), Shelf("imagenet1k", "natural", "imagenet-v2", "natural-training"))
    with pytest.raises(MissingStimuli):
        plan(CorruptionConfig(), Shelf("geirhos16", "natural"))


def test_a_new_corruption_joins_no_protocol_and_a_longer_list_is_another_version(monkeypatch):
    for suite in (SUITE, *SUITE.variants.values()):
        digests = config.PROTOCOLS["digests"].get(suite.name)
        assert digests is None or conditions_digest(suite) == digests[-1], f"{suite.name}: {conditions_digest(suite)}"
    extra, known = SUITE.variants["extra"], dict(config.own_list("imagenet-c"))
    known["sparkles"] = replace(known["saturate"], name="sparkles")
    monkeypatch.setattr(config, "own_list", lambda name: known)
    names = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
    assert tuple(config.shown_corruptions(extra.config, "imagenet1k")) == names and versioned(extra) is extra
    lists = config.PROTOCOLS["lists"]
    monkeypatch.setitem(lists, "extra", [*names, "sparkles"])
    assert tuple(config.shown_corruptions(extra.config, "imagenet1k")) == (*names, "sparkles")
    assert versioned(extra).version == extra.version + 1 and versioned(SUITE) is SUITE
    trials = table({f"{name}/{level}": [1, 0] for name in names for level in (1, 2, 3, 4, 5)})
    mean = next(score for score in extra.score(extra.config, trials) if score.metric == "corruption_accuracy")
    assert mean.value is None and (mean.condition, mean.reason) == ("sparkles", "these trials lack it: run it again")
    monkeypatch.setitem(lists, "extra", list(names))
    known["saturate"] = replace(known["saturate"], levels=(1, 2, 3))
    assert versioned(extra).version == extra.version + 1


def test_a_wrong_name_answers_with_close_ones():
    with pytest.raises(UnknownName, match="gaussian_noise"):
        plan(CorruptionConfig(corruptions=("gausian_noise",)), Shelf("imagenet1k"))


def test_the_human_experiments_levels_but_not_their_controls():
    made = plan(SUITE.variants["human"].config, Shelf("geirhos16"))
    shown = conditions(made)
    there = ("uniform-noise/0.35", "salt-and-pepper/0.2", "contrast/c05", "low-pass/7", "high-pass/0.7", "colour/bw")
    assert {*there, "false-colour/false", "power-equalisation/pow", "rotation/270"} <= set(shown)
    assert not {"uniform-noise/0.00", "contrast/c100", "high-pass/inf", "colour/cr", "rotation/0"} & set(shown)
    assert not any(c.plain for c in cells_of(shown)) and not any("eidolon" in c for c in shown)
    assert len(plan(SUITE.variants["eidolon"].config, Shelf("geirhos16")).blocks) == 25


class Disk(Shelf):
    """Cells of a folder set; every part shows the same 20 images, 224 px, under the names of the clean ones."""

    names = ("fog/5", "gaussian_noise/1", "saturate/1", "sparkles/2")

    def parts(self, role):
        clean = restrict(toy_stimuli("natural", "imagenet1k"), toy_stimuli("natural").ids[:20])
        own = replace(clean, decode=lambda index: np.full((224, 224, 3), index, dtype=np.uint8))
        return {name: replace(own, name=f"{role} {name}", digest=name) for name in self.names}


def test_parts_are_sets_of_their_own_and_the_clean_images_are_the_same_ones():
    made = plan_folders(Folders(role="imagenet-c"), Disk("imagenet1k"))
    assert conditions(made) == ["clean", *Disk.names]
    assert [block.role for block in made.blocks] == ["natural", *Disk.names]
    assert all(block.transform is None for block in made.blocks)
    assert made.blocks[0].stimuli.ids == made.blocks[1].stimuli.ids
    common = plan_folders(Folders(role="imagenet-c", corruptions=("common",)), Disk("imagenet1k"))
    assert conditions(common) == ["clean", "fog/5", "gaussian_noise/1"]
    with pytest.raises(MissingStimuli, match="snow"):
        plan_folders(Folders(role="imagenet-c", corruptions=("snow",)), Disk("imagenet1k"))


def test_the_variants():
    """Folders are shown under their own role, which is that of the set."""
    sweeps = ("quick", "jpeg85", "rounded", "bicubic", "extra", "human", "eidolon")
    folders = {"imagenet-c": ("common",), "imagenet-c-bar": ("all",), "imagenet-3dcc": ("all",), "laion-c": ("all",)}
    natural = ("imagenet-a", "imagenet-r", "imagenet-sketch", "imagenet-v2", "objectnet", "stylized-imagenet")
    assert set(SUITE.variants) == {*sweeps, *folders, *natural, "suppression", "critical-bands"}
    for name, corruptions in folders.items():
        suite = SUITE.variants[name]
        assert vars(suite.config) == {"role": name, "corruptions": corruptions, "references": ("alexnet",)}
        assert suite.spaces == ("imagenet1k",) and {metric.role for metric in suite.metrics} == {""}


def test_corruptions_of_other_packages_are_a_variant_with_their_names(monkeypatch):
    assert "plugins" not in room._variants()
    monkeypatch.setattr(room, "plugin_names", lambda: ("rain", "dust"))
    made = room._variants()["plugins"]
    assert (made.name, made.summary) == ("corruption:plugins", "Corruptions of other packages: rain, dust")
    assert (made.config.source, made.config.corruptions) == ("plugins", ("all",))
