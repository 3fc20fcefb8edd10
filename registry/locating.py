"""Where a network lies that is to be registered: folders of timm, names of its hub, detectors, files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.architectures import require_known, whole_arch
from registry.checkpoints import refuse_onnx
from registry.errors import CardError
from registry.families.detectors import PREFIX, is_detector, stated_by_detector
from registry.files import Caches, expanded, is_folder
from registry.stated_input import Stated, hub_input, read_folder, stated_input


@dataclass(frozen=True)
class Located:
    """Architecture, weights file and arguments of the architecture."""

    arch: str
    weights: Path | None
    kwargs: Mapping[str, Any]


def locate(arch: str, weights: Path | None, caches: Caches) -> tuple[Located, Stated]:
    """Where a network lies, and what is stated of its input: folders of timm and names of its hub are opened."""
    for path in (weights, Path(arch)):
        if path is not None:
            refuse_onnx(Path(path))
    if is_detector(arch):
        plain = whole_arch(arch.removeprefix(PREFIX))
        require_known(plain)
        return Located(plain, weights, {}), stated_by_detector(plain)
    arch = whole_arch(arch)
    kind, _, name = arch.partition(":")
    if kind == "timm" and name.startswith("local-dir:"):
        arch, weights = "", Path(name.removeprefix("local-dir:"))
    if kind == "timm" and name.startswith(("hf_hub:", "hf-hub:")) and weights is None:
        repository = name[len("hf_hub:") :]
        return Located(f"hf_hub:{repository}", None, {}), hub_input(repository, caches.hub)
    if weights is None or not is_folder(expanded(weights)):
        if not arch:
            raise CardError(
                "--arch is needed: timm:NAME, torchvision:NAME, python:MODULE:FUNCTION or export. Only a folder with "
                "timm's config.json says it by itself."
            )
        return Located(arch, weights, {}), stated_input(arch)
    folder = read_folder(expanded(weights))
    if arch not in ("", folder.arch):
        raise CardError(f"{weights} holds a {folder.arch}, not a {arch}. Leave --arch out.")
    require_known(folder.arch)
    where = f"{weights / 'config.json'}"
    return Located(folder.arch, folder.weights, folder.kwargs), Stated(folder.fields, where)
