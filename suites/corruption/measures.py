"""What is made of a sweep: which cells each number is of, and which answers count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from suites.corruption.cells import FAMILIES, Cell, Flags
from suites.corruption.definitions import (
    CLEAN16,
    ERROR,
    MCE,
    OF_CLEAN,
    RELATIVE_MCE,
    RIGHT,
    RIGHT16,
    SAME_ANSWER,
    TOP5,
    CellMean,
    Of,
    Sweep,
    alexnet,
    shown,
)


@dataclass(frozen=True)
class Measure:
    """One number of a sweep. cells: what it is made of; counts: [images, k] bool, the answers that count;
    proportion: whether it is a share of them (then 0 and 1 have a Wilson interval); flags: beyond those of its cells.
    """

    metric: str
    cells: Sequence[Cell]
    counts: Flags
    condition: str = ""
    proportion: bool = False
    flags: tuple[str, ...] = ()


def measures(sweep: Sweep) -> Iterator[tuple[Measure, Of]]:
    """All measures that the trials allow, each with how it follows from the shares."""
    table, cells = sweep.table, sweep.cells
    at = sweep.columns(cells)
    yield from _accuracies(sweep)
    if table.pairs:
        milder, stronger = (list(side) for side in zip(*table.pairs, strict=True))
        both = table.shown[:, milder] & table.shown[:, stronger]
        yield Measure("flip_consistency", cells, both, proportion=True), SAME_ANSWER.of
    yield _cell_mean(sweep, "top5_accuracy", cells, TOP5)
    yield _cell_mean(sweep, "mean_error", cells, ERROR)
    if table.clean:
        yield Measure("relative_robustness", cells, table.shown[:, at]), OF_CLEAN.of(at)
    if table.shown16[:, at].any():
        yield _cell_mean(sweep, "accuracy16", cells, RIGHT16)
    if table.shown16[:, 0].any():
        clean = Measure("clean_accuracy16", (), table.shown16[:, :1], proportion=True)
        yield clean, CLEAN16.of
    yield from _published(sweep)


def _accuracies(sweep: Sweep) -> Iterator[tuple[Measure, Of]]:
    """Mean accuracy of all cells, of each corruption, of each family, and of what training did not show."""
    cells = sweep.cells
    yield _cell_mean(sweep, "corruption_accuracy", cells)
    for corruption in dict.fromkeys(cell.corruption for cell in cells):
        mine = [cell for cell in cells if cell.corruption == corruption]
        yield _cell_mean(sweep, "corruption_accuracy", mine, condition=corruption)
    for family in FAMILIES:
        if mine := [cell for cell in cells if cell.family == family]:
            yield _cell_mean(sweep, f"{family}_accuracy", mine)
    unseen = [cell for cell in cells if cell.condition not in sweep.seen]
    left = len(cells) - len(unseen)
    flags = (f"without {left} seen cell{'s' * (left > 1)}",) if left else ()
    yield _cell_mean(sweep, "unseen_accuracy", unseen, flags=flags)


def _cell_mean(
    sweep: Sweep,
    metric: str,
    cells: Sequence[Cell],
    mean: CellMean = RIGHT,
    condition: str = "",
    flags: tuple[str, ...] = (),
) -> tuple[Measure, Of]:
    at = sweep.columns(cells)
    counts = shown(sweep.table, mean.what)[:, at]
    return Measure(metric, cells, counts, condition, not mean.error, flags), mean.of(at)


def _published(sweep: Sweep) -> Iterator[tuple[Measure, Of]]:
    """CE of each corruption and their mean: mCE where every cell is there, else mCE*; relative mCE."""
    cells = normalised(sweep)
    if not cells:
        return
    gone = sweep.lacking
    metric = "mce_partial" if gone else "mce"
    for corruption in dict.fromkeys(cell.corruption for cell in cells):
        mine = [cell for cell in cells if cell.corruption == corruption]
        yield error(sweep, metric, mine, corruption), MCE.of(sweep.columns(mine), mine)
    flags = without(what for what in gone if what not in sweep.absent)
    yield error(sweep, metric, cells, flags=flags), MCE.of(sweep.columns(cells), cells)
    if sweep.table.clean and not gone:
        relative = error(sweep, "relative_mce", cells)
        yield relative, RELATIVE_MCE.of(sweep.columns(cells), cells)


def error(
    sweep: Sweep, metric: str, cells: Sequence[Cell], condition: str = "", flags: tuple[str, ...] = ()
) -> Measure:
    """A measure that is made of the errors of some cells, and is no share."""
    counts = sweep.table.shown[:, sweep.columns(cells)]
    return Measure(metric, cells, counts, condition, flags=flags)


def without(names: Iterable[str]) -> tuple[str, ...]:
    """The flag that names what is not in a mean; none where nothing is missing."""
    listed = ", ".join(names)
    return (f"without {listed}",) if listed else ()


def normalised(sweep: Sweep) -> list[Cell]:
    """The cells that have published errors: of ImageNet's classes alone."""
    known = alexnet().errors if sweep.table.thousand else {}
    return [cell for cell in sweep.cells if cell.condition in known]
