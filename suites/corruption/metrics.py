"""The metrics of the suite as data, each with its definition (see also docs/suites/corruption.md)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.resources import files
from math import inf

import numpy as np

from benchmark.contracts import Array, Metric, SuiteFigure, Trials
from benchmark.stats.intervals import Floats
from benchmark.stimuli.roles import ROLE
from benchmark.transforms.listing import own_list
from suites.corruption.calibration import SELECTIVE, calibration_metrics
from suites.corruption.cells import FAMILIES, CellTable, Shares, SweepCell, What
from suites.corruption.config import SIZE_224

PERCENT = 100.0
#: [c + 1] of a table: how much each cell counts; 0: not at all.
Weights = Callable[[CellTable], Floats]


@dataclass(frozen=True, kw_only=True)
class CellMean:
    """The mean over the cells that count of weight x share; errors: of its complement; of_clean: as a part of the share
    of clean images."""

    weights: Weights
    what: What = "right"
    errors: bool = False
    of_clean: bool = False

    def of(self, shares: Shares, weights: Floats) -> Floats:
        """Return [b] values of b versions of the shares; NaN where undefined: no cell, no image, nothing clean is
        right."""
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
        """Return the numerators and denominators [n]. A trial is weighed so that cells count alike: exactly 1 where all
        have as many images."""
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
    import yaml

    text = files("suites.corruption").joinpath("alexnet.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
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
    """Return [c + 1] weights by which the mean error of cells is their mean CE in percent; relative: of errors beyond
    the clean ones, whose weight is negative."""
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
    """Return [b] mean over corruptions of the sum of errors in percent of the reference's; [b or 1, c] errors of
    `cells`. NaN where the reference's sum is not above 0."""
    ratios = []
    for corruption in dict.fromkeys(cell.corruption for cell in cells):
        at = [i for i, cell in enumerate(cells) if cell.corruption == corruption]
        above, below = np.broadcast_arrays(errors[:, at].sum(axis=1), reference[:, at].sum(axis=1))
        ratios.append(PERCENT * np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))
    return np.asarray(np.mean(ratios, axis=0))


RIGHT, TOP5, RIGHT16 = (
    CellMean(weights=_impaired),
    CellMean(weights=_impaired, what="top5"),
    CellMean(weights=_impaired, what="right16"),
)
CLEAN, CLEAN_TOP5, CLEAN16 = (
    CellMean(weights=_clean),
    CellMean(weights=_clean, what="top5"),
    CellMean(weights=_clean, what="right16"),
)
ERROR = CellMean(weights=lambda table: PERCENT * _impaired(table), errors=True)
OF_CLEAN = CellMean(weights=_impaired, of_clean=True)
#: Over cells with a milder neighbour that shares images.
SAME_ANSWER = CellMean(weights=lambda table: table.counts["same"].any(axis=0).astype(float), what="same")
MCE = CellMean(weights=lambda table: over_alexnet(table, [] if lacking(table) else normalised(table)), errors=True)
RELATIVE_MCE = CellMean(
    weights=lambda table: over_alexnet(
        table, normalised(table) if table.clean and not lacking(table) else [], relative=True
    ),
    errors=True,
)


