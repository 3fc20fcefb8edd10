"""The set that plays a role in a decision space, with the textures and networks that a suite asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Network, Shelf, Stimuli
from benchmark.errors import CardError, LabelError, MissingStimuli, StimuliError, WeightsError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, absent, folder_of, read_catalogue, remedy
from benchmark.stimuli.datasets import open_cells, open_folder, sample
from benchmark.stimuli.generated import PREFIX, SPACE, generated_names, generated_set
from benchmark.stimuli.image_files import decoded_rgb, read_plain, whole_image
from benchmark.stimuli.items import images_below
from registry.cards import read_cards
from registry.labels import label_space

if TYPE_CHECKING:
    from registry.model import LoadedModel


def peers(names: Sequence[str], space: str, settings: Settings) -> tuple[Network, ...]:
    """The networks of those names that answer in `space` and have their weights on this disk, each loaded once.

    They are loaded here, so that what depends on them can name their weights before anything is shown. Raises
    MissingStimuli where one cannot be loaded."""
    from registry.loading import availability, load_model  # torch: a ranked table does without

    cards = read_cards(settings.cards)
    networks = []
    for card in (cards[name] for name in names if name in cards and cards[name].source != "ideal"):
        answers = space in label_space(card.labels).answers
        if not answers or not availability(card, settings.place).on_disk:
            continue
        try:
            model = load_model(card, settings.place)
        except (WeightsError, CardError, LabelError) as error:
            raise MissingStimuli(f"the network '{card.name}' is shown the images, too: {error}") from error
        networks.append(Network(card.name, model.identity, partial(_on, model)))
    return tuple(networks)


def _on(model: LoadedModel, device: str) -> LoadedModel:
    model.module.to(device)
    return model


# Pictures that a transform mixes into the stimuli: the frost of ImageNet-C. Read whole, each checked against the digest
# of the published file, because the transform that uses them is another one where a picture is another.
Textures = tuple[NDArray[np.uint8], ...]


def textures_of(role: str, settings: Settings) -> Textures:
    """The textures that play `role` ("frost") on this disk, HWC uint8 RGB, in their published order.

    Raises MissingStimuli with the command that gets them, StimuliError where a file is not the published one."""
    entries = [entry for entry in read_catalogue(settings).values() if entry.kind == "textures" and entry.role == role]
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
    again = f"Delete it and get the textures with {remedy(entry)}."
    with whole_image(path, again):
        data = read_plain(path)
        digest, expected = hashlib.sha256(data).hexdigest(), entry.files.get(path.name)
        if expected is not None and digest != expected:
            raise StimuliError(f"{path}: not the published file: expected SHA-256 {expected}, got {digest}. {again}")
        return decoded_rgb(data)


class Resolver:
    """The stimulus sets of a decision space. Sets are opened once; `limit` cuts each to so many images; the sets called
    `wanted` play their roles before all others."""

    def __init__(self, space: str, settings: Settings, limit: int | None = None, wanted: Collection[str] = ()) -> None:
        self._space = space
        self._settings = settings
        self._limit = limit
        self._wanted = frozenset(wanted)
        self._opened: dict[str, Stimuli] = {}
        self._parts: dict[str, Mapping[str, Stimuli]] = {}
        self._textures: dict[str, Textures] = {}

    @property
    def space(self) -> str:
        """Decision space, e.g. "geirhos16"."""
        return self._space

    def find(self, role: str) -> Stimuli:
        """The set for a role. Wanted sets come first, then built-in ones, then added ones.

        Raises MissingStimuli with the remedy, StimuliError where the set on disk cannot be used."""
        if role not in self._opened:
            if self._space == SPACE and PREFIX + role in generated_names():
                whole = generated_set(PREFIX + role)
                opened = whole if self._limit is None else sample(whole, self._limit)
            else:
                opened = open_folder(*self._place(role, cells=False), self._settings, self._limit)
            self._opened[role] = opened
        return self._opened[role]

    def parts(self, role: str) -> Mapping[str, Stimuli]:
        """The cells of a role that lies in several folders: "gaussian_noise/3" -> that cell's set, in canonical order.

        With a limit every cell shows the same images. A cell is opened when it is asked for. Raises MissingStimuli with
        the remedy, StimuliError where the folders cannot be used."""
        if role not in self._parts:
            entry, folder = self._place(role, cells=True)
            self._parts[role] = open_cells(entry, folder, self._settings, self._limit)
        return self._parts[role]

    def textures(self, role: str) -> Textures:
        """The pictures that a transform mixes in ("frost"), HWC uint8 RGB; the same in every space.

        Raises MissingStimuli with the remedy, StimuliError where a file is not the published one."""
        if role not in self._textures:
            self._textures[role] = textures_of(role, self._settings)
        return self._textures[role]

    def networks(self, names: Sequence[str]) -> tuple[Network, ...]:
        """The networks of those names that answer in this space and have their weights on this disk."""
        return peers(names, self._space, self._settings)

    def roles(self) -> tuple[str, ...]:
        """The roles that some known set of this space plays, on disk or not."""
        drawn = [n.removeprefix(PREFIX) for n in generated_names()] if self._space == SPACE else []
        return tuple(dict.fromkeys([*drawn, *(entry.role for entry in self._entries())]))

    def _place(self, role: str, *, cells: bool) -> tuple[Entry, Path]:
        """The first set of a role that is on this disk, in cells or whole."""
        playing = [entry for entry in self._entries() if entry.role == role]
        candidates = [entry for entry in playing if (entry.layout == "cells") == cells]
        candidates.sort(key=lambda entry: entry.name not in self._wanted)
        for entry in candidates:
            folder = folder_of(entry, self._settings)
            if folder is not None:
                return entry, folder
        if candidates:
            raise absent(candidates[0])
        layout = " --layout cells" if cells else ""
        raise MissingStimuli(
            f"no stimulus set{' in cells' if cells else ''} plays the role '{role}' in the space '{self._space}'. "
            f"Add one with `bench data add NAME FOLDER --role {role} --space {self._space}{layout}`."
        )

    def _entries(self) -> Iterator[Entry]:
        for entry in read_catalogue(self._settings).values():
            if entry.kind in ("images", "names") and entry.space == self._space:
                yield entry


ROLE = "natural"
#: Key of `Plan.missing` where nothing but training images is there.
HELD_OUT = "natural (held out)"


def natural_images(shelf: Shelf, missing: dict[str, str]) -> Stimuli:
    """Held-out images; of ImageNet, where there are none on disk, training images, which `missing` is told.

    Raises MissingStimuli where there is neither."""
    try:
        return shelf.find(ROLE)
    except MissingStimuli as error:
        if shelf.space != "imagenet1k":
            raise
        missing[HELD_OUT] = f"training images shown instead: {error}"
        try:
            return shelf.find("natural-training")
        except MissingStimuli:
            raise error from None
