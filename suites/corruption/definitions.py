"""What each metric is, once, in its two forms.

`of` makes it of the shares of right answers per cell, for scores and their resamples. Called with trials, a definition
is a ratio of sums over them, which paired tests resample. Averages are over cells, each cell counting alike whatever
its number of images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Trials
from suites.corruption.cells.cell import Cell
from suites.corruption.cells.shares import Means
from suites.corruption.cells.table import Flags, Table, tabulate
from suites.corruption.mce import PERCENT, alexnet, corruption_errors, mean_of
from suites.corruption.sweep import lacks

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
            at = [
                i
                for i, c in enumerate(table.cells, 1)
                if c.condition in reference.errors and c.corruption == name
            ]
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
