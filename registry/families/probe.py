"""Heads fitted to the features of networks without their classifier."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from registry.heads import Kind
from registry.user_errors import WeightsError

# Both kinds are one matrix and one bias, on features as the backbone gives them:
#
# linear          multinomial logistic regression with an L2 penalty on standardised features
# nearest-class   the class whose mean is closest, by Euclidean distance of standardised features
#                 (Mensink et al. 2013, "Distance-based image classification", with the identity as metric):
#                 -|z - m|^2 / 2 without |z|^2, which is the same for all classes, is linear in z

#: Penalties that are tried, on the mean loss per image.
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """The weight and bias of a head, and how well they did while the penalty was chosen."""

    weight: Tensor
    bias: Tensor
    right: int  # correct answers among `held` images held out
    held: int
    penalty: float = 0.0  # the chosen one


def held_out(targets: Tensor) -> Tensor:
    """Return [n] bool: every fifth image of each class, from its fifth on, to choose the penalty and to estimate the
    accuracy; targets: [n] class numbers."""
    counts: Counter[int] = Counter()
    flags = []
    for target in targets.tolist():
        counts[target] += 1
        flags.append(counts[target] % 5 == 0)
    return torch.tensor(flags)


def fit(kind: Kind, features: Tensor, targets: Tensor, classes: int) -> Fitted:
    """Fit a head to features [n, d] and class numbers [n]: first without the images held out, to measure it on those,
    then on all. Deterministic. Raises WeightsError for features that no head can be fitted to."""
    if not bool(torch.isfinite(features).all()):
        raise WeightsError("the backbone gave features that are NaN or infinite: nothing is fitted.")
    if classes < 2:
        raise WeightsError(f"a head needs at least two classes, found {classes}.")
    held = held_out(targets)
    usual = PENALTIES[2] if kind == "linear" else 0.0
    right, chosen = -1, usual
    for penalty in PENALTIES if kind == "linear" and bool(held.any()) else (usual,):
        weight, bias = _solve(kind, features[~held], targets[~held], classes, penalty)
        answers = functional.linear(features[held].double(), weight, bias).argmax(dim=1)
        if (count := int((answers == targets[held]).sum())) >= right:  # of equals the stronger penalty
            right, chosen = count, penalty
    weight, bias = _solve(kind, features, targets, classes, chosen)
    return Fitted(weight=weight.float(), bias=bias.float(), right=right, held=int(held.sum()), penalty=chosen)


def _solve(kind: Kind, features: Tensor, targets: Tensor, classes: int, penalty: float) -> tuple[Tensor, Tensor]:
    """Return weight and bias, float64, on features as they came."""
    x = features.double()
    mean, spread = x.mean(dim=0), x.std(dim=0, correction=0)
    spread = torch.where(spread > 1e-12 * spread.max().clamp(min=1e-30), spread, torch.inf)  # a constant says nothing
    z = (x - mean) / spread
    if kind == "linear":
        weight, bias = logistic(z, targets, classes, penalty)
    else:  # divided by d, so that differences of logits are mean squared distances, whatever the width
        member = functional.one_hot(targets, classes).to(z.dtype)
        means = (member.T @ z) / member.sum(dim=0).clamp(min=1)[:, None]
        weight, bias = means / z.shape[1], -means.square().sum(dim=1) / (2 * z.shape[1])
    weight = weight / spread
    return weight, bias - weight @ mean


def logistic(z: Tensor, targets: Tensor, classes: int, penalty: float) -> tuple[Tensor, Tensor]:
    """Minimise mean cross-entropy + penalty/2 * |weight|^2 (the bias is free) by L-BFGS from zero: convex, so the start
    decides nothing. z: [n, d] float64."""
    weight = torch.zeros(classes, z.shape[1], dtype=z.dtype, requires_grad=True)
    bias = torch.zeros(classes, dtype=z.dtype, requires_grad=True)
    search = torch.optim.LBFGS(
        [weight, bias], max_iter=300, tolerance_grad=1e-7, tolerance_change=1e-12,
        history_size=20, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def loss() -> Tensor:
        search.zero_grad()
        value = functional.cross_entropy(functional.linear(z, weight, bias), targets)
        value = value + penalty / 2 * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        search.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()
