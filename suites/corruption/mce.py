"""Mean corruption error: errors relative to a reference network's, corruption by corruption (Hendrycks and Dietterich
2019). A ratio of sums over severities, then a mean over corruptions; never a mean of ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from suites.corruption.cells.cell import Cell

Floats = NDArray[np.float64]
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
