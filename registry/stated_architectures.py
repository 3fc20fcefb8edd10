"""The architecture of a checkpoint as its training script states it, or as its file name suggests it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch

from registry.architectures import build_network, renew_keys
from registry.checkpoints import Misfit, choose_weights, read_content
from registry.files import absence, is_file
from registry.loading import head_names
from registry.user_errors import BenchError, CardError, Remedy, WeightsError, shown

#: What training scripts call the architecture, at the top or among their arguments.
_NAMES = ("arch", "architecture", "model_name", "model_arch", "model", "backbone", "network", "net")
_PLACES = ("args", "hyper_parameters", "config", "cfg", "hparams", "opt", "model_args")


def required_arch(file: Path | None) -> str:
    """Return the architecture that a checkpoint states. Raises CardError, with the one that its name suggests, and
    WeightsError for a file that is not there."""
    usual = "timm:NAME, torchvision:NAME, python:MODULE:FUNCTION or export"
    if file is None:
        raise CardError(f"--arch is needed: {usual}. Only a folder with timm's config.json contains its architecture.")
    if not is_file(file):
        raise WeightsError(f"checkpoint {shown(file)} {absence(file)}. Check the path.")
    try:
        content = read_content(file)
    except WeightsError as error:
        if error.remedy.write is None:
            raise
        named = [arch for name in _named_in(file.stem) for arch in _known()[name]][:1]
        words = ("--arch", *named, "--convert") if named else ()
        raise CardError(f"{error} Give --arch as well: {usual}.", Remedy(words=words)) from error
    stated = next((arch for name in _stated(content) for arch in _fitting([name], content)), "")
    if stated:
        return stated
    guess = next(_fitting(_named_in(file.stem), content), "")
    hint = f" Its name and its weights suggest {guess}." if guess else ""
    raise CardError(
        f"{shown(file)} does not state its architecture. Give --arch: {usual}.{hint}",
        Remedy(words=("--arch", guess) if guess else ()),
    )


def _stated(content: Any) -> Iterator[str]:
    entries = content if isinstance(content, Mapping) else {}
    inner = [entries.get(place) for place in _PLACES]
    for part in (entries, *(each if isinstance(each, Mapping) else getattr(each, "__dict__", {}) for each in inner)):
        for name in _NAMES:
            if isinstance(value := part.get(name), str):
                yield value.partition(".")[0] if value.count(":") == 0 else value


@cache
def _known() -> dict[str, list[str]]:
    """Return the architectures of timm and torchvision by their names in small letters: vit_b_16 -> ..."""
    import timm
    from torchvision import models

    known: dict[str, list[str]] = {}
    for library, names in (("timm", timm.list_models()), ("torchvision", models.list_models(module=models))):
        for name in names:
            known.setdefault(name.lower(), []).append(f"{library}:{name}")
    return known


def _named_in(stem: str) -> list[str]:
    """Return the architectures that a file name contains as words, the longest first."""
    text = re.sub(r"[-. ]", "_", stem.lower())
    names = [name for name in _known() if re.search(rf"(?:^|_){re.escape(name)}(?:_|$)", text)]
    return sorted(names, key=len, reverse=True)


def _fitting(names: list[str], content: Any) -> Iterator[str]:
    """Yield "timm:NAME" and "torchvision:NAME" of the networks whose weights, but for the head's, are all in the
    content."""
    for name in names:
        for arch in _known().get(name.lower(), [name] if name.startswith(("timm:", "torchvision:")) else []):
            with suppress(BenchError):
                with torch.device("meta"):
                    module = build_network(arch, 1000)
                renew = renew_keys if arch.startswith("torchvision:") else dict
                choice = choose_weights(content, module.state_dict(keep_vars=True), renew=renew)
                misfit = Misfit.between(choice.state if choice else {}, module.state_dict())
                if not {*misfit.missing, *misfit.shapes} - head_names(module):
                    yield arch
