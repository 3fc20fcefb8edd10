"""Where libraries keep downloaded weights, looked up without importing them."""

from __future__ import annotations

import os
from pathlib import Path


def _home(*variables: str, default: str) -> Path:
    for variable in variables:
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / default


def torch_checkpoints() -> Path:
    """The folder in which torch.hub keeps checkpoints ($TORCH_HOME/hub/checkpoints)."""
    return _home("TORCH_HOME", default="torch") / "hub" / "checkpoints"


def hub_cache() -> Path:
    """The cache of Hugging Face files ($HF_HUB_CACHE, or $HF_HOME/hub)."""
    if os.environ.get("HF_HUB_CACHE"):
        return Path(os.environ["HF_HUB_CACHE"]).expanduser()
    return _home("HF_HOME", default="huggingface") / "hub"


def hub_has(repository: str) -> bool:
    """Whether the cache holds weights of ORG/NAME."""
    snapshots = hub_cache() / f"models--{repository.replace('/', '--')}" / "snapshots"
    suffixes = {".safetensors", ".bin", ".pth"}
    return any(path.suffix in suffixes for path in snapshots.glob("*/*"))
