"""From stored trials to scores: every cell, then the measures, with intervals over images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Score, Trials
from benchmark.contracts.trials import alike
from benchmark.stats import wilson
from benchmark.stats.intervals import percentiles
from benchmark.stats.sequences import confidence_sequence
from benchmark.stimuli.roles import ROLE
from suites.corruption.cells import RESAMPLES, Cell, means, resampled
from suites.corruption.config import Config, Folders
from suites.corruption.definitions import Sweep
from suites.corruption.measures import Measure, measures, normalised
from suites.corruption.metrics import ALL

Floats = NDArray[np.float64]
LEVEL = 0.95
METHOD = f"bootstrap ({RESAMPLES} resamples, by image)"


def score(config: Config | Folders, trials: Trials) -> Sequence[Score]:
    """Scores of one observer. Cells and corruptions are conditions of `corruption_accuracy`; a corruption that was
    planned and could not be shown is one without a value.
    """
    role = role_of(config)
    if not len(trials):
        return [Score(metric.name, None, "no trials", role=role) for metric in ALL]
    sweep = Sweep(trials, role)
    return [*_undefined(sweep), *_cells(sweep), *_measured(sweep)]


def role_of(config: Config | Folders) -> str:
    """The role of all scores: of one set, or "" for a set in many folders."""
    return ROLE if isinstance(config, Config) else ""


def settled(config: Config, trials: Trials) -> bool:
    """Whether a condition's accuracy is known well enough: its confidence sequence for all images of the condition."""
    if config.half_width is None or not len(trials):
        return False
    right = int(alike(trials.coded("response"), trials.coded("category")).sum())
    low, high = confidence_sequence(right, len(trials), LEVEL, size=int(trials["of"].max()))
    return (high - low) / 2 <= config.half_width


def _undefined(sweep: Sweep) -> Iterator[Score]:
    """What has no value, with the reason."""
    for name, reason in sweep.absent.items():
        yield Score("corruption_accuracy", None, reason, condition=name, role=sweep.role)
    if not sweep.table.clean:
        for name in ("clean_accuracy", "clean_top5_accuracy", "relative_robustness"):
            yield Score(name, None, sweep.no_clean, role=sweep.role)
    if normalised(sweep):
        gone = sweep.lacking
        reason = f"all 15 corruptions x 5 severities at 224 px are needed; missing: {', '.join(gone)}"
        if gone:
            yield Score("mce", None, reason, role=sweep.role)
        if gone or not sweep.table.clean:
            yield Score("relative_mce", None, reason if gone else sweep.no_clean, role=sweep.role)


def _cells(sweep: Sweep) -> Iterator[Score]:
    """Accuracy and top-5 of each cell and of the clean images."""
    for cell, at in zip(sweep.cells, sweep.columns(sweep.cells), strict=True):
        yield _share(sweep, "corruption_accuracy", at, cell)
        yield _share(sweep, "top5_accuracy", at, cell)
    if sweep.table.clean:
        yield _share(sweep, "clean_accuracy", 0)
        yield _share(sweep, "clean_top5_accuracy", 0)


def _share(sweep: Sweep, metric: str, at: int, cell: Cell | None = None) -> Score:
    """A share of one cell's images: Wilson; where the cell was stopped early, what held at every look."""
    table = sweep.table
    hits = int((table.top5 if "top5" in metric else table.right)[:, at].sum())
    n, of = int(table.n[at]), int(table.of[at])
    low, high = wilson(hits, n, LEVEL)
    one = Score(metric, hits / n, "", low, high, LEVEL, "wilson", n, role=sweep.role)
    flags = sweep.of_cell(cell) if cell else sweep.flags
    if n < of:
        low, high = confidence_sequence(hits, n, LEVEL, size=of)
        flags = (*flags, f"stopped early ({n} of {of})")
        one = replace(one, low=low, high=high, method=f"confidence sequence for all {of} images")
    return replace(one, condition=cell.condition if cell else "", flags=flags)


def _measured(sweep: Sweep) -> Iterator[Score]:
    """All measures, from one set of resamples."""
    table = sweep.table
    exact, drawn = means(table), resampled(table) if len(table.images) > 1 else None
    for measure, of in measures(sweep):
        yield scored(sweep, measure, float(of(exact)[0]), None if drawn is None else of(drawn))


def scored(sweep: Sweep, measure: Measure, value: float, draws: Floats | None) -> Score:
    """A measure's score: value, and the percentile interval of its resamples that have a value."""
    flags = (*sweep.of_mean(measure.cells), *measure.flags)
    one = Score(
        measure.metric,
        value,
        level=LEVEL,
        n=int(measure.counts.sum()),
        condition=measure.condition,
        role=sweep.role,
        flags=flags,
    )
    if np.isnan(value):
        return replace(one, value=None, reason=_why(measure))
    images = int(measure.counts.any(axis=1).sum())
    if measure.proportion and value in (0.0, 1.0):  # resampling sees no spread
        low, high = wilson(images if value else 0, images, LEVEL)
        return replace(one, low=low, high=high, method="wilson (by image)")
    if draws is None or images < 2 or np.isnan(draws).all():
        return replace(one, flags=(*flags, "one image: no interval"))
    low, high = percentiles(draws, LEVEL)
    return replace(one, low=min(low, value), high=max(high, value), method=METHOD)


def _why(measure: Measure) -> str:
    if measure.metric == "relative_robustness":
        return "clean accuracy is 0"
    if measure.metric == "unseen_accuracy":
        return "every cell was seen in training"
    return "no image counts" if measure.cells else "no trials"
