"""What each metric is, once, in its two forms.

`of` makes it of the shares of right answers per cell, for scores and their resamples. Called with trials, a definition
is a ratio of sums over them, which paired tests resample. Averages are over cells, each cell counting alike whatever
its number of images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Trials
from benchmark.stimuli.roles import HELD_OUT, ROLE
from suites.corruption.cells import Cell, Flags, Means, Table, seen_conditions, tabulate
from suites.corruption.config import SIZE_224

# Mean corruption error: errors relative to a reference network's, corruption by corruption (Hendrycks and Dietterich
# 2019). A ratio of sums over severities, then a mean over corruptions; never a mean of ratios.


PERCENT = 100.0


@dataclass(frozen=True)
class Reference:
    """A reference network's errors: clean, and by condition ("fog/3")."""

    clean: float
    errors: Mapping[str, float]

    def row(self, cells: Sequence[Cell]) -> Floats:
        """[1, c] errors of some cells that it has."""
        return np.array([[self.errors[cell.condition] for cell in cells]])

    @property
    def corruptions(self) -> tuple[str, ...]:
        """Its corruptions, in order."""
        return tuple(dict.fromkeys(name.partition("/")[0] for name in self.errors))


@cache
def alexnet() -> Reference:
    """The published errors of AlexNet on the 15 common corruptions."""
    import yaml

    text = files("suites.corruption").joinpath("alexnet.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    errors = {
        f"{name}/{severity}": float(error)
        for name, row in data["errors"].items()
        for severity, error in enumerate(row, 1)
    }
    return Reference(float(data["clean"]), errors)


def lacking(cells: Sequence[Cell], reference: Reference) -> tuple[str, ...]:
    """What of the reference's cells was not shown: corruptions, then severities that miss of others."""
    shown = {cell.condition for cell in cells}
    gone = [c for c in reference.corruptions if not any(f"{c}/{s}" in shown for s in "12345")]
    rest = [name for name in reference.errors if name.partition("/")[0] not in gone]
    half = [name for name in rest if name not in shown]
    severities = [s for s in "12345" if rest and not any(f"/{s}" in name for name in shown)]
    single = [name for name in half if name.rpartition("/")[2] not in severities]
    return (*gone, *(f"severity {s}" for s in severities), *single)


def corruption_errors(mine: Floats, theirs: Floats, cells: Sequence[Cell]) -> dict[str, Floats]:
    """CE of each corruption, percent: corruption -> [b].

    mine, theirs: [b or 1, c] errors of `cells`, of the network and of the reference; for the relative CE less the
    clean error of each. NaN where the reference's sum is not above 0.
    """
    found: dict[str, Floats] = {}
    for corruption in dict.fromkeys(cell.corruption for cell in cells):
        at = [i for i, cell in enumerate(cells) if cell.corruption == corruption]
        above, below = np.broadcast_arrays(mine[:, at].sum(axis=1), theirs[:, at].sum(axis=1))
        ratio = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
        found[corruption] = PERCENT * ratio
    return found


def mean_of(errors: Mapping[str, Floats]) -> Floats:
    """The mean over corruptions: [b]."""
    mean: Floats = np.mean(list(errors.values()), axis=0)
    return mean


# One observer's trials with what scoring has to say of them: cells, flags, what is missing.


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


Floats = NDArray[np.float64]
Pair = tuple[Array, Array]  # numerators and denominators, one per trial
#: [b] values of b versions of the shares, NaN where undefined.
Of = Callable[[Means], Floats]
Select = Callable[[Table], Flags]  # [c]: which cells count
What = Literal["right", "top5", "right16"]


def impaired(table: Table) -> Flags:
    """Cells that change the image."""
    return np.array([not cell.plain for cell in table.cells], dtype=bool)


@dataclass(frozen=True)
class OfFamily:
    """Of the impaired cells, those of one family."""

    family: str

    def __call__(self, table: Table) -> Flags:
        """[c]"""
        mine = [cell.family == self.family for cell in table.cells]
        return np.logical_and(impaired(table), mine)


@dataclass(frozen=True)
class CellMean:
    """The mean over cells of a share per cell; `error`: its complement, in percent."""

    cells: Select = impaired
    what: What = "right"
    error: bool = False

    def of(self, at: Sequence[int]) -> Of:
        """at: the columns of the cells."""

        def of(means: Means) -> Floats:
            share = _mean(getattr(means, self.what)[:, at])
            return PERCENT * (1 - share) if self.error else share

        return of

    def __call__(self, trials: Trials) -> Pair:
        """Trials weighed so that cells count alike."""
        table = tabulate(trials)
        counts = shown(table, self.what)
        chosen = np.concatenate([[False], self.cells(table)])
        weights = _levelled(counts.sum(axis=0), chosen)
        hits = getattr(table, self.what)[table.row, table.column]
        den = weights[table.column] * counts[table.row, table.column]
        return np.where(hits, 0.0, PERCENT) * den if self.error else hits * den, den


