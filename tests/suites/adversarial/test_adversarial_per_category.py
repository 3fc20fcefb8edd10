"""Logits per category against the decision rule, for single classes and for groups of them."""

import pytest
import torch

from registry.labels import Grouping, decide
from suites.adversarial.attacks.problem import per_category


def logits(n=40, classes=12):
    return 4 * torch.randn(n, classes, generator=torch.Generator().manual_seed(0))


def grouped(*columns):
    return Grouping("toy", tuple(f"c{i}" for i in range(len(columns))), columns)


@pytest.mark.parametrize(
    "columns",
    [
        tuple((i,) for i in range(12)),
        tuple((i,) for i in range(1, 12)),  # a background class in front
        ((5,), (2,), (11,)),
        ((0, 1, 2), (7,), (3, 9)),
    ],
)
def test_the_largest_is_the_decision_and_gaps_are_those_of_log_probability(columns):
    z = logits()
    ours = per_category(columns)(z)
    shares = decide(z, grouped(*columns))
    assert torch.equal(ours.argmax(1), shares.argmax(1))
    gaps = shares.double().log()
    assert torch.allclose((ours - ours[:, :1]).double(), gaps - gaps[:, :1], atol=1e-4)


def test_gradients_pass_through_groups():
    z = logits().requires_grad_()
    per_category(((0, 1), (4, 5, 6)))(z)[:, 1].sum().backward()
    assert (z.grad[:, 4:7] > 0).all() and (z.grad[:, :4] == 0).all()


def test_groups_of_two_are_their_mean_exponential():
    """ln((1 + 3) / 2), ln((2 + 2) / 2) and the single column itself."""
    z = torch.tensor([[1.0, 3.0, 2.0, 2.0, 5.0]]).log()
    pooled = per_category(((0, 1), (2, 3), (4,)))(z)
    assert torch.allclose(pooled.exp(), torch.tensor([[2.0, 2.0, 5.0]]))