_MEAN = "mean over corrupted cells (corruption x level)"
_OF_FAMILY = "mean over the cells of the family"
_OF_16 = "right among Geirhos' 16 categories, images of their 207 ImageNet classes"
_MEASURED = "AlexNet's errors measured on the same images under the same suite"
_error = partial(Metric, direction="lower", span=(0.0, inf))
ALL = (
    Metric(
        name="corruption_accuracy", title="corrupted", definition=f"top-1 accuracy, {_MEAN}", headline=True, ratio=RIGHT
    ),
    Metric(
        name="clean_accuracy",
        title="clean",
        definition="top-1 accuracy on the images as they are",
        ratio=CLEAN,
        clean=True,
    ),
    Metric(
        name="relative_robustness",
        title="of clean",
        definition="corruption_accuracy / clean_accuracy",
        span=(0.0, inf),
        ratio=OF_CLEAN,
    ),
    _error(
        name="mce",
        title="mCE",
        definition="mean over the 15 common corruptions of 100 x sum of errors / sum of AlexNet's published errors "
        "over the five severities; only for all 75 cells at 224 px",
        ratio=MCE,
    ),
    _error(
        name="mce_partial",
        title="mCE*",
        definition="as mCE over the corruptions and severities that were shown; flags name the others. Not comparable "
        "with mCE",
    ),
    _error(
        name="relative_mce",
        title="relative mCE",
        definition="as mCE with both networks' errors beyond their clean ones",
        span=(-inf, inf),
        ratio=RELATIVE_MCE,
    ),
    _error(name="mce_measured", title="mCE (AlexNet measured)", definition=f"mCE against {_MEASURED}", shown=False),
    _error(
        name="relative_mce_measured",
        title="relative mCE (AlexNet measured)",
        definition=f"relative mCE against {_MEASURED}",
        span=(-inf, inf),
        shown=False,
    ),
    _error(
        name="mean_error",
        title="mean error, %",
        definition=f"100 x top-1 error, {_MEAN}; some papers call it mCE, unnormalised",
        span=(0.0, 100.0),
        shown=False,
        ratio=ERROR,
    ),
    *(
        Metric(
            name=f"{family}_accuracy",
            title=family,
            definition=f"top-1 accuracy, {_OF_FAMILY} '{family}'",
            ratio=of_family(family),
        )
        for family in FAMILIES
    ),
    Metric(
        name="flip_consistency",
        title="same answer",
        definition="images answered alike (rightly or not) at neighbouring levels, mean over neighbours; 1 - flip rate",
        ratio=SAME_ANSWER,
    ),
    Metric(
        name="unseen_accuracy",
        title="unseen",
        definition="top-1 accuracy, mean over the cells that the observer's recipe did not train on; two recipes have "
        "other cells, so it is not compared in pairs (`bench rank --unseen-only` takes the same cells for all)",
    ),
    Metric(
        name="top5_accuracy", title="top-5", definition=f"label among the five best, {_MEAN}", shown=False, ratio=TOP5
    ),
    Metric(
        name="clean_top5_accuracy",
        title="clean top-5",
        definition="label among the five best, on the images as they are",
        shown=False,
        ratio=CLEAN_TOP5,
    ),
    Metric(
        name="accuracy16",
        title="16-way",
        definition=f"{_OF_16}; mean over corrupted cells",
        chance=1 / 16,
        shown=False,
        ratio=RIGHT16,
    ),
    Metric(
        name="clean_accuracy16",
        title="clean 16-way",
        definition=f"{_OF_16}, as they are",
        chance=1 / 16,
        shown=False,
        ratio=CLEAN16,
    ),
    *calibration_metrics(ROLE),
)


def metrics(role: str = ROLE) -> tuple[Metric, ...]:
    """Return the metrics on a role ("": on the collection of all parts of a folder set)."""
    return tuple(replace(metric, role=role, span=metric.span or (0.0, 1.0)) for metric in ALL)


_ORDER = tuple(own_list("imagenet-c"))
#: A severity of a corruption: no level, in its own unit, of an experiment with people.
_SEVERITY = f"(?!(?:{'|'.join(name for name in own_list('human') if name not in _ORDER)})/).+/[1-5]"
FIGURES = (
    SuiteFigure(
        kind="matrix",
        name="corruption-by-severity",
        title="Accuracy by corruption and severity",
        caption="Top-1 accuracy in each cell; empty: not shown to the network.",
        metrics=("corruption_accuracy",),
        conditions=f"(?={_SEVERITY}$)(?P<corruption>.+)/(?P<severity>.)",
        along="corruption",
        across="severity",
        order=_ORDER,
        axes=("severity", "accuracy"),
    ),
    SuiteFigure(
        kind="matrix",
        name="corruption-other-levels",
        title="Accuracy under other degradations",
        caption="Top-1 accuracy under degradations of the experiments with people, at levels in their own units.",
        metrics=("corruption_accuracy",),
        conditions=f"(?!{_SEVERITY}$)(?P<condition>.+/.+)",
        axes=("", "accuracy"),
    ),
    SuiteFigure(
        kind="dots",
        name="corruption-families",
        title="Accuracy by family of corruptions",
        metrics=tuple(f"{family}_accuracy" for family in FAMILIES),
    ),
    SuiteFigure(
        kind="dots",
        name="corruption-errors",
        title="Mean corruption error",
        caption="mCE: errors in percent of AlexNet's, mean over corruptions; lower is better.",
        metrics=("mce", "mce_partial", "mce_measured", "relative_mce", "mean_error"),
    ),
    SELECTIVE,
)
