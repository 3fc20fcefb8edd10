"""Mean corruption error against a reference that was measured on the same images, beside the published one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from benchmark.contracts import Score, Trials
from suites.corruption.cells import Cell, Means, Table, means, resampled, tabulate
from suites.corruption.config import Config, Folders
from suites.corruption.definitions import Floats, Sweep, corruption_errors, mean_of
from suites.corruption.measures import error, normalised, without
from suites.corruption.score import role_of, scored

PLAIN, RELATIVE = "mce_measured", "relative_mce_measured"


def compare(config: Config | Folders, trials: Trials, references: Mapping[str, Trials]) -> Sequence[Score]:
    """mCE against the first reference, both resampled on the same images; nothing where there is none."""
    if not len(trials) or not references:
        return []
    name, theirs = next(iter(references.items()))
    return list(_compared(Sweep(trials, role_of(config)), tabulate(theirs), name))


def _compared(sweep: Sweep, theirs: Table, name: str) -> Iterator[Score]:
    cells = normalised(sweep)
    if not cells:
        return
    if reason := _unlike(sweep.table, theirs, cells):
        yield from (Score(metric, None, f"{name}: {reason}", role=sweep.role) for metric in (PLAIN, RELATIVE))
        return
    flags = (f"against {name}", *without(sweep.lacking))
    both = [(means(sweep.table), means(theirs)), (resampled(sweep.table), resampled(theirs))]
    for metric, relative in ((PLAIN, False), (RELATIVE, True)):
        if relative and not (sweep.table.clean and theirs.clean):
            yield Score(metric, None, sweep.no_clean, role=sweep.role)
            continue
        of = _ratio(sweep, theirs, cells, relative=relative)
        exact, drawn = (of(mine, other) for mine, other in both)
        yield scored(sweep, error(sweep, metric, cells, flags=flags), float(exact[0]), drawn)


def _ratio(sweep: Sweep, theirs: Table, cells: Sequence[Cell], *, relative: bool) -> Callable[[Means, Means], Floats]:
    at = sweep.columns(cells)
    place = {cell.condition: i for i, cell in enumerate(theirs.cells, 1)}
    other = [place[cell.condition] for cell in cells]

    def of(mine: Means, reference: Means) -> Floats:
        clean = [part.right[:, :1] if relative else 1.0 for part in (mine, reference)]
        errors = (clean[0] - mine.right[:, at], clean[1] - reference.right[:, other])
        return mean_of(corruption_errors(*errors, cells))

    return of


def _unlike(mine: Table, theirs: Table, cells: Sequence[Cell]) -> str:
    """Why two tables cannot be compared; "" where they can."""
    if not np.array_equal(mine.images, theirs.images):
        return "was measured on other images"
    known = {cell.condition for cell in theirs.cells}
    gone = [cell.condition for cell in cells if cell.condition not in known]
    return f"was not measured under {gone[0]}" if gone else ""
