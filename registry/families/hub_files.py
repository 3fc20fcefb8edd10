"""The files of a model's repository: from a mirror, or from the Hugging Face hub's cache and download."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from registry.caches import Place
from registry.documents import shown
from registry.download import download
from registry.errors import CardError, WeightsError
from registry.fetch import is_url
from registry.places import expanded
from registry.whole_files import part_of

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w.-]+)?")


def repository_folder(
    repository: str, hub: Place, files: Sequence[str], optional: Sequence[str]
) -> Path:
    """A folder with the `files` of ORG/NAME (or ORG/NAME@REVISION) and those of the `optional` ones that it has.

    hub: its mirror is asked for ORG/NAME/FILE first. Optional names may be patterns (*.safetensors) for the hub; a
    mirror at a URL is asked for plain names alone. Raises CardError for another form of name, WeightsError where the
    repository can be had nowhere.
    """
    if not _REPOSITORY.fullmatch(repository) or ".." in repository:
        raise CardError(
            f"'{shown(repository)[:200]}' is neither a folder on this disk nor a repository of the hub: expected "
            "ORG/NAME or ORG/NAME@REVISION."
        )
    name, _, revision = repository.partition("@")
    failures = []
    if hub.mirror and not is_url(hub.mirror):
        folder = expanded(hub.mirror.removeprefix("file://")) / name
        if all((folder / file).is_file() for file in files):
            return folder
        failures.append(f"{folder}: it lacks one of {', '.join(files)}")
    elif hub.mirror:
        found = _from_url(f"{hub.mirror.rstrip('/')}/{name}", hub, name, files, optional)
        if isinstance(found, Path):
            return found
        failures.append(found)
    try:
        return _from_hub(name, revision, hub, [*files, *optional])
    except Exception as error:  # noqa: BLE001 - a download may fail in any way of its library's
        failures.append(f"Hugging Face hub: {' '.join(str(error).split())[:300]}")
    raise WeightsError(
        f"the repository {repository} could not be had. {' | '.join(failures)} Offline? Fetch it once with a network, "
        "put its files into a folder and name that, or name a mirror (BENCH_MIRROR: a folder or URL with "
        "ORG/NAME/FILE; HF_ENDPOINT: a mirror of the hub)."
    )


def _from_hub(name: str, revision: str, hub: Place, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download

    folder = snapshot_download(
        name, revision=revision or None, cache_dir=hub.caches.hub, allow_patterns=list(patterns)
    )
    return Path(folder)


def _from_url(
    address: str, hub: Place, name: str, files: Sequence[str], optional: Sequence[str]
) -> Path | str:
    """The folder with what an address gave, or what failed."""
    folder = hub.weights_folder / name.replace("/", "--")
    folder.mkdir(parents=True, exist_ok=True)
    for file in [*files, *(one for one in optional if "*" not in one)]:
        if (folder / file).is_file():
            continue
        try:
            with part_of(folder / file) as part:
                download(f"{address}/{file}", part)
                part.replace(folder / file)
        except (OSError, ValueError) as error:
            if file in files:
                return f"{address}/{file}: {type(error).__name__}: {error}"
    return folder
