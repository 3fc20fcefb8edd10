"""The logits in what a network returns, and what it means when there are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from registry.labels import LabelSpace
from registry.spaces import spaces_of_size

#: Entries of a mapping or fields of an output object that hold logits (transformers, torchvision, open code).
_FIELDS = ("logits", "out", "output")


def _tensors(output: Any) -> Iterator[Tensor]:
    """What may be the logits, the most likely first."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for name in _FIELDS:
            yield from _tensors(output.get(name))
    elif any(isinstance(getattr(output, name, None), Tensor) for name in _FIELDS):
        yield from (value for name in _FIELDS for value in _tensors(getattr(output, name, None)))
    elif isinstance(output, list | tuple):
        for part in output:
            yield from _tensors(part)


def logits_in(output: Any, shape: tuple[int, int]) -> Tensor | None:
    """The first tensor of `shape` (images, classes) in a network's output: the output itself, the `logits` of an
    output object or mapping, or the first such part of a tuple (auxiliary heads come after the main one). None where
    there is none.
    """
    if isinstance(output, Tensor):  # the rule; all else is looked through
        return output if tuple(output.shape) == shape else None
    return next((tensor for tensor in _tensors(output) if tuple(tensor.shape) == shape), None)


def misfit(output: Any, shape: tuple[int, int], labels: LabelSpace) -> str:
    """What was returned instead of logits of `shape`, and what to do."""
    first = next(_tensors(output), None)
    found = type(output).__name__ if first is None else str(tuple(first.shape))
    text = (
        f"returned {found} for {shape[0]} images, expected logits {shape}: label space '{labels.name}' has "
        f"{shape[1]} classes. "
    )
    if first is None or first.dim() != 2:
        return text + "A classifier returns one row of logits per image."
    spaces = spaces_of_size(int(first.shape[1]))
    if spaces:
        return text + f"{first.shape[1]} outputs are those of --labels {' or '.join(spaces)}."
    return text + (
        "Register it with the label space or mapping file of its own classes (--labels); if these are features, it is "
        "a backbone without a classifier: `bench probe` fits one."
    )
