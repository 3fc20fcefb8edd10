"""Gradients: exact on a linear network, precise when it is sure, the network unchanged; maps that are pictures only."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tensors import assert_close
from torch import nn

from benchmark.failures import ModelFailure
from suites.saliency.maps.gradients import centred_cosine, input_gradients, log_odds
from suites.saliency.pictures import grad_cam, gradient_x_input, integrated_gradients, smoothed


def chosen(n, classes, row=0):
    rows = torch.zeros(n, classes, dtype=torch.bool)
    rows[:, row] = True
    return rows


def linear(seed=0, outputs=2, size=6):
    draw = torch.Generator().manual_seed(seed)
    weights = torch.randn(3 * size * size, outputs, generator=draw)
    return weights, lambda x: x.flatten(1) @ weights


def pixels(n=2, size=6):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(1))


def cosine(a, b):
    a, b = a.double().flatten(), b.double().flatten()
    return float((a / a.norm()) @ (b / b.norm()))


def test_two_classes_of_a_linear_network_give_the_difference_of_weights():
    weights, forward = linear()
    (found,) = input_gradients(forward, pixels(), [chosen(2, 2)])
    expected = (weights[:, 0] - weights[:, 1]).view(1, 3, 6, 6).expand(2, -1, -1, -1)
    assert_close(found, expected)
    w = (weights[:, 0] - weights[:, 1]).numpy().astype(float)
    for image, value in zip(pixels().numpy(), centred_cosine(pixels().numpy(), found.numpy()), strict=True):
        x = (image - image.mean(axis=(1, 2), keepdims=True)).ravel().astype(float)
        assert value == pytest.approx(abs(x @ w) / np.linalg.norm(x) / np.linalg.norm(w), rel=1e-5)


def test_log_odds_stay_exact_in_float32_where_the_loss_gradient_is_lost():
    """At (40, 0, 0) even float64 rounds p to 1: the direction is (1, -1/2, -1/2) by hand."""
    z = torch.tensor([[40.0, 0.0, 0.0]], requires_grad=True)
    (odds,) = torch.autograd.grad(log_odds(z, chosen(1, 3)).sum(), z)
    (loss,) = torch.autograd.grad(-nn.functional.cross_entropy(z, torch.tensor([0])), z)
    assert cosine(odds, torch.tensor([[1.0, -0.5, -0.5]])) > 1 - 1e-9
    assert loss[0, 0] == 0  # why the suite does not use it


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).relu_().mean((2, 3)))


def test_a_network_is_left_as_it_was_and_one_without_gradients_is_its_own_failure():
    module = Tiny().eval()
    module.conv.weight.requires_grad_(False)
    module.norm.train()
    with torch.no_grad():
        input_gradients(module, pixels(), [chosen(2, 5)])
    assert not module.conv.weight.requires_grad
    assert module.head.weight.requires_grad
    assert (module.training, module.norm.training) == (False, True)
    assert all(parameter.grad is None for parameter in module.parameters())
    for led in (False, True):
        with pytest.raises(ModelFailure):
            input_gradients(lambda x, led=led: torch.zeros(len(x), 5, requires_grad=led) * 1, pixels(), [chosen(2, 5)])


FIRST = torch.tensor([[True, False]])


def net(module):
    return SimpleNamespace(module=module, card=SimpleNamespace(name="net"), forward=module.eval().requires_grad_(False))


def image(side=4):
    return pixels(1, side)


def test_a_linear_network_in_closed_form():
    weights, forward = linear(size=4)
    slope, known = (weights[:, 0] - weights[:, 1]).view(1, 3, 4, 4), SimpleNamespace(forward=forward)
    for made in (gradient_x_input, integrated_gradients):
        assert_close(made(known, image(), FIRST), slope * image())
    assert_close(smoothed(known, image(), FIRST), slope)


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


def test_grad_cam_by_hand_needs_features_that_keep_places():
    x = image(8)
    expected = (x[:, 0] - 3 * x[:, 1]).relu() / 64
    assert_close(grad_cam(net(Places()), x, FIRST), expected)
    with pytest.raises(ModelFailure, match="keeps places for Grad-CAM"):
        grad_cam(net(nn.Sequential(nn.Flatten(), nn.Linear(192, 2))), x, FIRST)
