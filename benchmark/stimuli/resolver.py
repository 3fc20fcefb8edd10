"""The set of a role in a label space, and the textures and networks for which a suite asks."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import OtherNetwork, Stimuli
from benchmark.failures import CardError, LabelError, MissingStimuli, StimuliError, WeightsError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, is_fetchable, missing_set, read_catalogue, remedy, stimuli_folder
from benchmark.stimuli.datasets import open_cells, open_folder, sample
from benchmark.stimuli.image_files import FileImages
from benchmark.stimuli.items import images_below
from benchmark.stimuli.world.sets import PREFIX, SPACE, WORLD_SETS, generated_set
from registry.cards import read_cards
from registry.labels import label_space

if TYPE_CHECKING:
    from registry.model import LoadedModel


Textures = tuple[NDArray[np.uint8], ...]


def read_textures(entry: Entry, folder: Path) -> Textures:
    """Decode the images that a transform mixes into stimuli (frost), HWC uint8 RGB. Raises StimuliError."""
    paths = [folder / name for name in entry.files] or list(images_below(folder))
    if not paths:
        raise StimuliError(f"{folder}: no images for the textures '{entry.name}'.")
    images = FileImages(files=paths, remedy=remedy(entry), digests=tuple(entry.files.values()) or None)
    return tuple(map(images, range(len(paths))))


def _moved(model: "LoadedModel", device: str) -> "LoadedModel":
    model.module.to(device)
    return model


class Resolver:
    """The shelf of a label space: installed or generated stimulus sets by role. Sets are opened once; `limit` reduces
    each to a sample; the sets in `wanted` come before all others, built-in ones before added ones."""

    def __init__(self, space: str, settings: Settings, limit: int | None = None, wanted: Collection[str] = ()) -> None:
        self.space = space
        self._settings = settings
        self._limit = limit
        self._wanted = frozenset(wanted)
        self._opened: dict[str, Stimuli] = {}
        self._parts: dict[str, Mapping[str, Stimuli]] = {}
        #: Sets that were asked for and are not installed, the first of each role that can be fetched.
        self.lacking: dict[str, Entry] = {}

    def find(self, role: str) -> Stimuli:
        """Open the set for a role. Raises MissingStimuli with the remedy, StimuliError if it is not usable."""
        if role not in self._opened:
            if self.space == SPACE and PREFIX + role in WORLD_SETS:
                whole = generated_set(PREFIX + role)
                self._opened[role] = whole if self._limit is None else sample(whole, self._limit)
            else:
                self._opened[role] = open_folder(*self._place(role), self._settings, self._limit)
        return self._opened[role]

    def parts(self, role: str) -> Mapping[str, Stimuli]:
        """Open the cells of a role, "gaussian_noise/3" -> its set, each on first use. Raises as `find`."""
        if role not in self._parts:
            self._parts[role] = open_cells(*self._place(role, "cells"), self._settings, self._limit)
        return self._parts[role]

    def textures(self, role: str) -> Textures:
        """Read the images that a transform mixes in ("frost"), HWC uint8 RGB, as published. Raises as `find`."""
        return read_textures(*self._place(role, "textures"))

    def networks(self, names: Sequence[str]) -> tuple[OtherNetwork, ...]:
        """Load the named networks that answer in this label space and have installed weights, once each and before the
        run, so that results name their weights. Raises MissingStimuli if one does not load."""
        from registry.download import missing_weights
        from registry.loading import load_network  # imports torch, which ranking does not need

        cards, place = read_cards(self._settings.cards), self._settings.place
        networks = []
        for card in (cards[name] for name in names if name in cards and cards[name].source != "ideal"):
            if self.space not in label_space(card.labels).answers or missing_weights(card, place):
                continue
            try:
                model = load_network(card, place)
            except (WeightsError, CardError, LabelError) as error:
                raise MissingStimuli(f"the network '{card.name}' is shown the images, too: {error}") from error
            networks.append(OtherNetwork(name=card.name, identity=model.identity, load=partial(_moved, model)))
        return tuple(networks)

    def _place(self, role: str, layout: str = "") -> tuple[Entry, Path]:
        """Find the first installed set of a role with a suitable layout and label space."""
        kinds, in_cells = ("textures",) if layout == "textures" else ("images", "names"), layout == "cells"
        named = (entry for entry in read_catalogue(self._settings).values() if entry.role == role)
        fitting = (entry for entry in named if entry.kind in kinds and entry.space in (self.space, "any"))
        entries = [entry for entry in fitting if (entry.layout == "cells") == in_cells]
        entries.sort(key=lambda entry: entry.name not in self._wanted)
        for entry in entries:
            folder = stimuli_folder(entry, self._settings)
            if folder is not None:
                return entry, folder
        if entries:
            best = next((entry for entry in entries if is_fetchable(entry)), entries[0])
            self.lacking[best.name] = best
            raise missing_set(entries[0])
        options = f" --space {self.space}" * (layout != "textures") + f" --layout {layout}" * bool(layout)
        raise MissingStimuli(
            f"no stimulus set{f' in {layout}' if layout else ''} has the role '{role}' in the label space "
            f"'{self.space}'. Add one with `bench data add NAME FOLDER --role {role}{options}`."
        )
