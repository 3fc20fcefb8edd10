"""Maps that are pictures only: exact on linear networks, and made for every kind of architecture."""

from types import SimpleNamespace

import pytest
import torch
from tensors import assert_close
from torch import nn

from benchmark.errors import ModelFailure
from suites.saliency.pictures import grad_cam, gradient_x_input, integrated_gradients, smoothed

FIRST = torch.tensor([[True, False]])


class Net:
    """A module as a loaded model."""

    def __init__(self, module):
        self.module = module.eval().requires_grad_(False)
        self.card = SimpleNamespace(name="net")

    def forward(self, x):
        return self.module(x)


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.randn(3 * 16, 2, generator=draw(2)))

    def forward(self, x):
        return x.flatten(1) @ self.weights


def draw(seed):
    return torch.Generator().manual_seed(seed)


def image(side=4, seed=0):
    return torch.rand(1, 3, side, side, generator=draw(seed))


def test_a_linear_network_in_closed_form():
    net = Net(Linear())
    slope = (net.module.weights[:, 0] - net.module.weights[:, 1]).view(1, 3, 4, 4)
    expected = slope * image()
    assert_close(gradient_x_input(net, image(), FIRST), expected)
    assert_close(integrated_gradients(net, image(), FIRST), expected)
    assert_close(smoothed(net, image(), FIRST), slope)


def test_integrated_gradients_add_up_to_the_difference_of_log_odds():
    def curved(x):
        total = (x**3).sum((1, 2, 3))
        return torch.stack([total, 0 * total], dim=1)

    found = integrated_gradients(SimpleNamespace(forward=curved), image(), FIRST, steps=200)
    assert float(found.sum()) == pytest.approx(float((image() ** 3).sum()), rel=1e-4)


class Places(nn.Module):
    """Two channels that the head weighs 1 and -3; the second target is the opposite."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(3, 2, 1, bias=False)
        self.features.weight = nn.Parameter(torch.tensor([[1.0, 0, 0], [0, 1, 0]])[..., None, None])

    def forward(self, x):
        a, b = self.features(x).mean((2, 3)).T
        return torch.stack([a - 3 * b, 0 * a], dim=1)


def test_grad_cam_by_hand():
    x = image(8)
    expected = (x[:, 0] - 3 * x[:, 1]).relu() / 64
    assert_close(grad_cam(Net(Places()), x, FIRST), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "side", "coarse"), [("tf_efficientnet_lite0", 224, 7), ("vit_tiny_patch16_224", 224, 14)]
)
def test_grad_cam_of_networks_and_transformers(name, side, coarse):
    """Random weights: of twelve categories some have a map; it is the coarse one enlarged."""
    import timm

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net(timm.create_model(name, num_classes=12))
        x = torch.rand(1, 3, side, side)
    maps = [grad_cam(net, x, torch.eye(12, dtype=torch.bool)[k : k + 1]) for k in range(6)]
    best = max(maps, key=lambda one: float(one.max()))
    assert best.shape == (1, side, side)
    assert float(best.min()) >= 0
    assert float(best.max()) > 0
    step = side // coarse
    middle = best[0, step // 2 :: step, step // 2 :: step]
    assert middle.shape == (coarse, coarse)
    rough = nn.functional.interpolate(middle[None, None], (side, side), mode="bilinear")[0, 0]
    inner = slice(step, -step)
    gap = (rough - best[0])[inner, inner].abs().max()
    assert float(gap) < 0.15 * float(best.max())
    assert not net.module._forward_hooks


def test_a_network_without_places_has_no_grad_cam():
    with pytest.raises(ModelFailure, match="keeps places"):
        grad_cam(Net(Linear()), image(), FIRST)
