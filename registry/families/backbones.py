"""A network without its classifier: what it answers then are features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from registry.errors import WeightsError


def without_head(module: nn.Module, side: int) -> frozenset[str]:
    """Take the classifier off a network, in place, and return the names that its state dict has lost.

    timm's networks say what theirs is. Of others it is the linear layer whose output the network returns; a network
    that ends in no such layer is a backbone already, and nothing is taken off. side: of the square input, in pixels.
    """
    before = set(module.state_dict())
    reset: Any = getattr(module, "reset_classifier", None)
    if callable(reset) and hasattr(module, "num_classes"):
        reset(0)
    elif name := _last_linear(module, side):
        _replace(module, name)
    return frozenset(before - set(module.state_dict()))


def _last_linear(module: nn.Module, side: int) -> str:
    """The name of the linear layer whose output is the network's; "" where there is none."""
    seen: dict[str, Tensor] = {}
    hooks = [
        part.register_forward_hook(lambda _part, _args, out, name=name: seen.update({name: out}))
        for name, part in module.named_modules()
        if name and isinstance(part, nn.Linear)
    ]
    training = module.training
    try:
        with torch.no_grad():
            answer = module.eval()(torch.zeros(1, 3, side, side))
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    return next((name for name, output in seen.items() if output is answer), "")


def _replace(module: nn.Module, name: str) -> None:
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, nn.Identity())


def pooled(output: Any) -> Tensor:
    """Features [n, d] in what a backbone returns: itself, or the mean over the places of a feature map [n, d, h, w].

    Raises WeightsError for anything else.
    """
    if isinstance(output, Tensor) and output.dim() == 2:
        return output
    if isinstance(output, Tensor) and output.dim() == 4:
        return output.mean(dim=(2, 3))
    found = str(tuple(output.shape)) if isinstance(output, Tensor) else type(output).__name__
    raise WeightsError(
        f"the backbone returned {found}: expected features [images, numbers] or a feature map [images, numbers, "
        "height, width]. Wrap it in a function that returns one of these (--arch python:MODULE:FUNCTION)."
    )


class WithHead(nn.Module):
    """A backbone and the linear classifier that was fitted on its features."""

    def __init__(self, backbone: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] to logits [n, classes]."""
        logits: Tensor = self.head(pooled(self.backbone(x)))
        return logits
