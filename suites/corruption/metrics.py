"""The metrics of the suite as data, each with the ratio of sums that paired tests resample.

Averages are over cells, each cell counting alike whatever its number of images. Definitions: docs/suites/corruption.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Metric, Ratio, Trials
from benchmark.stimuli.natural import ROLE
from suites.corruption.cells.cell import FAMILIES
from suites.corruption.cells.table import Table, tabulate
from suites.corruption.mce import PERCENT, alexnet
from suites.corruption.sweep import lacks

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Select = Callable[[Table, Trials], Flags]  # [c]: which cells count


def impaired(table: Table, _: Trials) -> Flags:
    """Cells that change the image."""
    return np.array([not cell.plain for cell in table.cells], dtype=bool)


def of_family(family: str) -> Select:
    """Of these, cells of one family."""

    def select(table: Table, trials: Trials) -> Flags:
        mine = [cell.family == family for cell in table.cells]
        return np.logical_and(impaired(table, trials), mine)

    return select


def _mean(select: Select, what: str = "right", *, error: bool = False) -> Ratio:
    """The mean over cells of a share per cell; `error`: its complement, in percent."""

    def ratio(trials: Trials) -> tuple[Array, Array]:
        table = tabulate(trials)
        counts = table.shown16 if what == "right16" else table.shown
        weights = _levelled(counts.sum(axis=0), np.concatenate([[False], select(table, trials)]))
        hits = getattr(table, what)[table.row, table.column]
        den = weights[table.column] * counts[table.row, table.column]
        return np.where(hits, 0.0, PERCENT) * den if error else hits * den, den

    return ratio


def _clean(what: str = "right") -> Ratio:
    def ratio(trials: Trials) -> tuple[Array, Array]:
        table = tabulate(trials)
        counts = table.shown16 if what == "right16" else table.shown
        den = (table.column == 0) & counts[table.row, table.column]
        return getattr(table, what)[table.row, table.column] & den, den

    return ratio


def _relative_robustness(trials: Trials) -> tuple[Array, Array]:
    table = tabulate(trials)
    chosen = np.concatenate([[False], impaired(table, trials)])
    clean, right = table.column == 0, table.right[table.row, table.column]
    share = _per_cell(table.n, chosen) * table.n[0] / max(1, chosen.sum())
    return right * share[table.column], right & clean & chosen.any()


def _same_answer(trials: Trials) -> tuple[Array, Array]:
    table = tabulate(trials)
    before = np.zeros(len(table.cells) + 1, dtype=np.int64)
    for milder, stronger in table.pairs:
        before[stronger] = milder
    other = before[table.column]
    both = (other > 0) & table.shown[table.row, other]
    here = np.bincount(table.column[both], minlength=len(before))
    den = _levelled(here, here > 0)[table.column] * both
    same = table.answers[table.row, table.column] == table.answers[table.row, other]
    return same * den, den


def _mce(*, relative: bool) -> Ratio:
    """Mean CE as a sum of weighted errors; every trial of the reference's cells counts one."""

    def ratio(trials: Trials) -> tuple[Array, Array]:
        table, reference = tabulate(trials), alexnet()
        weights = np.zeros(len(table.cells) + 1)
        full = table.thousand and not lacks(trials, table.cells)
        if full and (table.clean or not relative):
            names = reference.corruptions
            for name in names:
                at = [
                    i
                    for i, c in enumerate(table.cells, 1)
                    if c.condition in reference.errors and c.corruption == name
                ]
                sum_of = sum(reference.errors[table.cells[i - 1].condition] for i in at)
                sum_of -= len(at) * reference.clean if relative else 0.0
                weights[at] = PERCENT / (len(names) * sum_of * table.n[at])
                if relative:
                    weights[0] -= len(at) * PERCENT / (len(names) * sum_of * table.n[0])
        den = (weights != 0)[table.column]
        wrong = ~table.right[table.row, table.column]
        return wrong * weights[table.column] * max(1, den.sum()), den

    return ratio


