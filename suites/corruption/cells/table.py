"""Trials as an image x cell table: one image stands in every cell, so everything resamples images."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Coded, Trials
from benchmark.contracts.columns import alike
from suites.corruption.cells.cell import CLEAN, Cell, cells_of

Flags = NDArray[np.bool_]
Whole = NDArray[np.integer[Any]]
_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Table:
    """Right answers of one observer, images by cells.

    images: [n] names, sorted; cells: [c], without the clean condition, which is column 0 of every array [n, c + 1];
    shown: whether there is a trial; right, top5: of the trials that there are; right16, shown16: the decision among 16
    categories, where the image has one; answers: [n, c + 1] codes, equal where the answers are; row, column: [trials]
    where each trial stands; of: [c + 1] images that the condition has, where it may have stopped early (else as many as
    were shown);
    thousand: whether answers are ImageNet's 1,000 classes.
    """

    images: Array
    cells: tuple[Cell, ...]
    shown: Flags
    right: Flags
    top5: Flags
    right16: Flags
    shown16: Flags
    answers: Array
    row: Whole
    column: Whole
    of: Whole
    thousand: bool

    @cached_property
    def n(self) -> Whole:
        """[c + 1] images per cell."""
        return np.asarray(self.shown.sum(axis=0), dtype=np.int64)

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Columns of neighbouring levels of one corruption that share images: (milder, stronger)."""
        return tuple(
            (at, at + 1)
            for at, (cell, after) in enumerate(zip(self.cells, self.cells[1:], strict=False), 1)
            if cell.corruption == after.corruption
            and cell.ordered
            and (self.shown[:, at] & self.shown[:, at + 1]).any()
        )

    @property
    def clean(self) -> bool:
        """Whether the images as they are were shown."""
        return bool(self.shown[:, 0].any())


def tabulate(trials: Trials) -> Table:
    """The table of some trials, whatever their order. Where nothing clean was shown, the clean column is empty."""
    condition, response = trials.coded("condition"), trials.coded("response")
    cells = cells_of(condition.used)
    place = {CLEAN: 0, **{cell.condition: at for at, cell in enumerate(cells, 1)}}
    column = np.array([place.get(label, -1) for label in condition.words.tolist()], dtype=np.int32)
    column = column[condition.codes]
    names, row = _placed(trials.coded("stimulus"))
    shape = (len(names), len(cells) + 1)

    def spread(values: Array, blank: int = 0) -> Array:
        found = np.full(shape, blank, dtype=values.dtype)
        found[row, column] = values
        return found

    shown = spread(np.ones(len(trials), dtype=bool))
    right16 = spread(_optional(trials, "right16", -1).astype(np.int8), -1)
    of = np.zeros(shape[1], dtype=np.int64)
    np.maximum.at(of, column, _optional(trials, "of", 0))
    return Table(
        images=names,
        cells=cells,
        shown=shown,
        right=spread(alike(response, trials.coded("category"))),
        top5=spread(_optional(trials, "top5", 0) == 1),
        right16=right16 == 1,
        shown16=right16 >= 0,
        answers=spread(response.codes),
        row=row,
        column=column,
        of=np.maximum(of, shown.sum(axis=0)),
        thousand=_thousand(trials.coded("category")),
    )


def _thousand(category: Coded) -> bool:
    """Whether the categories are ImageNet's, from the first trials."""
    first = category.words[category.codes[:99]].tolist()
    return bool(first) and all(map(_WNID.fullmatch, first))


def _optional(trials: Trials, name: str, blank: int) -> Whole:
    """A column of whole numbers, `blank` where it is missing."""
    if name not in trials.columns:
        return np.full(len(trials), blank, dtype=np.int32)
    values = trials[name]
    return np.where(np.isnan(values), blank, values).astype(np.int32)


def _used(column: Coded) -> Whole:
    """The words that occur."""
    return np.flatnonzero(np.bincount(column.codes, minlength=len(column.words)))


def _placed(images: Coded) -> tuple[Array, Whole]:
    """Sorted names of the images that occur, and the position of each trial's among them."""
    used = _used(images)
    order = used[np.argsort(images.words[used], kind="stable")]
    rank = np.zeros(len(images.words), dtype=np.int32)
    rank[order] = np.arange(len(order))
    return images.words[order], rank[images.codes]
