"""Families of models whose files describe more than an architecture: their files, preprocessing and label space."""

import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from registry.cards import Checkpoint, Source
from registry.determinism_checks import Check
from registry.documents import read_json
from registry.files import WeightSources, expanded, is_file, is_folder, is_url
from registry.labels import label_space, space_name, write_mapping
from registry.preprocessing import StatedInput
from registry.user_errors import CardError, LabelError, WeightsError, shown, some_of

#: Scheme of `--arch` -> the module that knows its models.
FAMILIES: Mapping[str, str] = {
    "hf": "registry.families.transformers",
    "open_clip": "registry.families.open_clip",
    "export": "registry.families.exported",
    "onnx": "registry.families.onnx",
    "predict": "registry.families.predict",
    "api": "registry.families.chat",
}


#: Files that stand for the folder that they are in; an index of shards ("*.index.json") does, too.
_OF_FOLDERS = ("config.json", "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A card in the making: a user's statements about a model, completed from its files."""

    name: str
    arch: str
    weights: str | None = None  # a file, a folder, a tag, "random:SEED" or nothing
    labels: str | None = None  # a label space or mapping file, None while unknown
    training: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)  # the family's, then the card's
    source: Source = "file"
    stated: StatedInput = field(default_factory=StatedInput)  # the input as described by its files
    rows: tuple[Check, ...] = ()  # facts to report
    files: tuple[Path, ...] = ()  # files written for the card
    bare: bool = False  # only its features are wanted, for a new head
    checkpoint: Checkpoint | None = None  # its place in a training


def of_files(arch: str, weights: str | None) -> tuple[str, str | None]:
    """Return architecture and weights where weights say their architecture: folders, ONNX, exported programs."""
    if weights is None or is_url(weights):
        return arch, weights
    folder = expanded(weights)
    if (folder.name in _OF_FOLDERS or folder.name.endswith(".index.json")) and is_file(folder):
        folder, weights = folder.parent, str(folder.parent)
    if not is_folder(folder):
        return arch or {".onnx": "onnx", ".pt2": "export"}.get(folder.suffix, ""), weights
    kind, _, place = arch.partition(":")
    if not arch:
        if is_file(folder / "open_clip_config.json"):
            return f"open_clip:{folder}", None
        # transformers' `config.json` names a `model_type`, and no architecture of timm.
        config = folder / "config.json"
        plain = read_json(config, "configuration", CardError) if is_file(config) else None
        if isinstance(plain, dict) and "model_type" in plain and "architecture" not in plain:
            return f"hf:{folder}", None
    elif kind in FAMILIES and expanded(place).resolve() == folder.resolve():
        return arch, None
    return arch, weights


def family_of(arch: str) -> ModuleType | None:
    """Return the module of an architecture's family, None of a plain architecture. `describe(draft, folder, place)`
    completes the draft from the model's files, and writes files for the card to `folder`. `network(card, place,
    outputs, bare=)` returns the network (bare: with features) and the digest of what computes besides weights."""
    module = FAMILIES.get(arch.partition(":")[0])
    return None if module is None else import_module(module)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the log of a library: what matters of it is in an error."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def repository_folder(repository: str, place: WeightSources, files: Sequence[str], optional: Sequence[str]) -> Path:
    """Return a folder with the `files` of ORG/NAME[@REVISION] and those of the `optional` ones that it has, from a
    mirror on this machine or the Hugging Face hub. Raises CardError for another form of name, WeightsError."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w.-]+)?", repository) or ".." in repository:
        raise CardError(f"'{shown(repository)[:200]}' is neither a folder here nor ORG/NAME[@REVISION] of the hub.")
    name, _, revision = repository.partition("@")
    mirrored = ""
    if place.mirror and not is_url(place.mirror):
        folder = expanded(place.mirror.removeprefix("file://")) / name
        if all((folder / file).is_file() for file in files):
            return folder
        mirrored = f"{folder}: it lacks one of {', '.join(files)} | "
    try:
        from huggingface_hub import snapshot_download

        patterns, cache = [*files, *optional], place.caches.hub
        return Path(snapshot_download(name, revision=revision or None, cache_dir=cache, allow_patterns=patterns))
    except Exception as error:
        why = f"{mirrored}Hugging Face hub: {' '.join(str(error).split())[:300]}"
        hint = "Fetch it with a network, or name a folder with its files, or a mirror: BENCH_MIRROR or HF_ENDPOINT."
        raise WeightsError(f"the repository {repository} could not be had. {why} Offline? {hint}") from error


def labels_of_folders(
    names: Collection[str], space: str | None, place: Path, folder: Path
) -> tuple[str, tuple[str, ...]]:
    """Return the label space of the class folders at `place` (a name or a mapping file in `folder`), and its classes.
    Raises LabelError if those of the required `space` are others."""
    for name in (space,) if space else ("imagenet1k", "geirhos16"):
        classes = label_space(name).classes
        odd = sorted(set(classes) ^ set(names))
        if not odd:
            return name, classes
        if space:
            differing = some_of(odd, 5)
            raise LabelError(f"the classes are not those of label space '{space}': {differing}. Leave --labels out.")
    listed = tuple(sorted(names))
    return str(write_mapping(space_name(place, "own"), listed, folder / "labels")[0]), listed
