"""Masked and odd networks: wrong numbers sink, right ones are confirmed; and honest networks, none of which sinks."""

from dataclasses import replace
from functools import cache

import masked_networks as masks
import pytest
import torch
from adversarial_world import shown

from benchmark.contracts import DISTRUST
from suites.adversarial import SUITE
from suites.adversarial.config import Apgd, Finish, Square, linf
from suites.adversarial.metrics import robust_at
from suites.adversarial.trust.report import CONFIRMED, flags

pytestmark = [pytest.mark.slow, pytest.mark.release]

#: The default at two budgets.
BRIEF = replace(SUITE.config, threats=(linf(1.0, 4.0),))
#: A mask leaves all that it is put before standing, for the dearest attacks: short ones show it as well.
LITTLE = Apgd(loss="margin", steps=10)
SHORT = replace(BRIEF, opinion=(Square(30), LITTLE), check=Square(30), finish=Finish(attack=LITTLE, near=0.3))
#: Rounded values are told from masks on the way that the whole sweep takes.
SWEEP = replace(SHORT, threats=(linf(0.25, 0.5, 1.0, 2.0, 4.0, 8.0),), check=None, finish=None)


@cache
def judged(mask, config=BRIEF, name="world-standard-0", count=24):
    """The share that stands at 1/255 behind a mask, and the flags."""
    world = shown(name, count)
    other = shown("world-standard-1", count).feed.run
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
    assert judged(rippled, replace(SUITE.config, threats=(linf(0.25, 4.0),))) == (0, ())


@pytest.mark.parametrize("name", masks.WRONG)
def test_wrong_numbers_sink(name):
    mask, kinds = masks.WRONG[name]
    said = judged(mask, SHORT, count=16)[1]
    assert all(any(flag.startswith(kind) for flag in said) for kind in ([kinds] if isinstance(kinds, str) else kinds))


@pytest.mark.parametrize("name", masks.ODD)
def test_what_is_odd_is_said(name):
    mask, kind = masks.ODD[name]
    assert any(flag.removeprefix(CONFIRMED).removeprefix(DISTRUST).startswith(kind) for flag in judged(mask, SWEEP)[1])


AS_IT_IS = masks.HONEST["as it is"]


def test_probabilities_are_attacked_like_the_logits_they_come_from():
    """Sigmoids of twice the logits saturate in float32 where these are above 8."""
    plain = judged(AS_IT_IS, SWEEP)[0]
    assert judged(masks.ODD["probabilities"][0], SWEEP)[0] == plain
    assert judged(masks.ODD["sigmoid of twice the logits"][0], SWEEP)[0] <= plain + 3 / 24


@pytest.mark.parametrize("name", [*masks.HONEST, "world-detector-0", "world-uniform-noise-0"])
def test_honest_networks_and_others_of_the_world_raise_no_flag(name):
    given = {} if name in masks.HONEST else {"name": name}
    assert judged(masks.HONEST.get(name, AS_IT_IS), **given)[1] == ()


@pytest.mark.parametrize("name", masks.ROUNDED)
def test_honest_networks_with_odd_gradients_do_not_sink(name):
    assert not any(flag.startswith(DISTRUST) for flag in judged(masks.ROUNDED[name])[1])


def test_a_saturated_cross_entropy_does_not_hide_the_margin():
    """At two budgets the margin's steps were left out: .79 stood."""
    value, said = judged(masks.outputs(lambda z: 30 * z))
    assert value < judged(AS_IT_IS)[0] + 1.5 / 24
    assert said and all(flag.startswith(CONFIRMED) for flag in said)


def test_saturated_outputs_are_attacked_through_their_logits():
    value, said = judged(masks.outputs(torch.tanh))
    assert value < judged(AS_IT_IS)[0] + 3.5 / 24
    assert CONFIRMED + "outputs lie between two ends: attacked through the logits of a sigmoid" in said
