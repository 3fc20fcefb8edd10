"""Trials as an image x cell table: one image stands in every cell, so everything resamples images."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Trials
from suites.corruption.cells.cell import CLEAN, Cell, cells_of

Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]
_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Table:
    """Right answers of one observer, images by cells.

    images: [n] names, sorted; cells: [c], without the clean condition, which is column 0 of every array [n, c + 1];
    shown: whether there is a trial; right, top5: of the trials that there are; right16, shown16: the decision among 16
    categories, where the image has one; answers: [n, c + 1] text; row, column: [trials] where each trial stands;
    of: [c + 1] images that the condition has, where it may have stopped early (else as many as were shown);
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
    conditions = np.asarray(trials["condition"]).astype(str)
    images = np.asarray(trials["stimulus"]).astype(str)
    starts = _runs(conditions)
    labels = [str(conditions[start]) for start in starts[:-1]]
    cells = cells_of(labels)
    place = {CLEAN: 0, **{cell.condition: at for at, cell in enumerate(cells, 1)}}
    column = np.repeat([place[label] for label in labels], np.diff(starts)).astype(np.int64)
    names, row = _coded(images, starts)
    shape = (len(names), len(cells) + 1)

    def spread(values: Array, blank: object = False) -> Array:
        found = np.full(shape, blank, dtype=values.dtype)
        found[row, column] = values
        return found

    shown = spread(np.ones(len(trials), dtype=bool))
    right16 = spread(_optional(trials, "right16", -1), -1)
    of = np.zeros(shape[1], dtype=np.int64)
    np.maximum.at(of, column, _optional(trials, "of", 0))
    return Table(
        images=names,
        cells=cells,
        shown=shown,
        right=spread(np.asarray(trials["response"] == trials["category"], dtype=bool)),
        top5=spread(_optional(trials, "top5", 0) == 1),
        right16=right16 == 1,
        shown16=right16 >= 0,
        answers=spread(np.asarray(trials["response"]).astype(str), ""),
        row=row,
        column=column,
        of=np.maximum(of, shown.sum(axis=0)),
        thousand=bool(len(trials))
        and all(map(_WNID.fullmatch, np.asarray(trials["category"][:99]).tolist())),
    )


def _optional(trials: Trials, name: str, blank: int) -> Whole:
    """A column of whole numbers, `blank` where it is missing."""
    if name not in trials.columns:
        return np.full(len(trials), blank, dtype=np.int64)
    filled: Whole = np.nan_to_num(trials[name].astype(float), nan=blank).astype(np.int64)
    return filled


def _runs(values: Array) -> Whole:
    """Where runs of equal values begin, and the end: trials lie block by block, and texts are slow to sort."""
    if not len(values):
        return np.zeros(1, dtype=np.int64)
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    return np.concatenate([[0], changes, [len(values)]]).astype(np.int64)


def _coded(images: Array, starts: Whole) -> tuple[Array, Whole]:
    """Sorted unique names, and the position of each among them. Blocks that repeat the first one need no look-up."""
    first = images[: starts[1]] if len(starts) > 1 else images
    codes: dict[str, int] = {}
    parts: list[Whole] = []
    known = np.array(
        [codes.setdefault(name, len(codes)) for name in first.tolist()], dtype=np.int64
    )
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        block = images[start:end]
        if len(block) == len(first) and np.array_equal(block, first):
            parts.append(known)
        else:
            found = (codes.setdefault(name, len(codes)) for name in block.tolist())
            parts.append(np.fromiter(found, dtype=np.int64, count=len(block)))
    names = np.array(list(codes), dtype=str)
    order = np.argsort(names, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return names[order], rank[np.concatenate(parts)] if parts else np.empty(0, dtype=np.int64)
