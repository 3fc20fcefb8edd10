"""The shelf of one decision space: the set on this disk (or drawn) that plays a role."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from benchmark.contracts import Network, Stimuli
from benchmark.errors import MissingStimuli
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, read_catalogue
from benchmark.stimuli.cells import open_cells
from benchmark.stimuli.generated import PREFIX, SPACE, generated_names, generated_set
from benchmark.stimuli.peers import peers
from benchmark.stimuli.places import absent, folder_of
from benchmark.stimuli.sets import open_folder, sample
from benchmark.stimuli.textures import Textures, textures_of


class Resolver:
    """The stimulus sets of a decision space. Sets are opened once; `limit` cuts each to so many
    images; the sets called `wanted` play their roles before all others."""

    def __init__(
        self,
        space: str,
        settings: Settings,
        limit: int | None = None,
        wanted: Collection[str] = (),
    ) -> None:
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

        Raises MissingStimuli with the remedy, StimuliError where the set on disk cannot be used.
        """
        if role not in self._opened:
            self._opened[role] = self._drawn(role) or self._stored(role)
        return self._opened[role]

    def parts(self, role: str) -> Mapping[str, Stimuli]:
        """The cells of a role that lies in several folders: "gaussian_noise/3" -> that cell's set, in canonical order.

        With a limit every cell shows the same images. A cell is opened when it is asked for. Raises MissingStimuli
        with the remedy, StimuliError where the folders cannot be used.
        """
        if role not in self._parts:
            entry, folder = self._place(role, cells=True)
            self._parts[role] = open_cells(entry, folder, self._settings, self._limit)
        return self._parts[role]

    def textures(self, role: str) -> Textures:
        """The pictures that a transform mixes in ("frost"), HWC uint8 RGB; the same in every space.

        Raises MissingStimuli with the remedy, StimuliError where a file is not the published one.
        """
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

    def _drawn(self, role: str) -> Stimuli | None:
        if self._space != SPACE or PREFIX + role not in generated_names():
            return None
        whole = generated_set(PREFIX + role)
        return whole if self._limit is None else sample(whole, self._limit)

    def _stored(self, role: str) -> Stimuli:
        entry, folder = self._place(role, cells=False)
        return open_folder(entry, folder, self._settings, self._limit)

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
