"""What each metric is: a weighted mean over cells of a share of images, each cell counting alike whatever its number of
images. Scores and their resamples are made of the shares (`of`); called with trials, the same mean is a ratio of sums
over them, which paired tests resample."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from benchmark.contracts import Array, Trials
from benchmark.stats.intervals import Floats
from suites.corruption.cells import CellTable, Shares, SweepCell, What
from suites.corruption.config import SIZE_224

PERCENT = 100.0
#: [c + 1] of a table: how much each cell counts; 0: not at all.
Weights = Callable[[CellTable], Floats]


@dataclass(frozen=True)
class CellMean:
    """The mean over the cells that count of weight x share; errors: of its complement; of_clean: as a part of the share
    of clean images."""

    weights: Weights
    what: What = "right"
    errors: bool = False
    of_clean: bool = False

    def of(self, shares: Shares, weights: Floats) -> Floats:
        """[b] values of b versions of the shares; NaN where undefined: no cell, no image, nothing clean is right."""
        at = np.flatnonzero(weights)
        if not len(at):
            return np.full(len(shares["right"]), np.nan)
        share = shares[self.what][:, at]
        mean: Floats = ((1 - share if self.errors else share) * weights[at]).mean(axis=1)
        if not self.of_clean:
            return mean
        clean = shares[self.what][:, 0]
        return np.asarray(np.divide(mean, clean, out=np.full(len(mean), np.nan), where=clean > 0))

    def __call__(self, trials: Trials) -> tuple[Array, Array]:
        """Numerators and denominators [n]. A trial is weighed so that cells count alike: exactly 1 where all have as
        many images."""
        table = CellTable(trials)
        weights, n, where = self.weights(table), table.counts[self.what].sum(axis=0), (table.row, table.column)
        chosen = (weights != 0) & (n > 0)
        most = n[chosen].max(initial=0)
        levelled = np.where(chosen, most / np.maximum(n, 1), 0.0)
        counted, hits = table.counts[self.what][where], table.hits[self.what][where]
        num = (counted & ~hits if self.errors else hits) * (weights * levelled)[table.column]
        if not self.of_clean:
            return num, counted * levelled[table.column]
        # Right answers of clean images are what is divided by.
        return num * n[0] / max(1, most * chosen.sum()), hits & (table.column == 0) & chosen.any()


def _impaired(table: CellTable) -> Floats:
    return table.weights(table.impaired)


def _clean(table: CellTable) -> Floats:
    return np.asarray(np.eye(1, len(table.cells) + 1)[0])


def of_family(family: str) -> CellMean:
    """Accuracy over the impaired cells of a family."""
    return CellMean(lambda table: table.weights(cell for cell in table.impaired if cell.family == family))


# Mean corruption error: errors relative to a reference network's, corruption by corruption (Hendrycks and Dietterich
# 2019). A ratio of sums over severities, then a mean over corruptions; never a mean of ratios.


@cache
def alexnet() -> tuple[float, Mapping[str, float]]:
    """The published errors of AlexNet: clean, and by condition ("fog/3") on the 15 common corruptions."""
    import yaml

    text = files("suites.corruption").joinpath("alexnet.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    rows = data["errors"].items()
    errors = {f"{name}/{severity}": float(error) for name, row in rows for severity, error in enumerate(row, 1)}
    return float(data["clean"]), errors


def normalised(table: CellTable) -> list[SweepCell]:
    """The cells that have published errors: of ImageNet's classes alone."""
    return [cell for cell in table.impaired if table.thousand and cell.condition in alexnet()[1]]


def lacking(table: CellTable) -> tuple[str, ...]:
    """What an mCE asks for and was not shown: corruptions, then severities, then single cells; the published size."""
    shown = {cell.condition for cell in table.cells}
    names = [(name, *name.split("/")) for name in alexnet()[1]]
    there = {corruption for name, corruption, _ in names if name in shown}
    rest = [(name, severity) for name, corruption, severity in names if corruption in there]
    severities = dict.fromkeys(severity for _, severity in rest)
    gone = [s for s in severities if not any(name in shown for name, severity in rest if severity == s)]
    return (
        *dict.fromkeys(corruption for _, corruption, _ in names if corruption not in there),
        *(f"severity {severity}" for severity in gone),
        *(name for name, severity in rest if name not in shown and severity not in gone),
        *((SIZE_224,) if SIZE_224 in table.trials.missing else ()),
    )


def over_alexnet(table: CellTable, cells: Sequence[SweepCell], *, relative: bool = False) -> Floats:
    """[c + 1] weights by which the mean error of cells is their mean CE in percent; relative: of errors beyond the
    clean ones, whose weight is negative."""
    clean, errors = alexnet()
    weights = np.zeros(len(table.cells) + 1)
    corruptions = dict.fromkeys(cell.corruption for cell in cells)
    for corruption in corruptions:
        part = [cell for cell in cells if cell.corruption == corruption]
        each = PERCENT / len(corruptions) / sum(errors[cell.condition] - clean * relative for cell in part)
        weights[table.columns(part)] = each
        weights[0] -= len(part) * each * relative
    return weights * np.count_nonzero(weights)


def mean_ce(errors: Floats, reference: Floats, cells: Sequence[SweepCell]) -> Floats:
    """[b] mean over corruptions of the sum of errors in percent of the reference's; [b or 1, c] errors of `cells`. NaN
    where the reference's sum is not above 0."""
    ratios = []
    for corruption in dict.fromkeys(cell.corruption for cell in cells):
        at = [i for i, cell in enumerate(cells) if cell.corruption == corruption]
        above, below = np.broadcast_arrays(errors[:, at].sum(axis=1), reference[:, at].sum(axis=1))
        ratios.append(PERCENT * np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))
    return np.asarray(np.mean(ratios, axis=0))


RIGHT, TOP5, RIGHT16 = CellMean(_impaired), CellMean(_impaired, "top5"), CellMean(_impaired, "right16")
CLEAN, CLEAN_TOP5, CLEAN16 = CellMean(_clean), CellMean(_clean, "top5"), CellMean(_clean, "right16")
ERROR = CellMean(lambda table: PERCENT * _impaired(table), errors=True)
OF_CLEAN = CellMean(_impaired, of_clean=True)
#: Over cells with a milder neighbour that shares images.
SAME_ANSWER = CellMean(lambda table: table.counts["same"].any(axis=0).astype(float), "same")
MCE = CellMean(lambda table: over_alexnet(table, [] if lacking(table) else normalised(table)), errors=True)
RELATIVE_MCE = CellMean(
    lambda table: over_alexnet(table, normalised(table) if table.clean and not lacking(table) else [], relative=True),
    errors=True,
)
