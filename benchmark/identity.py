"""Digests of everything that a stored answer depends on. Keys hold content, not names (docs/identity.md)."""

import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmark.contracts import CHUNK, Block, Policy, Suite
from benchmark.version import __version__
from registry.code import Codes, code_digest
from registry.files import digest_data

__all__ = ["VERSIONS", "Codes", "block_key", "code_digest", "environment_record", "observation_key", "score_code"]

#: Our components, each raised by hand when its answers change (tests/engine/test_component_answers.py). Suites
#: have `version` and `trial_version`, transforms a VERSION among their parameters, networks one in
#: `registry.architectures`.
VERSIONS: Mapping[str, int] = {"answers": 1, "stimuli": 1, "statistics": 1, "scoring": 4}


def block_key(block: Block, codes: Codes | None = None) -> str:
    """Return the identity of a block's images, without its role: equal blocks are computed once."""
    return digest_data(_block(block, codes or Codes()))


def _block(block: Block, codes: Codes) -> dict[str, Any]:
    transform = block.transform
    return {
        "stimuli": block.stimuli.digest,
        "condition": block.condition,
        "presentation": block.presentation,
        "transform": transform
        and {
            "name": transform.name,
            "params": transform.params,
            "stored": transform.stored,
            "code": codes.of(transform.apply),
        },
        **({"networks": sorted(network.identity for network in block.networks)} if block.networks else {}),
    }


def observation_key(identity: str, block: Block, suite: Suite, policy: Policy, codes: Codes | None = None) -> str:
    """Return the key of one observer's answers to one block under one suite, independent of names, paths and hosts."""
    codes = codes or Codes()
    rule = suite.stopping.settled  # decides how many trials there are
    return digest_data(
        {
            "observer": identity,
            "block": _block(block, codes),
            "suite": [suite.name, suite.trial_version, block.role],
            "code": codes.of(suite.plan, suite.observe, *([rule] if rule else [])),
            "answers": [VERSIONS["answers"], VERSIONS["stimuli"]],
            "config": suite.config,
            **({"categories": suite.categories} if suite.categories else {}),
            "policy": policy,
            "chunk": CHUNK,
        }
    )


def score_code(suite: Suite, codes: Codes | None = None) -> str:
    """Return the digest of the code that turns trials into scores; scores are recomputed when it changes."""
    codes = codes or Codes()
    ratios = [metric.ratio for metric in suite.metrics if metric.ratio is not None]
    against = (suite.against.scores, suite.against.group) if suite.against else ()
    return digest_data(
        {
            "code": codes.of(suite.score, *against, *ratios),
            "metrics": [(metric.name, metric.role) for metric in suite.metrics if metric.ratio is not None],
            "config": suite.config,
            "scoring": [suite.version, VERSIONS["scoring"], VERSIONS["statistics"]],
        }
    )


PACKAGES = ("gestaltbench", "torch", "torchvision", "timm", "numpy", "pillow", "scipy", "sqlalchemy")


def environment_record(device: str, threads: int) -> dict[str, Any]:
    """Return versions of packages and components, machine, GPU and code revision, as plain data."""
    torch, packages = sys.modules.get("torch"), dict[str, str | None].fromkeys(PACKAGES)
    for name in PACKAGES[1:]:  # an editable install of this one states the version at which it was installed
        with suppress(PackageNotFoundError):
            packages[name] = version(name)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "machine": platform.machine(),
        "device": device,
        "gpu": str(torch.cuda.get_device_name(device)) if torch and device.startswith("cuda") else None,
        "threads": threads,
        "packages": {**packages, "gestaltbench": __version__},
        "components": dict(VERSIONS),
        "code": _revision(Path(__file__).resolve().parents[1]),
    }


@cache  # the running code is what was imported, even if files are edited later
def _revision(root: Path) -> dict[str, Any] | None:
    # A git hook sets GIT_DIR to another repository.
    git = ["git", f"--git-dir={root / '.git'}", f"--work-tree={root}", "describe", "--always", "--dirty"]
    with suppress(OSError, subprocess.SubprocessError):
        words = [*git, "--exclude=*", "--abbrev=40"]  # the commit, whatever its tags
        done = subprocess.run(words, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
        revision, _, dirty = done.stdout.strip().partition("-")
        return {"revision": revision, "dirty": bool(dirty)}
    return None
