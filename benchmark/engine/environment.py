"""The environment row: what a number was made with, beside what it was made from."""

import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmark.identity import VERSIONS

PACKAGES = ("gestaltbench", "torch", "torchvision", "timm", "numpy", "pillow", "scipy", "sqlalchemy")


def environment(device: str, threads: int) -> dict[str, Any]:
    """Versions (of packages, of the program's own components), machine, GPU and code revision, as plain data."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "machine": platform.machine(),
        "device": device,
        "gpu": _gpu(device),
        "threads": threads,
        "packages": {name: _version(name) for name in PACKAGES},
        "components": dict(VERSIONS),
        "code": _revision(Path(__file__).resolve().parents[2]),
    }


@cache
def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _gpu(device: str) -> str | None:
    torch = sys.modules.get("torch")
    if torch is None or not device.startswith("cuda"):
        return None
    return str(torch.cuda.get_device_name(device))


@cache  # what runs is what was imported, whatever is edited later
def _revision(root: Path) -> dict[str, Any] | None:
    """Git revision and whether the tree is dirty; None for an installed package."""
    if not (root / ".git").exists():
        return None
    revision = _git(root, "rev-parse", "HEAD")
    status = _git(root, "status", "--porcelain", "--untracked-files=no")
    return {"revision": revision, "dirty": bool(status)} if revision else None


def _git(root: Path, *words: str) -> str | None:
    """Of this folder's repository, whatever GIT_DIR says to a hook and all that it starts."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            ["git", f"--git-dir={root / '.git'}", f"--work-tree={root}", *words],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