def _per_cell(n: Array, chosen: Flags) -> Floats:
    """[c + 1] one over the images of a chosen cell, 0 elsewhere."""
    return np.where(chosen & (n > 0), 1.0 / np.maximum(n, 1), 0.0)


def _levelled(n: Array, chosen: Flags) -> Floats:
    """[c + 1] weights by which chosen cells count alike; exactly 1 where all have as many images."""
    return _per_cell(n, chosen) * (n[chosen].max() if chosen.any() else 0)


_MEAN = "mean over corrupted cells (corruption x level)"
ALL = (
    Metric(
        "corruption_accuracy",
        "corrupted",
        f"top-1 accuracy, {_MEAN}",
        headline=True,
        ratio=_mean(impaired),
    ),
    Metric(
        "clean_accuracy",
        "clean",
        "top-1 accuracy on the images as they are",
        ratio=_clean(),
        clean=True,
    ),
    Metric(
        "relative_robustness",
        "of clean",
        "corruption_accuracy / clean_accuracy",
        ratio=_relative_robustness,
    ),
    Metric(
        "mce",
        "mCE",
        "mean over the 15 common corruptions of 100 x sum of errors / sum of AlexNet's published errors over the five "
        "severities; only for all 75 cells at 224 px",
        "lower",
        ratio=_mce(relative=False),
    ),
    Metric(
        "mce_partial",
        "mCE*",
        "as mCE over the corruptions and severities that were shown; flags name the others. Not comparable with mCE",
        "lower",
    ),
    Metric(
        "relative_mce",
        "relative mCE",
        "as mCE with both networks' errors beyond their clean ones",
        "lower",
        ratio=_mce(relative=True),
    ),
    Metric(
        "mce_measured",
        "mCE (AlexNet measured)",
        "mCE against AlexNet's errors measured on the same images under the same suite",
        "lower",
        shown=False,
    ),
    Metric(
        "relative_mce_measured",
        "relative mCE (AlexNet measured)",
        "relative mCE against AlexNet's errors measured on the same images under the same suite",
        "lower",
        shown=False,
    ),
    Metric(
        "mean_error",
        "mean error, %",
        f"100 x top-1 error, {_MEAN}; some papers call it mCE, unnormalised",
        "lower",
        shown=False,
        ratio=_mean(impaired, error=True),
    ),
    *(
        Metric(
            f"{family}_accuracy",
            family,
            f"top-1 accuracy, mean over the cells of the family '{family}'",
            ratio=_mean(of_family(family)),
        )
        for family in FAMILIES
    ),
    Metric(
        "flip_consistency",
        "same answer",
        "images answered alike (rightly or not) at neighbouring levels, mean over neighbours; 1 - flip rate",
        ratio=_same_answer,
    ),
    Metric(
        "unseen_accuracy",
        "unseen",
        "top-1 accuracy, mean over the cells that the observer's recipe did not train on; two recipes have other "
        "cells, so it is not compared in pairs (`bench rank --unseen-only` takes the same cells for all)",
    ),
    Metric(
        "top5_accuracy",
        "top-5",
        f"label among the five best, {_MEAN}",
        shown=False,
        ratio=_mean(impaired, "top5"),
    ),
    Metric(
        "clean_top5_accuracy",
        "clean top-5",
        "label among the five best, on the images as they are",
        shown=False,
        ratio=_clean("top5"),
    ),
    Metric(
        "accuracy16",
        "16-way",
        "right among Geirhos' 16 categories, images of their 207 ImageNet classes; mean over corrupted cells",
        chance=1 / 16,
        shown=False,
        ratio=_mean(impaired, "right16"),
    ),
    Metric(
        "clean_accuracy16",
        "clean 16-way",
        "right among Geirhos' 16 categories, images of their 207 ImageNet classes, as they are",
        chance=1 / 16,
        shown=False,
        ratio=_clean("right16"),
    ),
)


def metrics(role: str = ROLE) -> tuple[Metric, ...]:
    """The metrics on a role ("": on the collection of all parts of a folder set)."""
    return tuple(replace(metric, role=role) for metric in ALL)
