"""Batch normalisation folded into the convolution before it: the same function with fewer passes
over memory.

Which convolution feeds which normalisation is observed in an actual forward pass, not guessed from
names: a pair is folded only where the very tensor that a convolution returned enters the
normalisation and nothing else that was observed. The copy is kept only if its logits agree with the
original's.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

_TOLERANCE = 1e-4
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_AS_IT_LIES = (torch.contiguous_format,)


class Folded(NamedTuple):
    """A folded copy, and the layout of its weights and of the images that it takes."""

    module: nn.Module
    layout: torch.memory_format


@dataclass
class _Trace:
    """What one forward pass showed. Tensors are kept alive, so that no identity is used twice."""

    calls: Counter[str] = field(default_factory=Counter)
    made: dict[int, str] = field(default_factory=dict)
    taken: Counter[int] = field(default_factory=Counter)
    fed: dict[str, int] = field(default_factory=dict)
    alive: list[Tensor] = field(default_factory=list)


def _watch(trace: _Trace, name: str) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        trace.calls[name] += 1
        for value in inputs:
            if isinstance(value, Tensor):
                trace.taken[id(value)] += 1
                trace.alive.append(value)
                if isinstance(module, _BatchNorm):
                    trace.fed[name] = id(value)
        if isinstance(module, _CONVOLUTIONS) and isinstance(output, Tensor):
            trace.made[id(output)] = name
            trace.alive.append(output)

    return hook


def _observe(module: nn.Module, example: Tensor) -> tuple[_Trace, Tensor]:
    """Forward `example` once, watching every leaf-like module. Returns the trace and the logits."""
    trace = _Trace()
    watched = [
        (name, part)
        for name, part in module.named_modules()
        if isinstance(part, (_BatchNorm, *_CONVOLUTIONS)) or not any(part.children())
    ]
    handles = [part.register_forward_hook(_watch(trace, name)) for name, part in watched]
    try:
        with torch.no_grad():
            logits: Tensor = module(example)
    finally:
        for handle in handles:
            handle.remove()
    return trace, logits


def _foldable(conv: nn.Module, norm: nn.Module) -> bool:
    plain = not conv._forward_hooks and not conv._forward_pre_hooks
    stats = isinstance(norm, _BatchNorm) and norm.running_mean is not None and not norm.training
    same = isinstance(conv, _CONVOLUTIONS) and conv.out_channels == getattr(norm, "num_features", 0)
    return bool(plain and stats and same)


def _pairs(module: nn.Module, trace: _Trace) -> list[tuple[str, str]]:
    """(convolution, normalisation) names: each called once, the one's output the other's only
    input.
    """
    parts = dict(module.named_modules())
    pairs = []
    for norm, value in trace.fed.items():
        conv = trace.made.get(value)
        if conv is None or trace.taken[value] != 1 or trace.calls[norm] != 1:
            continue
        if trace.calls[conv] == 1 and _foldable(parts[conv], parts[norm]):
            pairs.append((conv, norm))
    return pairs


def _replace(module: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, part)


def _after(norm: nn.Module) -> nn.Module:
    """What stays of a normalisation: timm's BatchNormAct2d keeps its dropout and activation."""
    kept = [
        part
        for part in (getattr(norm, "drop", None), getattr(norm, "act", None))
        if part is not None
    ]
    kept = [part for part in kept if not isinstance(part, nn.Identity)]
    return nn.Identity() if not kept else kept[0] if len(kept) == 1 else nn.Sequential(*kept)


def _fold_pair(module: nn.Module, conv_name: str, norm_name: str) -> None:
    conv: Any = module.get_submodule(conv_name)
    norm: Any = module.get_submodule(norm_name)
    weight, bias = fuse_conv_bn_weights(
        conv.weight.double(),
        None if conv.bias is None else conv.bias.double(),
        norm.running_mean.double(),
        norm.running_var.double(),
        norm.eps,
        None if norm.weight is None else norm.weight.double(),
        None if norm.bias is None else norm.bias.double(),
    )
    kind = conv.weight.dtype
    conv.weight = nn.Parameter(weight.to(kind), requires_grad=False)
    conv.bias = nn.Parameter(bias.to(kind), requires_grad=False)
    _replace(module, norm_name, _after(norm))


def _agrees(folded: nn.Module, example: Tensor, logits: Tensor) -> bool:
    with torch.no_grad():
        gap = (folded(example) - logits).abs().max()
    return bool(gap <= _TOLERANCE * logits.abs().max().clamp(min=1.0))


def in_layout(module: nn.Module, layout: torch.memory_format) -> nn.Module:
    """The module itself, its weights laid out so in memory."""
    to: Any = module.to  # torch's stubs do not know all of its forms
    moved: nn.Module = to(memory_format=layout)
    return moved


def fold_batch_norm(
    module: nn.Module, example: Tensor, layouts: Sequence[torch.memory_format] = _AS_IT_LIES
) -> Folded | None:
    """A copy of `module` with every foldable batch normalisation folded, and how it lies in memory; or None.

    module: in evaluation mode; example: an input batch as the module takes it, e.g. [2, 3, 224,
    224]; layouts: the first in which the copy runs and agrees is taken. None where nothing could be folded, the module
    cannot be copied or watched, or the copy's logits differ on `example` by more than 1e-4 of the largest logit (at
    least 1). `module` is left as it was.
    """
    if module.training or isinstance(module, torch.fx.GraphModule):
        return None
    trace, logits = _observe(module, example)
    pairs = _pairs(module, trace)
    if not pairs:
        return None
    folded = copy.deepcopy(module)
    for conv, norm in pairs:
        _fold_pair(folded, conv, norm)
    for layout in layouts:
        moved = in_layout(folded, layout)
        try:
            if _agrees(moved, example.contiguous(memory_format=layout), logits):
                return Folded(moved, layout)
        except RuntimeError:  # a view of what lies otherwise in memory
            if layout == layouts[-1]:
                raise
    return None
