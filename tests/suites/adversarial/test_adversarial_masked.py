"""Masked and odd networks, whose wrong numbers sink and whose right ones are confirmed; and honest ones, none of which
sinks."""

from dataclasses import replace
from functools import cache

import masked_networks as masks
import pytest
import torch
from adversarial_world import shown

from benchmark.contracts import DISTRUST
from suites.adversarial import SUITE
from suites.adversarial.config import linf
from suites.adversarial.metrics import robust_at
from suites.adversarial.trust.report import CONFIRMED, flags

pytestmark = pytest.mark.slow

COUNT = 24
#: The default at two budgets: enough for a mask, in a tenth of the time.
BRIEF = replace(SUITE.config, threats=(linf(1.0, 4.0),))


@cache
def judged(mask, config=SUITE.config, name="world-standard-0"):
    """The share that stands at 1/255 behind a mask, and the flags."""
    world = shown(name, COUNT)
    other = shown("world-standard-1", COUNT).feed.run
    network = masks.Network(world.feed.model, world.feed.run, other, world.pixels, world.labels)
    trials = world.trials(config, run=mask(network))
    right, images = robust_at("linf", 1 / 255)(trials)
    return right.sum() / images.sum(), flags(config, trials)


def rippled(network):
    """Logits times a sine of each pixel, a grey level long: they are turned over within 0.25/255, and differences over
    half levels, as the trust report takes them, show nothing of it."""

    def run(x):
        ripple = torch.sin(2 * torch.pi * 255 * x).flatten(1).mean(dim=1, keepdim=True)
        return network.run(x) * (1 - 20 * ripple)

    return run


def test_gradients_of_what_falls_at_the_smallest_budget_are_no_sign():
    small = replace(SUITE.config, threats=(linf(0.25, 4.0),))
    value, said = judged(rippled, small)
    assert (value, said) == (0, ())


def begins(said, *kinds):
    return all(any(flag.startswith(kind) for flag in said) for kind in kinds)


AS_IT_IS = masks.HONEST["as it is"]


@pytest.mark.parametrize("name", masks.WRONG)
def test_wrong_numbers_sink(name):
    mask, kinds = masks.WRONG[name]
    assert begins(judged(mask)[1], *kinds)


@pytest.mark.parametrize("name", masks.ODD)
def test_what_is_odd_is_said(name):
    mask, kind = masks.ODD[name]
    assert begins([flag.removeprefix(CONFIRMED).removeprefix(DISTRUST) for flag in judged(mask)[1]], kind)


def test_probabilities_are_attacked_like_the_logits_they_come_from():
    """Sigmoids of twice the logits saturate in float32 where these are above 8."""
    plain = judged(AS_IT_IS)[0]
    assert judged(masks.ODD["probabilities"][0])[0] == plain
    assert judged(masks.ODD["sigmoid of twice the logits"][0])[0] <= plain + 3 / COUNT


@pytest.mark.parametrize("name", [*masks.HONEST, *masks.ROUNDED])
def test_honest_networks_do_not_sink(name):
    said = judged((masks.HONEST | masks.ROUNDED)[name])[1]
    assert not any(flag.startswith(DISTRUST) for flag in said)
    assert name in masks.ROUNDED or said == ()


@pytest.mark.parametrize("name", ["world-detector-0", "world-uniform-noise-0"])
def test_other_networks_of_the_world_do_not_sink(name):
    assert judged(AS_IT_IS, name=name)[1] == ()


@pytest.mark.parametrize("name", masks.OTHERS)
def test_a_referees_wrong_numbers_sink(name):
    mask, kind = masks.OTHERS[name]
    assert begins(judged(mask, BRIEF)[1], kind)


def test_a_saturated_cross_entropy_does_not_hide_the_margin():
    """At two budgets the margin's steps were left out: .79 stood."""
    value, said = judged(masks.outputs(lambda z: 30 * z), BRIEF)
    assert value < judged(AS_IT_IS, BRIEF)[0] + 1.5 / COUNT
    assert said and all(flag.startswith(CONFIRMED) for flag in said)


@pytest.mark.parametrize("name", masks.SATURATED)
def test_saturated_outputs_are_attacked_through_their_logits(name):
    value, said = judged(masks.SATURATED[name], BRIEF)
    assert value < judged(AS_IT_IS, BRIEF)[0] + 3.5 / COUNT
    assert CONFIRMED + "outputs lie between two ends: attacked through the logits of a sigmoid" in said


@pytest.mark.parametrize("name", masks.OTHERS_HONEST)
def test_a_referees_honest_networks_do_not_sink(name):
    assert judged(masks.OTHERS_HONEST[name], BRIEF)[1] == ()
