"""The protocols as the page of the suite states them, in grey levels and steps: literals."""

import numpy as np
import pytest
import torch

from benchmark.contracts import Trials
from suites.adversarial import SUITE
from suites.adversarial.config import Threat
from suites.adversarial.metrics import area
from suites.adversarial.trust.report import READINGS

SWEEP = [0.25, 0.5, 1, 2, 4, 8]
L2 = [0.25, 0.5, 1, 2, 3]
#: name -> (budgets by norm, stages, attacks, Square queries of the check, far steps, images, forward passes)
PROTOCOLS = {
    "": ({"linf": SWEEP, "l2": L2}, "ce 2 last, margin 3 last", "", 100, 10, 128, 90),
    "standard": ({"linf": SWEEP, "l2": L2}, "ce 40 clean, ce 40 random, margin 20 clean", *("", 500, 20, None, 2000)),
    "strong": (
        {"linf": [1, 4, 8], "l2": [0.5, 1, 3]},
        "ce 10 clean, margin 10 clean",
        *("apgd-ce 100 x 1, apgd-dlr-targeted 100 x 9, square 1000", 500, 20, None, 15000),
    ),
    "robustbench": (
        {"linf": [4, 8]},
        "ce 10 clean, margin 10 clean",
        *("apgd-ce 100 x 1, apgd-dlr-targeted 100 x 9, square 5000", 500, 20, 5000, 6000),
    ),
    "autoattack": ({"linf": [4]}, "", "autoattack:standard", None, 10, None, 90),
    "bisect": ({"linf": SWEEP, "l2": L2}, "ce 2 last, margin 3 last", "", 100, 10, 128, 400),
    "l1": ({"l1": [3, 6, 12, 30, 60]}, "ce 2 last, margin 3 last", *("apgd-margin 50 x 1", 100, 10, 128, 500)),
    "transfer": ({"linf": [1, 2, 4, 8]}, "ce 2 last, margin 3 last", "", 100, 10, 128, 300),
}


def attack(one):
    if hasattr(one, "queries"):
        return f"square {one.queries}"
    if not hasattr(one, "steps"):
        return one.name
    return f"{one.name} {one.steps} x {one.targets or 1}"


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol(name):
    budgets, stages, attacks, queries, far_steps, images, passes = PROTOCOLS[name]
    suite = SUITE.variants[name] if name else SUITE
    config = suite.config
    scale = {"linf": 255, "l2": 1, "l1": 1}
    found = {t.norm: [e * scale[t.norm] for e in t.epsilons] for t in config.threats}
    assert found == {norm: pytest.approx(levels) for norm, levels in budgets.items()}
    for threat in config.threats:
        assert threat.far * 255 == pytest.approx(32 if threat.norm == "linf" else 0)
        assert threat.scale == scale[threat.norm]
    assert ", ".join(f"{s.loss} {s.steps} {s.start}" for s in config.stages) == stages
    assert ", ".join(map(attack, config.attacks)) == attacks
    assert (config.check.queries if config.check else None) == queries
    assert (config.far_steps, config.images, suite.passes) == (far_steps, images, passes)
    quick = name in ("", "bisect", "l1", "transfer")
    assert config.leap == (0.6 if quick else 1.0)
    assert config.bisect == (4 if name == "bisect" else 0)
    assert config.listed == (name == "robustbench")
    assert (config.finish is not None) == quick
    if quick:
        finish = config.finish
        assert (attack(finish.attack), finish.near) == ("apgd-margin 20 x 1", 0.3)


def test_what_an_image_may_have_been_meant_as():
    """White, with ImageNet's mean .485, .456, .406 and deviation .229, .224, .225."""
    x = torch.ones(1, 3, 1, 1)
    found = {name: reading(x).flatten().tolist() for name, reading in READINGS.items()}
    assert found == {
        "normalised once more": pytest.approx([2.2489083, 2.4285714, 2.64]),
        "normalised once less": pytest.approx([0.714, 0.68, 0.631]),
        "scaled to [-1, 1] once more": [1.0] * 3,
        "scaled to [-1, 1] once less": [1.0] * 3,
        "scaled to 0 ... 255 once more": [255.0] * 3,
        "scaled to 0 ... 255 once less": pytest.approx([1 / 255] * 3),
    }
    grey = 0.25 * x
    assert READINGS["scaled to [-1, 1] once more"](grey).flatten().tolist() == [-0.5] * 3
    assert READINGS["scaled to [-1, 1] once less"](grey).flatten().tolist() == [0.625] * 3


def test_the_area_of_a_single_budget_is_the_share_that_stands_there():
    shown = Trials({"linf_epsilon": np.array([1.0, 4.0, np.inf, 2.0])})
    num, den = area(Threat("linf", (2.0,)))(shown)
    assert (num.tolist(), np.sum(den)) == ([0, 1, 1, 0], 4)
