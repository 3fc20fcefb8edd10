"""Preprocessing that a network brings with it: any callable from a PIL image to what the network takes of one image."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from registry.user_errors import AnswerError, reason

Transform = Callable[[Image.Image], Any]
#: What a network takes: a tensor, or a mapping of them (patches of NaFlex); of one image, or of several.
Given = Tensor | dict[str, Tensor]


def network_input(transform: Transform, pixels: Tensor) -> Given:
    """Return what a network takes of one image [3, h, w], uint8 or float32 in [0,1]. Raises AnswerError for a transform
    that fails or returns no tensor."""
    levels = pixels if pixels.dtype == torch.uint8 else (pixels.detach().float().clamp(0, 1) * 255).round().byte()
    image = Image.fromarray(np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy()))
    try:
        made = transform(image)
        if isinstance(made, Mapping) and set(made) != {"pixel_values"}:
            return {str(name): _tensor(value) for name, value in made.items()}
        tensor = _tensor(made["pixel_values"] if isinstance(made, Mapping) else made)
        return tensor[0] if tensor.dim() == 4 and len(tensor) == 1 else tensor
    except (Exception, SystemExit) as error:
        size = f"{image.width} x {image.height} px"
        raise AnswerError(f"the network's own transform fails on an image of {size} ({reason(error)}).") from error


def _tensor(value: Any) -> Tensor:
    tensor = value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    return tensor.float() if tensor.dtype == torch.float64 else tensor


def by_shape(each: Sequence[Given], run: Callable[[Given], Tensor]) -> Tensor:
    """Return the answers [n, ...] to single inputs: those of one shape are given to `run` together."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, given in enumerate(each):
        parts = {"": given} if isinstance(given, Tensor) else given
        groups.setdefault(tuple((name, part.shape) for name, part in parts.items()), []).append(i)
    answers = torch.cat([run(stacked([each[i] for i in rows])) for rows in groups.values()])
    order = torch.tensor([i for rows in groups.values() for i in rows], device=answers.device)
    return answers[order.argsort()]


def stacked(each: Sequence[Given]) -> Given:
    """Return single inputs of one shape as a batch."""
    first = each[0]
    if isinstance(first, Tensor):
        return torch.stack([part for part in each if isinstance(part, Tensor)])
    return {name: torch.stack([part[name] for part in each if isinstance(part, dict)]) for name in first}


def on_device(given: Given, device: torch.device) -> Given:
    """Return the input where the network is."""
    return given.to(device) if isinstance(given, Tensor) else {name: part.to(device) for name, part in given.items()}


def count(given: Given) -> int:
    """Return of how many images it is."""
    return len(given if isinstance(given, Tensor) else next(iter(given.values())))
