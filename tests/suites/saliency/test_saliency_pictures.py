"""Maps that are pictures only: exact on linear networks, and made for every kind of architecture."""

from types import SimpleNamespace

import pytest
import torch
from tensors import assert_close
from torch import nn

from benchmark.errors import ModelFailure, UnknownName
from suites.saliency.pictures import (
    PICTURES,
    _by_channel,
    _has_places,
    _layers,
    grad_cam,
    gradient_x_input,
    integrated_gradients,
    picture_named,
    smoothed,
)

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
    assert_close(integrated_gradients(net.forward, image(), FIRST), expected)
    assert_close(smoothed(net, image(), FIRST), slope)


def test_integrated_gradients_add_up_to_the_difference_of_log_odds():
    def curved(x):
        total = (x**3).sum((1, 2, 3))
        return torch.stack([total, 0 * total], dim=1)

    found = integrated_gradients(curved, image(), FIRST, steps=200)
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


def test_hooks_are_gone_and_no_grad_is_no_hindrance():
    net = Net(Places())
    with torch.no_grad():
        expected = grad_cam(net, image(8), FIRST)
    assert expected.max() > 0
    assert all(not layer._forward_hooks for layer in net.module.modules())


def test_what_is_no_score_says_why():
    assert [name for name, picture in PICTURES.items() if not picture.warning] == ["gradient", "smoothgrad"]
    with pytest.raises(UnknownName, match="Did you mean: grad-cam"):
        picture_named("gradcam")


def test_features_come_by_channel_by_token_or_channels_last():
    """Five channels on 2 x 3 places; 2 x 2 tokens of three channels behind two that stand for no place."""
    plain = torch.arange(30.0).view(1, 5, 2, 3)
    five = SimpleNamespace(num_features=5)
    assert torch.equal(_by_channel(five, plain), plain)
    assert torch.equal(_by_channel(five, plain.permute(0, 2, 3, 1)), plain)
    assert torch.equal(_by_channel(SimpleNamespace(), plain), plain)
    square = torch.arange(125.0).view(1, 5, 5, 5)
    assert torch.equal(_by_channel(five, square), square)
    tokens = torch.arange(18.0).view(1, 6, 3)
    found = _by_channel(SimpleNamespace(num_prefix_tokens=2), tokens)
    assert found.tolist() == [[[[6, 9], [12, 15]], [[7, 10], [13, 16]], [[8, 11], [14, 17]]]]


def test_features_with_places_are_tokens_or_larger_than_one_pixel():
    def out(*shape):
        return torch.zeros(*shape, requires_grad=True)

    assert _has_places(out(1, 5, 3), True) and not _has_places(out(1, 5, 2, 2), True)
    assert _has_places(out(1, 5, 2, 2), False) and not _has_places(out(1, 5, 3), False)
    assert not _has_places(out(1, 5, 1, 4), False) and not _has_places(out(1, 5, 4, 1), False)
    assert not _has_places(torch.zeros(1, 5, 2, 2), False) and not _has_places("text", False)


def test_features_of_a_transformer_are_looked_for_before_its_last_attention_alone():
    class Block(nn.Module):
        def __init__(self, norm):
            super().__init__()
            self.norm1 = norm

    class Vit(nn.Module):
        num_prefix_tokens = 1

        def __init__(self, *norms):
            super().__init__()
            self.blocks = nn.Sequential(*map(Block, norms))

    first, last = nn.Identity(), nn.Identity()
    assert _layers(Vit(first, first, last)) == [last]
    without, other = Vit(first, None), Vit(first)
    other.blocks = nn.ModuleList(other.blocks)
    assert _layers(without) == list(without.modules())
    assert _layers(other) == list(other.modules())
    plain = nn.Sequential(first)
    assert _layers(plain) == [plain, first]
