"""The metrics of the suite as data, each with its definition (see also docs/suites/corruption.md)."""

from dataclasses import replace
from functools import partial
from math import inf

from benchmark.contracts import Metric, SuiteFigure
from benchmark.stimuli.roles import ROLE
from benchmark.transforms.listing import own_list
from suites.corruption.calibration import SELECTIVE, calibration_metrics
from suites.corruption.cells import FAMILIES
from suites.corruption.definitions import (
    CLEAN,
    CLEAN16,
    CLEAN_TOP5,
    ERROR,
    MCE,
    OF_CLEAN,
    RELATIVE_MCE,
    RIGHT,
    RIGHT16,
    SAME_ANSWER,
    TOP5,
    of_family,
)

_MEAN = "mean over corrupted cells (corruption x level)"
_OF_FAMILY = "mean over the cells of the family"
_OF_16 = "right among Geirhos' 16 categories, images of their 207 ImageNet classes"
_MEASURED = "AlexNet's errors measured on the same images under the same suite"
_error = partial(Metric, direction="lower", span=(0.0, inf))
ALL = (
    Metric("corruption_accuracy", "corrupted", f"top-1 accuracy, {_MEAN}", headline=True, ratio=RIGHT),
    Metric("clean_accuracy", "clean", "top-1 accuracy on the images as they are", ratio=CLEAN, clean=True),
    Metric("relative_robustness", "of clean", "corruption_accuracy / clean_accuracy", span=(0.0, inf), ratio=OF_CLEAN),
    _error(
        "mce",
        "mCE",
        "mean over the 15 common corruptions of 100 x sum of errors / sum of AlexNet's published errors over the five "
        "severities; only for all 75 cells at 224 px",
        ratio=MCE,
    ),
    _error(
        "mce_partial",
        "mCE*",
        "as mCE over the corruptions and severities that were shown; flags name the others. Not comparable with mCE",
    ),
    _error(
        "relative_mce",
        "relative mCE",
        "as mCE with both networks' errors beyond their clean ones",
        span=(-inf, inf),
        ratio=RELATIVE_MCE,
    ),
    _error("mce_measured", "mCE (AlexNet measured)", f"mCE against {_MEASURED}", shown=False),
    _error(
        "relative_mce_measured",
        "relative mCE (AlexNet measured)",
        f"relative mCE against {_MEASURED}",
        span=(-inf, inf),
        shown=False,
    ),
    _error(
        "mean_error",
        "mean error, %",
        f"100 x top-1 error, {_MEAN}; some papers call it mCE, unnormalised",
        span=(0.0, 100.0),
        shown=False,
        ratio=ERROR,
    ),
    *(
        Metric(f"{family}_accuracy", family, f"top-1 accuracy, {_OF_FAMILY} '{family}'", ratio=of_family(family))
        for family in FAMILIES
    ),
    Metric(
        "flip_consistency",
        "same answer",
        "images answered alike (rightly or not) at neighbouring levels, mean over neighbours; 1 - flip rate",
        ratio=SAME_ANSWER,
    ),
    Metric(
        "unseen_accuracy",
        "unseen",
        "top-1 accuracy, mean over the cells that the observer's recipe did not train on; two recipes have other "
        "cells, so it is not compared in pairs (`bench rank --unseen-only` takes the same cells for all)",
    ),
    Metric("top5_accuracy", "top-5", f"label among the five best, {_MEAN}", shown=False, ratio=TOP5),
    Metric(
        "clean_top5_accuracy",
        "clean top-5",
        "label among the five best, on the images as they are",
        shown=False,
        ratio=CLEAN_TOP5,
    ),
    Metric("accuracy16", "16-way", f"{_OF_16}; mean over corrupted cells", chance=1 / 16, shown=False, ratio=RIGHT16),
    Metric("clean_accuracy16", "clean 16-way", f"{_OF_16}, as they are", chance=1 / 16, shown=False, ratio=CLEAN16),
    *calibration_metrics(ROLE),
)


def metrics(role: str = ROLE) -> tuple[Metric, ...]:
    """The metrics on a role ("": on the collection of all parts of a folder set)."""
    return tuple(replace(metric, role=role, span=metric.span or (0.0, 1.0)) for metric in ALL)


_ORDER = tuple(own_list("imagenet-c"))
#: A severity of a corruption: no level, in its own unit, of an experiment with people.
_SEVERITY = f"(?!(?:{'|'.join(name for name in own_list('human') if name not in _ORDER)})/).+/[1-5]"
FIGURES = (
    SuiteFigure(
        "matrix",
        "corruption-by-severity",
        "Accuracy by corruption and severity",
        "Top-1 accuracy in each cell; empty: not shown to the network.",
        metrics=("corruption_accuracy",),
        conditions=f"(?={_SEVERITY}$)(?P<corruption>.+)/(?P<severity>.)",
        along="corruption",
        across="severity",
        order=_ORDER,
        axes=("severity", "accuracy"),
    ),
    SuiteFigure(
        "matrix",
        "corruption-other-levels",
        "Accuracy under other degradations",
        "Top-1 accuracy under degradations of the experiments with people, at levels in their own units.",
        metrics=("corruption_accuracy",),
        conditions=f"(?!{_SEVERITY}$)(?P<condition>.+/.+)",
        axes=("", "accuracy"),
    ),
    SuiteFigure(
        "dots",
        "corruption-families",
        "Accuracy by family of corruptions",
        metrics=tuple(f"{family}_accuracy" for family in FAMILIES),
    ),
    SuiteFigure(
        "dots",
        "corruption-errors",
        "Mean corruption error",
        "mCE: errors in percent of AlexNet's, mean over corruptions; lower is better.",
        metrics=("mce", "mce_partial", "mce_measured", "relative_mce", "mean_error"),
    ),
    SELECTIVE,
)
