"""Content digests: of a state dict, of plain data, of a file. SHA-256, in hexadecimal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_STEP = 1 << 20


def digest_state(state: Mapping[str, Tensor]) -> str:
    """Digest of weights: every name, dtype, shape and byte, in sorted order of names.

    Neither the order of the keys nor device, memory layout or file format changes it.
    """
    import torch

    total = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().to("cpu").contiguous()
        head = f"{name}|{str(tensor.dtype).removeprefix('torch.')}|{tuple(tensor.shape)}|"
        total.update(head.encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def digest_data(value: Any) -> str:
    """Digest of plain data (JSON types): keys sorted, numbers as Python prints them."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_file(path: Path) -> str:
    """Digest of a file's bytes."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_STEP):
            total.update(block)
    return total.hexdigest()
