"""One observer's trials with what scoring has to say of them: cells, flags, what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmark.contracts import Trials
from benchmark.stimuli.roles import HELD_OUT, ROLE
from suites.corruption.cells.cell import Cell
from suites.corruption.cells.table import Table, tabulate
from suites.corruption.cells.training import seen_conditions
from suites.corruption.config import SIZE_224
from suites.corruption.mce import alexnet, lacking

SEEN = "seen in training"
_OF_ALL = (HELD_OUT, ROLE, SIZE_224)  # what is missing of the whole sweep, not of a corruption


def lacks(trials: Trials, cells: Sequence[Cell]) -> tuple[str, ...]:
    """What an mCE asks for and these cells have not: corruptions, severities, the published size."""
    size = (SIZE_224,) if SIZE_224 in trials.missing else ()
    return (*lacking(cells, alexnet()), *size)


@dataclass(frozen=True)
class Sweep:
    """Trials and the role of the scores made of them."""

    trials: Trials
    role: str

    @cached_property
    def table(self) -> Table:
        """Images by cells."""
        return tabulate(self.trials)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The cells that impair the image."""
        return tuple(cell for cell in self.table.cells if not cell.plain)

    @cached_property
    def seen(self) -> set[str]:
        """Conditions that the observer's recipe trained on."""
        return seen_conditions(self.trials.training, [cell.condition for cell in self.cells])

    @cached_property
    def absent(self) -> dict[str, str]:
        """Corruptions that were planned and could not be shown, with the reason."""
        missing = self.trials.missing
        return {name: missing[name] for name in missing if name not in _OF_ALL}

    @cached_property
    def lacking(self) -> tuple[str, ...]:
        """What an mCE asks for and this sweep has not."""
        return lacks(self.trials, self.cells)

    @cached_property
    def flags(self) -> tuple[str, ...]:
        """What every score carries."""
        return ("training images",) if HELD_OUT in self.trials.missing else ()

    @property
    def no_clean(self) -> str:
        """Why there is no clean accuracy."""
        return self.trials.missing.get(ROLE, "the images as they are were not shown")

    def columns(self, cells: Sequence[Cell]) -> list[int]:
        """Columns of the table that the cells are."""
        place = {cell.condition: at for at, cell in enumerate(self.table.cells, 1)}
        return [place[cell.condition] for cell in cells]

    def of_cell(self, cell: Cell) -> tuple[str, ...]:
        """The flags of one cell."""
        return (*self.flags, *([SEEN] if cell.condition in self.seen else []))

    def of_mean(self, cells: Sequence[Cell]) -> tuple[str, ...]:
        """The flags of a mean over some cells."""
        known = sum(cell.condition in self.seen for cell in cells)
        at = self.columns(cells)
        early = int((self.table.n[at] < self.table.of[at]).sum())
        return (
            *self.flags,
            *(f"without {name}" for name in self.absent),
            *([f"includes {known} seen cell{'s' * (known > 1)}"] if known else []),
            *([f"{early} of {len(cells)} cells stopped early"] if early else []),
        )
