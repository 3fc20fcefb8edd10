"""The environment row: what a number was made with, beside what it was made from."""

import platform
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmark.identity import VERSIONS

PACKAGES = ("gestaltbench", "torch", "torchvision", "timm", "numpy", "pillow", "scipy", "sqlalchemy")


def environment(device: str, threads: int) -> dict[str, Any]:
    """Versions (of packages, of the program's own components), machine, GPU and code revision, as plain data."""
    torch = sys.modules.get("torch")
    packages: dict[str, str | None] = dict.fromkeys(PACKAGES)
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            packages[name] = version(name)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "machine": platform.machine(),
        "device": device,
        "gpu": str(torch.cuda.get_device_name(device)) if torch and device.startswith("cuda") else None,
        "threads": threads,
        "packages": packages,
        "components": dict(VERSIONS),
        "code": _revision(Path(__file__).resolve().parents[2]),
    }


@cache  # what runs is what was imported, whatever is edited later
def _revision(root: Path) -> dict[str, Any] | None:
    if not (root / ".git").exists():
        return None
    # Of this folder's repository, whatever GIT_DIR says to a hook and all that it starts.
    git = ["git", f"--git-dir={root / '.git'}", f"--work-tree={root}"]
    said = []
    for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no")):
        with suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run([*git, *words], capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
            said.append(done.stdout.strip())
    return {"revision": said[0], "dirty": bool(said[1])} if len(said) == 2 else None
