"""What must hold before a network's numbers mean anything: run at registration and by `bench models
check`. What is checked at each load is in `soundness`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from registry.errors import LabelError
from registry.model import LoadedModel
from registry.soundness import FORWARD, Check, check_load, forward_failure, probe

__all__ = ["Check", "check"]

#: Share of the spread of the outputs that they must differ by between images.
LEAST_MOVED = 0.01


def _finite(logits: Tensor) -> Check:
    bad = int((~torch.isfinite(logits)).sum())
    detail = (
        "all logits are finite"
        if not bad
        else f"{bad} of {logits.numel()} logits are NaN or infinite"
    )
    return Check("finite logits", bad == 0, detail)


def _looks(model: LoadedModel, logits: Tensor) -> Check:
    """Whether the picture decides: trained and untrained networks move by 9 % and more of the spread of their outputs
    between these images, one that is fed a single grey (a wrong --mean) by 0.05 to 5 %."""
    name = "answers differ between images"
    around = (logits - logits.mean(dim=1, keepdim=True)).double()
    spread = float(around.amax() - around.amin())
    moved = float((around - around[:1]).abs().amax())
    share = moved / spread if spread else 0.0
    if (
        not share <= LEAST_MOVED or "boxes" in model.card.options
    ):  # a detector may find nothing in all of them
        return Check(name, True, f"by {share:.2g} of the spread of its outputs")
    how = f"they differ by {share:.2g} of the spread of its outputs between {len(logits)} images"
    return Check(name, False, f"{how}: it does not look. Check --mean, --std and --scale")


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


def takes_only_its_size(model: LoadedModel) -> bool:
    """Whether the network refuses images of another size than its own: 224 pixels, or 64 where its own is
    224 (sets of stimuli come in both).
    """
    side = 64 if model.preprocess.size == 224 else 224
    try:
        with torch.inference_mode():
            model.forward(torch.nn.functional.interpolate(probe(model, 2), (side, side)))
    except (Exception, SystemExit):  # noqa: BLE001 - the boundary of a network's own code
        return True
    return False


def check(model: LoadedModel) -> list[Check]:
    """Run all checks on fixed images. Failures are rows, not exceptions.

    A wrong class count or a failing forward pass ends the list: nothing after it could be judged.
    """
    images = probe(model)
    pairs = (images[:2], images[2:])
    try:
        with torch.inference_mode():
            logits = torch.cat([model.forward(pair) for pair in pairs])
    except LabelError as error:
        return [Check("class count", False, str(error))]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the boundary of a network's own code
        return [Check(FORWARD, False, forward_failure(error, pairs[0]))]
    fits = f"{len(model.labels.classes)}, as label space '{model.labels.name}'"
    return [
        Check("class count", True, fits),
        _finite(logits),
        _looks(model, logits),
        *check_load(model),
        *([_differentiable(model, pairs[0])] if model.gradients else []),
    ]
