"""Which images: held-out ones, training images that are said to be, RobustBench's list; every variant as a suite."""

from dataclasses import replace

import pytest

from benchmark.contracts import Trials
from benchmark.errors import MissingStimuli
from benchmark.stimuli.roles import HELD_OUT
from benchmark.testing import check_suite, toy_stimuli
from suites.adversarial import SUITE
from suites.adversarial.config import BISECT, QUICK, ROBUSTBENCH, SPARSE, STANDARD, STRONG
from suites.adversarial.metrics import LISTED
from suites.adversarial.plan import plan


class Shelf:
    """Toy sets of some roles."""

    def __init__(self, space, *roles):
        self.space = space
        self.roles = roles

    def find(self, role):
        if role not in self.roles:
            raise MissingStimuli(f"the stimulus set '{role}' is not on this disk.")
        return toy_stimuli(role, self.space, 40)


def shown(config, space, *roles):
    made = plan(config, Shelf(space, *roles))
    (block,) = made.blocks
    return block.stimuli, made.missing


def test_held_out_images_come_first():
    stimuli, missing = shown(QUICK, "imagenet1k", "natural", "natural-training")
    assert stimuli.name == "toy-natural" and missing == {}


def test_training_images_are_said_to_be():
    stimuli, missing = shown(QUICK, "imagenet1k", "natural-training")
    assert stimuli.name == "toy-natural-training"
    assert list(missing) == [HELD_OUT] and "training images" in missing[HELD_OUT]


@pytest.mark.parametrize("space", ["world16", "geirhos16", "imagenet1k"])
def test_without_images_the_remedy_is_that_of_the_held_out_ones(space):
    with pytest.raises(MissingStimuli, match="'natural' is not"):
        plan(QUICK, Shelf(space))


def test_robustbenchs_list_or_evenly_spaced_images_that_are_said_to_be():
    listed, missing = shown(ROBUSTBENCH, "imagenet1k", "natural", "natural-robustbench")
    assert listed.name == "toy-natural-robustbench" and missing == {}
    config = replace(ROBUSTBENCH, images=8)
    stimuli, missing = shown(config, "imagenet1k", "natural")
    assert stimuli.name == "toy-natural" and len(stimuli) == 8
    assert list(missing) == [LISTED] and "evenly spaced" in missing[LISTED]
    _, missing = shown(ROBUSTBENCH, "imagenet1k", "natural-training")
    assert set(missing) == {LISTED, HELD_OUT}
    _, missing = shown(ROBUSTBENCH, "world16", "natural")
    assert missing == {}  # there is no such list


@pytest.mark.slow
def test_what_stands_in_is_a_flag(standard):
    trials = Trials(standard.usual.columns, {HELD_OUT: "...", LISTED: "..."})
    said = {flag for score in SUITE.score(QUICK, trials) for flag in score.flags}
    assert {"training images", "evenly spaced images, not RobustBench's list"} <= said


def short(config):
    """The same protocol with a few steps of everything."""
    stages = tuple(replace(stage, steps=2) for stage in config.stages)
    attacks = tuple(
        replace(one, queries=5) if hasattr(one, "queries") else replace(one, steps=3, targets=min(one.targets, 2))
        for one in config.attacks
    )  # fmt: skip
    return replace(config, stages=stages, attacks=attacks, check=None, far_steps=2, bisect=min(config.bisect, 1))


@pytest.mark.slow
@pytest.mark.parametrize("config", [STANDARD, STRONG, ROBUSTBENCH, BISECT, SPARSE])
def test_every_protocol_keeps_the_contract(config):
    name = next(n for n, one in SUITE.variants.items() if one.config == config)
    suite = replace(SUITE.variants[name], config=short(config))
    assert [check for check in check_suite(suite) if not check.ok] == []
