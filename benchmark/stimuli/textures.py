"""Pictures that a transform mixes into the stimuli: the frost of ImageNet-C. Read whole, each checked against the
digest of the published file, because the transform that uses them is another one where a picture is another.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import MissingStimuli, StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, read_catalogue
from benchmark.stimuli.items import images_below
from benchmark.stimuli.pixels import opened, rgb_of
from benchmark.stimuli.places import absent, folder_of, remedy
from benchmark.stimuli.plain_files import read_plain

Textures = tuple[NDArray[np.uint8], ...]


def textures_of(role: str, settings: Settings) -> Textures:
    """The textures that play `role` ("frost") on this disk, HWC uint8 RGB, in their published order.

    Raises MissingStimuli with the command that gets them, StimuliError where a file is not the published one.
    """
    entries = [
        entry
        for entry in read_catalogue(settings).values()
        if entry.kind == "textures" and entry.role == role
    ]
    for entry in entries:
        folder = folder_of(entry, settings)
        if folder is not None:
            return read_textures(entry, folder)
    if entries:
        raise absent(entries[0])
    raise MissingStimuli(
        f"no set of textures plays the role '{role}'. "
        f"Add one with `bench data add NAME FOLDER --role {role} --layout textures`."
    )


def read_textures(entry: Entry, folder: Path) -> Textures:
    """Every texture of a set, decoded. Raises StimuliError as `textures_of`."""
    return tuple(read_texture(entry, path) for path in texture_paths(entry, folder))


def texture_paths(entry: Entry, folder: Path) -> list[Path]:
    """Where an entry's files lie; a set that names none has all images of the folder. Raises StimuliError."""
    if entry.files:
        return [folder / name for name in entry.files]
    paths = list(images_below(folder))
    if not paths:
        raise StimuliError(f"{folder}: no images for the textures '{entry.name}'.")
    return paths


def read_texture(entry: Entry, path: Path) -> NDArray[np.uint8]:
    """One texture, HWC uint8 RGB. Raises StimuliError where it is missing, another file or no image."""

    def complaint(error: Exception) -> StimuliError:
        return StimuliError(
            f"{path}: not a complete image ({error}). Delete it and get the textures with {remedy(entry)}."
        )

    try:
        data = read_plain(path)
    except OSError as error:
        raise StimuliError(
            f"{path}: cannot be read ({error.strerror or error}). Get the textures with {remedy(entry)}."
        ) from error
    found, expected = hashlib.sha256(data).hexdigest(), entry.files.get(path.name)
    if expected is not None and found != expected:
        raise StimuliError(
            f"{path}: not the published file: expected SHA-256 {expected}, got {found}. "
            f"Delete it and get the textures with {remedy(entry)}."
        )
    with opened(io.BytesIO(data), complaint) as image:
        return rgb_of(image)
