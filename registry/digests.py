"""Content digests: of a state dict, of plain data, of a file. SHA-256, in hexadecimal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
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


def canonical(value: Any, *, ascii: bool = True) -> str:
    """Canonical JSON: equal values give equal text. Keys sorted, no spaces, numbers as Python prints them.

    Dataclasses and mappings are objects, tuples and sets lists, numpy's values plain. TypeError on anything else.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii, default=_plain
    )


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no plain data: {value!r:.80}")


def digest_data(value: Any) -> str:
    """Digest of plain data: of its canonical JSON. Hex, 64 characters."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def digest_file(path: Path) -> str:
    """Digest of a file's bytes."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_STEP):
            total.update(block)
    return total.hexdigest()