@dataclass(frozen=True)
class CleanShare:
    """A share of the images as they are."""

    what: What = "right"

    def of(self, means: Means) -> Floats:
        """The first column."""
        share: Floats = getattr(means, self.what)[:, 0]
        return share

    def __call__(self, trials: Trials) -> Pair:
        """The trials of the clean condition."""
        table = tabulate(trials)
        den = (table.column == 0) & shown(table, self.what)[table.row, table.column]
        return getattr(table, self.what)[table.row, table.column] & den, den


@dataclass(frozen=True)
class OfClean:
    """The mean accuracy over impaired cells as a part of the clean accuracy."""

    def of(self, at: Sequence[int]) -> Of:
        """at: the columns of the impaired cells. Undefined where nothing clean is right."""

        def of(means: Means) -> Floats:
            mean, clean = _mean(means.right[:, at]), means.right[:, 0]
            share: Floats = np.divide(mean, clean, out=np.full(len(mean), np.nan), where=clean > 0)
            return share

        return of

    def __call__(self, trials: Trials) -> Pair:
        """Right answers of impaired cells over right answers of clean images."""
        table = tabulate(trials)
        chosen = np.concatenate([[False], impaired(table)])
        clean, right = table.column == 0, table.right[table.row, table.column]
        share = _per_cell(table.n, chosen) * table.n[0] / max(1, chosen.sum())
        return right * share[table.column], right & clean & chosen.any()


@dataclass(frozen=True)
class SameAnswer:
    """The mean over neighbouring levels of the share of images that both answer alike."""

    def of(self, means: Means) -> Floats:
        """The shares of the pairs of levels."""
        return _mean(means.same)

    def __call__(self, trials: Trials) -> Pair:
        """Each trial held against that of the same image one level milder."""
        table = tabulate(trials)
        before = np.zeros(len(table.cells) + 1, dtype=np.int64)
        for milder, stronger in table.pairs:
            before[stronger] = milder
        other = before[table.column]
        both = (other > 0) & table.shown[table.row, other]
        here = np.bincount(table.column[both], minlength=len(before))
        den = _levelled(here, here > 0)[table.column] * both
        same = table.answers[table.row, table.column] == table.answers[table.row, other]
        return same * den, den


@dataclass(frozen=True)
class MeanCe:
    """Mean corruption error against AlexNet's published errors; relative: both less their clean ones."""

    relative: bool = False

    def of(self, at: Sequence[int], cells: Sequence[Cell]) -> Of:
        """Over some of the reference's cells and their columns."""
        reference = alexnet()
        theirs = reference.row(cells)

        def of(means: Means) -> Floats:
            mine = 1 - means.right[:, at]
            if not self.relative:
                return mean_of(corruption_errors(mine, theirs, cells))
            beyond = mine - (1 - means.right[:, :1])
            return mean_of(corruption_errors(beyond, theirs - reference.clean, cells))

        return of

    def __call__(self, trials: Trials) -> Pair:
        """A sum of weighted errors; every trial of the reference's cells counts one. Of all 75 cells alone."""
        table = tabulate(trials)
        weights = np.zeros(len(table.cells) + 1)
        full = table.thousand and not lacks(trials, table.cells)
        if full and (table.clean or not self.relative):
            weights = self._weights(table)
        den = (weights != 0)[table.column]
        wrong = ~table.right[table.row, table.column]
        return wrong * weights[table.column] * max(1, den.sum()), den

    def _weights(self, table: Table) -> Floats:
        """[c + 1] of an error in each cell."""
        reference = alexnet()
        names, weights = reference.corruptions, np.zeros(len(table.cells) + 1)
        for name in names:
            at = [i for i, c in enumerate(table.cells, 1) if c.condition in reference.errors and c.corruption == name]
            sum_of = sum(reference.errors[table.cells[i - 1].condition] for i in at)
            sum_of -= len(at) * reference.clean if self.relative else 0.0
            weights[at] = PERCENT / (len(names) * sum_of * table.n[at])
            if self.relative:
                weights[0] -= len(at) * PERCENT / (len(names) * sum_of * table.n[0])
        return weights


RIGHT, TOP5, RIGHT16 = CellMean(), CellMean(what="top5"), CellMean(what="right16")
ERROR = CellMean(error=True)
CLEAN, CLEAN_TOP5, CLEAN16 = CleanShare(), CleanShare("top5"), CleanShare("right16")
OF_CLEAN, SAME_ANSWER = OfClean(), SameAnswer()
MCE, RELATIVE_MCE = MeanCe(), MeanCe(relative=True)


def shown(table: Table, what: What) -> Flags:
    """[images, c + 1] where there is something to be right or wrong."""
    return table.shown16 if what == "right16" else table.shown


def _mean(values: Floats) -> Floats:
    """[b] means of rows; NaN where there is nothing, or a cell has no image."""
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    mean: Floats = values.mean(axis=1)
    return mean


def _per_cell(n: Array, chosen: Flags) -> Floats:
    """[c + 1] one over the images of a chosen cell, 0 elsewhere."""
    return np.where(chosen & (n > 0), 1.0 / np.maximum(n, 1), 0.0)


def _levelled(n: Array, chosen: Flags) -> Floats:
    """[c + 1] weights by which chosen cells count alike; exactly 1 where all have as many images."""
    return _per_cell(n, chosen) * (n[chosen].max() if chosen.any() else 0)
