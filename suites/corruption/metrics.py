"""How the metrics that `metrics.yaml` declares are computed from cells (see also docs/suites/corruption.md)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from benchmark.contracts import Array, Metric, Trials
from benchmark.contracts.declarations import declared_metrics, package_data
from benchmark.stats.intervals import Floats
from benchmark.stimuli.roles import ROLE
from suites.corruption.calibration import calibration_metrics
from suites.corruption.cells import FAMILIES, CellTable, Shares, SweepCell, What, by_corruption
from suites.corruption.config import SIZE_224

PERCENT = 100.0
#: [c + 1] of a table: how much each cell counts; 0: not at all.
Weights = Callable[[CellTable], Floats]


@dataclass(frozen=True, kw_only=True)
class CellMean:
    """The mean over the cells that count of weight x share."""

    weights: Weights
    what: What = "right"
    errors: bool = False  # of its complement
    of_clean: bool = False  # as a part of the share of clean images

    def of(self, shares: Shares, weights: Floats) -> Floats:
        """Return [b] values of b versions of the shares; NaN: no cell, no image, or nothing clean is right."""
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
        """Return the numerators and denominators [n]."""
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
    """Return the accuracy over the impaired cells of a family."""
    return CellMean(weights=lambda table: table.weights(cell for cell in table.impaired if cell.family == family))


# Mean corruption error: errors relative to a reference network's, corruption by corruption (Hendrycks and Dietterich
# 2019). A ratio of sums over severities, then a mean over corruptions; never a mean of ratios.


@cache
def alexnet() -> tuple[float, Mapping[str, float]]:
    """Return the published errors of AlexNet: clean, and by condition ("fog/3") on the 15 common corruptions."""
    data = package_data("suites.corruption", "alexnet")
    rows = data["errors"].items()
    errors = {f"{name}/{severity}": float(error) for name, row in rows for severity, error in enumerate(row, 1)}
    return float(data["clean"]), errors


def normalised(table: CellTable) -> list[SweepCell]:
    """Return the cells with published errors: only those of ImageNet's classes."""
    return [cell for cell in table.impaired if table.thousand and cell.condition in alexnet()[1]]


def lacking(table: CellTable) -> tuple[str, ...]:
    """Return the missing parts of an mCE: corruptions, then severities, then single cells; the published size."""
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
    """Return [c + 1] weights that make a mean error of cells their mean CE in percent; relative: beyond clean."""
    clean, errors = alexnet()
    weights = np.zeros(len(table.cells) + 1)
    parts = by_corruption(cells)
    for part in parts.values():
        each = PERCENT / len(parts) / sum(errors[cell.condition] - clean * relative for cell in part)
        weights[table.columns(part)] = each
        weights[0] -= len(part) * each * relative
    return weights * np.count_nonzero(weights)


def mean_ce(errors: Floats, reference: Floats, cells: Sequence[SweepCell]) -> Floats:
    """Return [b] mean CE in percent from errors of cells and a reference's, [b or 1, c]; NaN: a reference of 0."""
    ratios = []
    for part in by_corruption(cells).values():
        at = [i for i, cell in enumerate(cells) if cell in part]
        above, below = np.broadcast_arrays(errors[:, at].sum(axis=1), reference[:, at].sum(axis=1))
        ratios.append(PERCENT * np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))
    return np.asarray(np.mean(ratios, axis=0))


def _without_gaps(table: CellTable) -> list[SweepCell]:
    return [] if lacking(table) else normalised(table)


RATIOS: dict[str, CellMean] = {
    "corruption_accuracy": CellMean(weights=_impaired),
    "clean_accuracy": CellMean(weights=_clean),
    "relative_robustness": CellMean(weights=_impaired, of_clean=True),
    "mce": CellMean(weights=lambda table: over_alexnet(table, _without_gaps(table)), errors=True),
    "relative_mce": CellMean(
        weights=lambda table: over_alexnet(table, _without_gaps(table) if table.clean else [], relative=True),
        errors=True,
    ),
    "mean_error": CellMean(weights=lambda table: PERCENT * _impaired(table), errors=True),
    **{f"{family}_accuracy": of_family(family) for family in FAMILIES},
    # Over cells with a milder neighbour that shares images.
    "flip_consistency": CellMean(weights=lambda table: table.counts["same"].any(axis=0).astype(float), what="same"),
    "top5_accuracy": CellMean(weights=_impaired, what="top5"),
    "clean_top5_accuracy": CellMean(weights=_clean, what="top5"),
    "accuracy16": CellMean(weights=_impaired, what="right16"),
    "clean_accuracy16": CellMean(weights=_clean, what="right16"),
}


def metrics(role: str = ROLE) -> tuple[Metric, ...]:
    """Return the metrics on a role ("": on the collection of all parts of a folder set)."""
    declared = package_data("suites.corruption", "metrics")
    own = (*declared_metrics(declared["metrics"], RATIOS, span=(0.0, 1.0)), *calibration_metrics(ROLE))
    return tuple(replace(metric, role=role) for metric in own)
