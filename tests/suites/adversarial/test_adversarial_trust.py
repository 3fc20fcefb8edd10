"""Each masked network is caught by the check that is meant for it; honest networks raise none."""

import pytest
import torch

from benchmark.contracts import DISTRUST
from suites.adversarial import SUITE
from suites.adversarial.trust import flags


def found(network, run=None):
    said = flags(SUITE.config, network.trials(run=run))
    assert all(flag.startswith(DISTRUST) for flag in said)
    return tuple(flag.removeprefix(DISTRUST) for flag in said)


@pytest.fixture(scope="module")
def small(world):
    return world("world-standard-0", 24)


@pytest.mark.parametrize(
    "name", ["world-standard-1", "world-stylised-0", "world-uniform-noise-0", "world-adversarial-1"]
)
def test_honest_networks_raise_no_flag(name, world):
    assert found(world(name, 32)) == ()


def test_saturated_softmax(small):
    said = found(small, lambda x: small.feed.run(x) * 1e4)
    assert any(flag.startswith("saturated: cross entropy is 0") for flag in said)
    assert any(flag.startswith("zero gradient") for flag in said)


def test_a_saturated_network_falls_to_the_margin_all_the_same(small):
    masked = small.trials(run=lambda x: small.feed.run(x) * 1e4)
    assert (masked["linf_epsilon"] <= 4 / 255 + 1e-9).mean() > 0.95
    assert (masked["linf_by"] == "margin").any()


def test_random_inputs(small):
    noise = torch.Generator().manual_seed(0)

    def run(x):
        return small.feed.run(x + 0.02 * torch.randn(x.shape, generator=noise))

    assert any(flag.startswith("random: two passes") for flag in found(small, run))


def test_quantised_inputs(small):
    said = found(small, lambda x: small.feed.run((x * 15).round() / 15))
    assert any(flag.startswith("zero gradient: 100%") for flag in said)
    assert any("still right at linf 32/255" in flag for flag in said)
    assert "more steps are not stronger than one" in said


def test_networks_that_pass_no_gradient_on(small):
    def run(x):
        with torch.no_grad():
            return small.feed.run(x)

    assert any(flag.startswith("zero gradient: 100%") for flag in found(small, run))


def test_probabilities(small):
    said = found(small, lambda x: small.feed.run(x).softmax(1))
    assert "outputs are probabilities, not logits" in said


def test_gradients_that_lead_astray(small):
    """Backward of the negated image's sign: steps go down, so the loss falls."""

    class Astray(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            return -g

    said = found(small, lambda x: small.feed.run(Astray.apply(x)))
    assert any("the loss does not rise" in flag for flag in said)


def test_one_step_that_beats_many(small):
    """Gradients that hold at the image itself and lead nowhere a step away."""
    images = small.pixels

    def run(x):
        at_rest = torch.cdist(x.detach().flatten(1), images.flatten(1)).amin(dim=1) < 1e-3
        masked = torch.where(at_rest[:, None, None, None], x, x.detach() + 0 * x)
        return small.feed.run(masked)

    assert any(flag.startswith("FGSM beats PGD") for flag in found(small, run))


def test_flags_stand_on_every_score(small):
    scores = SUITE.score(SUITE.config, small.trials(run=lambda x: small.feed.run(x).softmax(1)))
    assert all("trust: outputs are probabilities, not logits" in score.flags for score in scores)
