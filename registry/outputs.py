"""The logits in what a network returns: a tensor, or a mapping, sequence or object that holds tensors."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from registry.labels import spaces_of_size
from registry.user_errors import LabelError, shown, some_of

#: How deep outputs hold other outputs: ("aux": {"logits": ...}).
_DEPTH = 4


def named_outputs(output: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of an output with its name: "logits", "1", "aux.logits"; "" for a bare tensor."""
    if isinstance(output, Tensor):
        yield name, output
    elif depth < _DEPTH:
        for part, value in _parts(output):
            yield from named_outputs(value, f"{name}.{part}" if name else str(part), depth + 1)


def _parts(output: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(output, Mapping):  # transformers' output objects, too
        return output.items()
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return zip(output._fields, output, strict=True)
    if isinstance(output, list | tuple):
        return enumerate(output)
    if is_dataclass(output):
        return [(field.name, getattr(output, field.name)) for field in fields(output)]
    return () if isinstance(output, type | nn.Module) else getattr(output, "__dict__", {}).items()


def logits_in(output: Any, shape: tuple[int, int], chosen: str | None = None, *, space: str = "its labels") -> Tensor:
    """Return the logits [images, classes] of an output as float32: the only tensor of that shape, in the `chosen` part
    if one is named. space: the label space, for messages. Raises LabelError if there is none, or several that
    differ."""
    every = dict(named_outputs(output))
    fitting = {
        name: tensor
        for name, tensor in every.items()
        if tuple(tensor.shape) == shape and (chosen is None or f"{name}.".startswith(f"{chosen}."))
    }
    returned = some_of([f"{name} {tuple(part.shape)}".lstrip() for name, part in every.items()], 5)
    if chosen is not None and not fitting:
        raise LabelError(f"has no output '{shown(chosen)}' of shape {shape} (--output): returned {returned or 'none'}.")
    if not fitting:
        wanted = f"{shape[0]} images, expected logits {shape} for label space '{space}'"
        raise LabelError(f"returned {returned or type(output).__name__} for {wanted}. {_advice(every.values())}")
    first, *others = fitting.values()
    if any(other is not first and not torch.equal(other, first) for other in others):
        words = " or ".join(f"--output {name}" for name in map(shown, [*fitting][:3]))
        raise LabelError(f"returned {len(fitting)} outputs of shape {shape}. Choose the one that classifies: {words}.")
    return first.float()


def _advice(outputs: Iterable[Tensor]) -> str:
    first = next((tensor for tensor in outputs if tensor.dim() == 2), None)
    if first is None:
        return "A classifier returns one row of logits per image."
    if spaces := spaces_of_size(int(first.shape[1])):
        return f"{first.shape[1]} outputs are those of label space {' or '.join(spaces)}."
    return (
        "Register it with the label space or mapping file of its own classes (--labels); if these are features, it is "
        "a backbone without a classifier: `bench register --probe` fits one."
    )
