"""Which images: held-out ones, training images that are said to be, RobustBench's list; every variant as a suite, its
protocol as the page states it."""

from dataclasses import replace

import pytest
import torch
from shelves import Shelf

from benchmark.failures import MissingStimuli
from benchmark.stimuli.roles import HELD_OUT
from benchmark.testing import check_suite
from suites.adversarial import SUITE
from suites.adversarial.config import QUICK
from suites.adversarial.metrics import LISTED
from suites.adversarial.plan import plan
from suites.adversarial.trust.report import READINGS

ROBUSTBENCH = SUITE.variants["robustbench"].config


def shown(config, space, *roles):
    made = plan(config, Shelf(space, only=roles))
    (block,) = made.blocks
    return block.stimuli, made.missing


def test_held_out_images_come_first_and_training_images_are_said_to_be():
    stimuli, missing = shown(QUICK, "imagenet1k", "natural", "natural-training")
    assert stimuli.name == "toy-natural" and missing == {}
    stimuli, missing = shown(QUICK, "imagenet1k", "natural-training")
    assert stimuli.name == "toy-natural-training"
    assert list(missing) == [HELD_OUT] and "training images" in missing[HELD_OUT]
    with pytest.raises(MissingStimuli, match="'natural' is not"):
        plan(QUICK, Shelf("imagenet1k", only=()))


def test_robustbenchs_list_or_evenly_spaced_images_that_are_said_to_be():
    listed, missing = shown(ROBUSTBENCH, "imagenet1k", "natural", "natural-robustbench")
    assert listed.name == "toy-natural-robustbench" and missing == {}
    stimuli, missing = shown(replace(ROBUSTBENCH, images=8), "imagenet1k", "natural")
    assert stimuli.name == "toy-natural" and len(stimuli) == 8
    assert list(missing) == [LISTED] and "evenly spaced" in missing[LISTED]
    _, missing = shown(ROBUSTBENCH, "imagenet1k", "natural-training")
    assert set(missing) == {LISTED, HELD_OUT}
    _, missing = shown(ROBUSTBENCH, "world16", "natural")
    assert missing == {}  # there is no such list


def short(config):
    stages = tuple(replace(stage, steps=2) for stage in config.stages)
    attacks = tuple(
        replace(one, queries=5) if hasattr(one, "queries") else replace(one, steps=3, targets=min(one.targets, 2))
        for one in config.attacks
    )  # fmt: skip
    return replace(config, stages=stages, attacks=attacks, check=None, far_steps=2, bisect=min(config.bisect, 1))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["standard", "strong", "bisect"])
def test_every_protocol_keeps_the_contract(name):
    suite = replace(SUITE.variants[name], config=short(SUITE.variants[name].config))
    assert [check for check in check_suite(suite) if not check.ok] == []


SWEEP = [0.25, 0.5, 1, 2, 4, 8]
L2 = [0.25, 0.5, 1, 2, 3]
SHORT, STRONG = "ce 10 clean, margin 10 clean", "apgd-ce 100 x 1, apgd-dlr-targeted 100 x 9"
#: name -> (budgets by norm, stages, attacks, Square queries of the check, far steps, images, forward passes)
PROTOCOLS = {
    "": ({"linf": SWEEP, "l2": L2}, "ce 2 last, margin 3 last", "", 100, 10, 128, 90),
    "standard": ({"linf": SWEEP, "l2": L2}, "ce 40 clean, ce 40 random, margin 20 clean", *("", 500, 20, None, 2000)),
    "strong": ({"linf": [1, 4, 8], "l2": [0.5, 1, 3]}, SHORT, f"{STRONG}, square 1000", 500, 20, None, 15000),
    "robustbench": ({"linf": [4, 8]}, SHORT, f"{STRONG}, square 5000", 500, 20, 5000, 6000),
    "autoattack": ({"linf": [4]}, "", "autoattack:standard", None, 10, None, 90),
    "bisect": ({"linf": SWEEP, "l2": L2}, "ce 2 last, margin 3 last", "", 100, 10, 128, 400),
    "transfer": ({"linf": [1, 2, 4, 8]}, "ce 2 last, margin 3 last", "", 100, 10, 128, 300),
}


def said(one):
    if hasattr(one, "queries"):
        return f"square {one.queries}"
    return f"{one.name} {one.steps} x {one.targets or 1}" if hasattr(one, "steps") else one.name


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol(name):
    """As the page of the suite states them, in grey levels and steps."""
    suite = SUITE.variants[name] if name else SUITE
    config, quick = suite.config, name in ("", "bisect", "transfer")
    budgets = {t.norm: [round(e * t.scale, 6) for e in t.epsilons] for t in config.threats}
    stages = ", ".join(f"{s.loss} {s.steps} {s.start}" for s in config.stages)
    queries = config.check.queries if config.check else None
    found = (budgets, stages, ", ".join(map(said, config.attacks)), queries)
    assert (*found, config.far_steps, config.images, suite.passes) == PROTOCOLS[name]
    assert {t.norm: t.far * 255 for t in config.threats} == {norm: 32 if norm == "linf" else 0 for norm in budgets}
    rest = (config.leap, config.bisect, config.listed, config.finish is not None)
    assert rest == (0.6 if quick else 1.0, 4 if name == "bisect" else 0, name == "robustbench", quick)
    if quick:
        assert (said(config.finish.attack), config.finish.near) == ("apgd-margin 20 x 1", 0.3)


def test_what_an_image_may_have_been_meant_as():
    """A grey of 1/4, with ImageNet's mean .485, .456, .406 and deviation .229, .224, .225."""
    x = torch.full((1, 3, 1, 1), 0.25)
    found = {name: reading(x).flatten().tolist() for name, reading in READINGS.items()}
    assert found == {
        "normalised once more": pytest.approx([-1.0262009, -0.9196429, -0.6933333]),
        "normalised once less": pytest.approx([0.54225, 0.512, 0.46225]),
        "scaled to [-1, 1] once more": [-0.5] * 3, "scaled to [-1, 1] once less": [0.625] * 3,
        "scaled to 0 ... 255 once more": [63.75] * 3, "scaled to 0 ... 255 once less": pytest.approx([0.25 / 255] * 3),
    }  # fmt: skip
