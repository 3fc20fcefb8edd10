"""Where weights may lie, and where libraries keep those that they downloaded, without importing them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from registry.places import is_file


@dataclass(frozen=True)
class Caches:
    """Folders of other libraries' downloads. Where one is not named, nothing is looked up there."""

    torch: Path | None = None  # torch.hub's checkpoints
    hub: Path | None = None  # files of the Hugging Face hub

    def torch_file(self, name: str) -> Path | None:
        """The checkpoint NAME, where torch has downloaded it."""
        path = self.torch / name if self.torch and name else None
        return path if path and is_file(path) else None

    def hub_has(self, repository: str) -> bool:
        """Whether the hub's cache holds weights of ORG/NAME."""
        if self.hub is None:
            return False
        snapshots = self.hub / f"models--{repository.replace('/', '--')}" / "snapshots"
        suffixes = {".safetensors", ".bin", ".pth"}
        with suppress(OSError):  # another user's, as in a container
            return any(path.suffix in suffixes for path in snapshots.glob("*/*"))
        return False


NO_CACHES = Caches()


@dataclass(frozen=True)
class Place:
    """Where weights may lie and where they come from. mirror: a folder or URL asked first; caches: of the libraries
    that download by themselves."""

    weights_folder: Path
    mirror: str | None = None
    caches: Caches = NO_CACHES
