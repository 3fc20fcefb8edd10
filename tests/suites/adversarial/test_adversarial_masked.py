"""Masked and odd networks, whose wrong numbers sink and whose right ones are confirmed; and honest ones, none of which
sinks."""

from dataclasses import replace
from functools import cache

import masked_networks as masks
import pytest

from benchmark.contracts import DISTRUST
from suites.adversarial import SUITE
from suites.adversarial.config import linf
from suites.adversarial.metrics import robust_at
from suites.adversarial.trust.report import CONFIRMED, flags

pytestmark = pytest.mark.slow

COUNT = 24
NETWORK = "world-standard-0"


@cache
def cases():
    return masks.cases(NETWORK, COUNT)


#: The default at two budgets: enough for a mask, in a tenth of the time.
BRIEF = replace(SUITE.config, threats=(linf(1.0, 4.0),))


@cache
def judged(name, config=SUITE.config):
    world, run = cases()[name]
    trials = world.trials(config, run=run)
    right, shown = robust_at("linf", 1 / 255)(trials)
    return right.sum() / shown.sum(), flags(config, trials)


def begins(said, *kinds):
    return all(any(flag.startswith(kind) for flag in said) for kind in kinds)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("blurred in batches of two and more", ["trust: batch: gradients", "trust: masked"]),
        ("blurred in batches of nine and more", ["trust: batch: gradients"]),
        ("blurred for all but the first", ["trust: batch: gradients", "trust: masked"]),
        ("blurred, 1e6 on all logits", ["trust: masked"]),
        ("random inputs, 1e6 on all logits", ["trust: random"]),
        ("blurred, probabilities", ["trust: masked", "trust: outputs are probabilities"]),
        ("logits cut to [0, 1]", ["trust: "]),
        ("gradient of another network", ["trust: masked"]),
        ("gradient beside noise drawn anew", ["trust: "]),
        ("gradient mirrored", ["trust: masked"]),
        ("gradient with its channels exchanged", ["trust: masked"]),
        ("gradient shifted by three pixels", ["trust: masked"]),
        ("a fifth of the gradient's pixels", ["trust: masked"]),
        ("median of 3 x 3, gradient blurred", ["trust: masked"]),
        ("gradient blurred, 5 x 5", ["trust: masked"]),
        ("gradient beside noise drawn by input", ["trust: masked"]),
        ("ripples on the pixels", ["trust: masked"]),
        ("no gradient", ["trust: zero gradient: 100%", "trust: black box beats white box"]),
        ("batch statistics", ["trust: batch: answers"]),
    ],
)
def test_wrong_numbers_sink(name, kinds):
    assert begins(judged(name)[1], *kinds)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("sigmoid of twice the logits", ["outputs lie between two ends"]),
        ("probabilities", ["outputs are probabilities"]),
        ("8 levels, straight-through gradient", ["rough gradient"]),
        ("4 levels, straight-through gradient", ["rough gradient"]),
        ("JPEG, straight-through gradient", ["rough gradient"]),
        ("logits in whole numbers", ["rough gradient"]),
    ],
)
def test_what_is_odd_is_said(name, kinds):
    said = [flag.removeprefix(CONFIRMED).removeprefix(DISTRUST) for flag in judged(name)[1]]
    assert begins(said, *kinds)


def test_probabilities_are_attacked_like_the_logits_they_come_from():
    """Sigmoids of twice the logits saturate in float32 where these are above 8."""
    plain = judged("as it is")[0]
    assert judged("probabilities")[0] == plain
    assert judged("sigmoid of twice the logits")[0] <= plain + 3 / COUNT


@pytest.mark.parametrize(
    "name",
    [
        "as it is",
        "log probabilities",
        "8-bit layers, straight-through",
        "8-bit inputs, straight-through",
        "half-precision weights",
        "bfloat16 throughout",
        "ensemble of two",
        "mean over the mirror image",
        "median of 3 x 3",
        "detector",
        "vision transformer",
        "logits times 1000",
        "world-detector-0",
        "world-uniform-noise-0",
    ],
)
def test_honest_networks_do_not_sink(name):
    said = judged(name)[1]
    assert not any(flag.startswith(DISTRUST) for flag in said)
    rounded = name in ("8-bit layers, straight-through", "median of 3 x 3", "logits times 1000")
    assert rounded or said == ()


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("small entries turned", ["trust: masked"]),
        ("blurred on bright images", ["trust: masked"]),
        ("blurred where confident", ["trust: masked"]),
        ("low frequencies of the gradient", ["trust: masked"]),
        ("turned near the boundary", ["trust: masked"]),
        ("gradient of the next image", ["trust: batch: gradients"]),
        ("moved by its own digest", ["trust: "]),
        ("blurred, a class never given", ["trust: masked"]),
        ("random inputs, a class never given", ["trust: random"]),
        ("batch statistics, a class never given", ["trust: batch: answers"]),
        ("blurred, over a million", ["trust: masked"]),
        ("blurred, brightness on all logits", ["trust: "]),
        ("256 levels, no gradient", ["trust: "]),
        ("one hot", ["trust: "]),
        ("softmax of 20 times the logits", ["trust: "]),
        ("sigmoid of 20 times the logits", ["trust: exact ties"]),
    ],
)
def test_a_referees_wrong_numbers_sink(name, kinds):
    assert begins(judged(name, BRIEF)[1], *kinds)


def test_a_saturated_cross_entropy_does_not_hide_the_margin():
    """At two budgets the margin's steps were left out: .79 stood."""
    value, said = judged("logits times 30", BRIEF)
    assert value < judged("as it is", BRIEF)[0] + 1.5 / COUNT
    assert said and all(flag.startswith(CONFIRMED) for flag in said)


@pytest.mark.parametrize("name", ["tanh", "10 sigmoids", "100 softmaxes"])
def test_saturated_outputs_are_attacked_through_their_logits(name):
    value, said = judged(name, BRIEF)
    assert value < judged("as it is", BRIEF)[0] + 3.5 / COUNT
    assert CONFIRMED + "outputs lie between two ends: attacked through the logits of a sigmoid" in said


@pytest.mark.parametrize(
    "name",
    [
        "weights in 8 bits",
        "weights of a moving average",
        "half-precision inputs",
        "ensemble of probabilities",
        "mean over crops",
        "log probabilities, cut off",
        "temperature 3",
        "logits over 10,000",
        "dropout off",
        "a class never given",
        "grey inputs",
        "half the resolution",
    ],
)
def test_a_referees_honest_networks_do_not_sink(name):
    assert judged(name, BRIEF)[1] == ()
