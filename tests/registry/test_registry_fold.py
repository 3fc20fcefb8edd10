"""Folding batch normalisation changes nothing but the number of passes over memory."""

import copy

import pytest
import timm
import torch
from tensors import assert_close
from torch import nn

from registry.model import fold_batch_norm

X = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))


def lively(module):
    """Batch-norm statistics and weights that make a wrong fold show."""
    torch.manual_seed(5)
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.uniform_(-0.3, 0.3)
            part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.3, 0.3)
    return module.eval().requires_grad_(False)


def norms(module):
    return sum(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet10t", "test_efficientnet", "test_byobnet"])
def test_networks_keep_their_logits(name):
    module = lively(timm.create_model(name, num_classes=9))
    before = copy.deepcopy(module.state_dict())
    expected = module(X)
    folded = fold_batch_norm(module, X)[0]
    assert norms(folded) == 0
    other = torch.rand(3, 3, 96, 64)
    for x, logits in ((X, expected), (other, module(other))):
        gap = (folded(x) - logits).abs().max()
        assert gap <= 1e-4 * max(1, logits.abs().max())
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert not any(p.requires_grad for p in folded.parameters())


def test_the_activation_of_a_fused_layer_survives():
    module = lively(timm.create_model("test_efficientnet", num_classes=9))
    kinds = [type(part).__name__ for part in module.modules()]
    assert "BatchNormAct2d" in kinds
    folded = fold_batch_norm(module, X)[0]
    acts = [part for part in folded.modules() if isinstance(part, nn.ReLU | nn.SiLU | nn.ReLU6)]
    assert acts


class Shared(nn.Module):
    """What must not be folded, beside one pair that may be."""

    def __init__(self, case):
        super().__init__()
        self.case = case
        self.first, self.norm1 = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x):
        x = torch.relu(self.norm1(self.first(x)))
        if self.case == "conv twice":
            x = self.norm(self.conv(x)) + self.conv(x * 2)
        elif self.case == "norm twice":
            x = self.norm(self.conv(x)) + self.norm(x)
        elif self.case == "output used again":
            y = self.conv(x)
            x = self.norm(y) + y
        elif self.case == "output used by a module":
            y = self.conv(x)
            x = self.pool(self.norm(y)) + self.pool(y)
        elif self.case == "something between":
            x = self.norm(torch.relu(self.conv(x)))
        return x.mean((2, 3))


CASES = ["conv twice", "norm twice", "output used by a module", "something between"]


@pytest.mark.parametrize("case", CASES)
def test_only_what_may_be_folded_is(case):
    module = lively(Shared(case))
    folded = fold_batch_norm(module, X)[0]
    assert isinstance(folded.norm1, nn.Identity)
    assert isinstance(folded.norm, nn.BatchNorm2d)
    assert_close(folded(X), module(X), rtol=1e-4, atol=1e-5)


def test_a_copy_that_differs_is_thrown_away():
    assert fold_batch_norm(lively(Shared("output used again")), X) is None
