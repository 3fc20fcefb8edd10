"""Whether a network is still what it was: a sum of every parameter and buffer."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor, nn

Checksum = tuple[int, ...]


def checksum(module: nn.Module) -> Checksum:
    """A number per parameter and buffer, from all of its bits: cheap enough for every few hundred images."""
    return _sums(_tensors(module))


def _sums(tensors: list[Tensor]) -> Checksum:
    with torch.inference_mode():
        return tuple(map(_sum, tensors))


def _tensors(module: nn.Module) -> list[Tensor]:
    """Every parameter and buffer once, always in the same order. torch's own walk makes a name for each, which takes
    longer than their sums.
    """
    waiting, parts, found = [module], dict[int, nn.Module](), dict[int, Tensor]()
    while waiting:
        part = waiting.pop()
        if id(part) in parts:
            continue
        parts[id(part)] = part
        for tensor in (*part._parameters.values(), *part._buffers.values()):
            if tensor is not None:
                found[id(tensor)] = tensor
        waiting += [inner for inner in part._modules.values() if inner is not None]
    return list(found.values())


def _sum(tensor: Tensor) -> int:
    if tensor.layout != torch.strided or tensor.is_quantized:
        return 0
    flat = tensor.detach().reshape(-1)
    if tensor.is_contiguous(memory_format=torch.channels_last) and tensor.dim() == 4:
        flat = tensor.detach().permute(0, 2, 3, 1).reshape(-1)  # as it lies in memory: no copy
    if flat.device.type == "cpu":  # on one thread: waking others for so little costs more
        return zlib.crc32(flat.view(torch.uint8).numpy().data)
    kind = torch.int32 if flat.element_size() % 4 == 0 else torch.uint8
    return int(flat.view(kind).sum(dtype=torch.int64))


def changed(module: nn.Module, before: Checksum) -> str:
    """The name of a parameter or buffer that is not what it was; "" where all are."""
    tensors = _tensors(module)
    if len(tensors) != len(before):
        return "its set of parameters and buffers"
    after = _sums(tensors)
    moved = {id(t) for t, a, b in zip(tensors, before, after, strict=True) if a != b}
    if not moved:
        return ""
    named = (*module.named_parameters(), *module.named_buffers())
    return next((name for name, one in named if id(one) in moved), "a parameter or buffer")
