"""What must hold before a network's numbers mean anything: run at registration and by `bench models
check`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from registry.errors import LabelError
from registry.model import LoadedModel

_SEED = 20


@dataclass(frozen=True)
class Check:
    """One check: its name, whether it holds, and what was found."""

    name: str
    ok: bool
    detail: str


def _probe(model: LoadedModel, count: int = 2) -> Tensor:
    """Fixed random images [count, 3, size, size] in [0,1]."""
    side = model.preprocess.size
    generator = torch.Generator().manual_seed(_SEED)
    images = torch.rand((count, 3, side, side), generator=generator)
    device = next((value.device for value in model.module.state_dict().values()), images.device)
    return images.to(device)


def _finite(logits: Tensor) -> Check:
    bad = int((~torch.isfinite(logits)).sum())
    detail = (
        "all logits are finite"
        if not bad
        else f"{bad} of {logits.numel()} logits are NaN or infinite"
    )
    return Check("finite logits", bad == 0, detail)


def _unnormalised(logits: Tensor) -> Check:
    """Probabilities (rows in [0,1] that sum to 1) and log-probabilities are no logits."""
    name = "logits, not probabilities"
    sums = logits.double().sum(dim=1)
    if bool((logits >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        return Check(
            name,
            False,
            "outputs are probabilities (in [0,1], sum 1): remove the network's final softmax",
        )
    totals = logits.double().exp().sum(dim=1)
    if bool((logits <= 0).all()) and torch.allclose(totals, torch.ones_like(totals), atol=1e-3):
        return Check(
            name, True, "outputs are log-probabilities: decisions are the same, attacks may differ"
        )
    return Check(name, True, f"from {float(logits.min()):.3g} to {float(logits.max()):.3g}")


def _repeatable(model: LoadedModel, images: Tensor, first: Tensor) -> Check:
    with torch.inference_mode():
        second = model.forward(images)
    same = torch.equal(first, second) or bool(torch.isnan(first).any())
    worst = float((first - second).abs().max())
    detail = "two passes agree exactly" if same else (
        f"two passes over the same images differ by up to {worst:.3g}: is dropout or noise active?"
    )  # fmt: skip
    return Check("same answer twice", same, detail)


def _single(model: LoadedModel, images: Tensor, batch: Tensor) -> Check:
    """An image's answer does not hang on its neighbours in the batch (batch statistics, fixed batch
    size).
    """
    name = "same answer alone"
    try:
        with torch.inference_mode():
            alone = model.forward(images[:1])
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        return Check(name, False, f"takes no batch of 1 after one of {len(images)}: {reason}")
    gap, scale = float((alone - batch[:1]).abs().max()), float(batch.abs().max())
    ok = not gap > 1e-3 * max(scale, 1.0)
    verdict = "within float noise" if ok else "its batch decides: batch norm in training mode?"
    return Check(name, ok, f"logits alone and in a batch differ by {gap:.2g}: {verdict}")


def _differentiable(model: LoadedModel, images: Tensor) -> Check:
    name = "gradients reach the input"
    x = images.clone().requires_grad_()
    try:
        (gradient,) = torch.autograd.grad(model.forward(x).logsumexp(dim=1).sum(), x)
    except RuntimeError as error:
        return Check(name, False, f"none: {str(error).splitlines()[0]}")
    size = float(gradient.abs().max())
    ok = bool(torch.isfinite(gradient).all()) and size > 0
    return Check(name, ok, f"largest |gradient| {size:.3g}" if ok else f"gradient is {size}")


def check(model: LoadedModel) -> list[Check]:
    """Run all checks on fixed random images. Failures are rows, not exceptions.

    A wrong class count or a failing forward pass ends the list: nothing after it could be judged.
    """
    images = _probe(model)
    try:
        with torch.inference_mode():
            logits = model.forward(images)
    except LabelError as error:
        return [Check("class count", False, str(error))]
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        detail = f"{type(error).__name__} at {tuple(images.shape)}: {reason}"
        return [Check("forward pass", False, detail)]
    fits = f"{len(model.labels.classes)}, as label space '{model.labels.name}'"
    return [
        Check("class count", True, fits),
        _finite(logits),
        _unnormalised(logits),
        _repeatable(model, images, logits),
        _single(model, images, logits),
        _differentiable(model, images),
    ]
