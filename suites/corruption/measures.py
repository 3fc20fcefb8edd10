"""Everything that is a function of the shares per cell: means over cells, and corruption errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suites.corruption.cells.cell import FAMILIES, Cell
from suites.corruption.cells.shares import Means
from suites.corruption.cells.table import Flags
from suites.corruption.mce import Reference, alexnet, corruption_errors, mean_of
from suites.corruption.sweep import Sweep

Floats = NDArray[np.float64]


#: [b] values of b versions of the shares, NaN where undefined.
Of = Callable[[Means], Floats]


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
    table, cells, at = sweep.table, sweep.cells, sweep.columns(sweep.cells)
    shown, shown16 = table.shown[:, at], table.shown16
    yield from _accuracies(sweep)
    if table.pairs:
        milder, stronger = (list(side) for side in zip(*table.pairs, strict=True))
        both = table.shown[:, milder] & table.shown[:, stronger]
        yield Measure("flip_consistency", cells, both, proportion=True), lambda m: _mean(m.same)
    yield Measure("top5_accuracy", cells, shown, proportion=True), lambda m: _mean(m.top5[:, at])
    yield Measure("mean_error", cells, shown), lambda m: 100 * (1 - _mean(m.right[:, at]))
    if table.clean:
        yield Measure("relative_robustness", cells, shown), lambda m: _over_clean(m, at)
    if shown16[:, at].any():
        corrupted = Measure("accuracy16", cells, shown16[:, at], proportion=True)
        yield corrupted, lambda m: _mean(m.right16[:, at])
    if shown16[:, 0].any():
        yield (
            Measure("clean_accuracy16", (), shown16[:, :1], proportion=True),
            lambda m: m.right16[:, 0],
        )
    yield from _published(sweep)


def _accuracies(sweep: Sweep) -> Iterator[tuple[Measure, Of]]:
    """Mean accuracy of all cells, of each corruption, of each family, and of what training did not show."""
    cells = sweep.cells
    yield _accuracy(sweep, "corruption_accuracy", cells)
    for corruption in dict.fromkeys(cell.corruption for cell in cells):
        mine = [cell for cell in cells if cell.corruption == corruption]
        yield _accuracy(sweep, "corruption_accuracy", mine, corruption)
    for family in FAMILIES:
        if mine := [cell for cell in cells if cell.family == family]:
            yield _accuracy(sweep, f"{family}_accuracy", mine)
    unseen = [cell for cell in cells if cell.condition not in sweep.seen]
    left = len(cells) - len(unseen)
    flags = (f"without {left} seen cell{'s' * (left > 1)}",) if left else ()
    yield _accuracy(sweep, "unseen_accuracy", unseen, flags=flags)


def _accuracy(
    sweep: Sweep,
    metric: str,
    cells: Sequence[Cell],
    condition: str = "",
    flags: tuple[str, ...] = (),
) -> tuple[Measure, Of]:
    at = sweep.columns(cells)
    measure = Measure(metric, cells, sweep.table.shown[:, at], condition, True, flags)
    return measure, lambda m: _mean(m.right[:, at])


def _published(sweep: Sweep) -> Iterator[tuple[Measure, Of]]:
    """CE of each corruption and their mean: mCE where every cell is there, else mCE*; relative mCE."""
    reference, cells = alexnet(), normalised(sweep)
    if not cells:
        return
    gone = sweep.lacking
    metric = "mce_partial" if gone else "mce"
    for corruption in dict.fromkeys(cell.corruption for cell in cells):
        mine = [cell for cell in cells if cell.corruption == corruption]
        yield error(sweep, metric, mine, corruption), _mce(sweep, mine, reference)
    flags = without(what for what in gone if what not in sweep.absent)
    yield error(sweep, metric, cells, flags=flags), _mce(sweep, cells, reference)
    if sweep.table.clean and not gone:
        relative = error(sweep, "relative_mce", cells)
        yield relative, _mce(sweep, cells, reference, relative=True)


def error(
    sweep: Sweep,
    metric: str,
    cells: Sequence[Cell],
    condition: str = "",
    flags: tuple[str, ...] = (),
) -> Measure:
    """A measure that is made of the errors of some cells, and is no share."""
    shown = sweep.table.shown[:, sweep.columns(cells)]
    return Measure(metric, cells, shown, condition, flags=flags)


def without(names: Iterable[str]) -> tuple[str, ...]:
    """The flag that names what is not in a mean; none where nothing is missing."""
    listed = ", ".join(names)
    return (f"without {listed}",) if listed else ()


def normalised(sweep: Sweep) -> list[Cell]:
    """The cells that have published errors: of ImageNet's classes alone."""
    known = alexnet().errors if sweep.table.thousand else {}
    return [cell for cell in sweep.cells if cell.condition in known]


def _mce(
    sweep: Sweep, cells: Sequence[Cell], reference: Reference, *, relative: bool = False
) -> Of:
    at, theirs = sweep.columns(cells), reference.row(cells)

    def of(m: Means) -> Floats:
        mine = 1 - m.right[:, at]
        if not relative:
            return mean_of(corruption_errors(mine, theirs, cells))
        beyond = mine - (1 - m.right[:, :1])
        return mean_of(corruption_errors(beyond, theirs - reference.clean, cells))

    return of


def _mean(values: Floats) -> Floats:
    """[b] means of rows; NaN where there is nothing, or a cell has no image."""
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    mean: Floats = values.mean(axis=1)
    return mean


def _over_clean(m: Means, at: Sequence[int]) -> Floats:
    mean, clean = _mean(m.right[:, at]), m.right[:, 0]
    share: Floats = np.divide(mean, clean, out=np.full(len(mean), np.nan), where=clean > 0)
    return share
