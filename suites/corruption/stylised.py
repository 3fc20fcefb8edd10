"""Stylised images beside the photographs that they were made of: a row of the table of Geirhos et al. 2019."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmark.contracts import Array, Block, Metric, Plan, Score, Shelf, Trials
from benchmark.contracts.declarations import declared_suite
from benchmark.stats import ratio_score
from benchmark.stats.ratios import correct, share
from benchmark.stimuli.roles import ROLE, sets_of
from suites.corruption.calibration import calibration_metrics, set_calibration
from suites.corruption.cells import SEEN
from suites.corruption.config import CorruptionConfig
from suites.corruption.observe import observe
from suites.corruption.plan import presentation

STYLISED_ROLE = "stylized-imagenet"


def plan(_config: CorruptionConfig, shelf: Shelf) -> Plan:
    """Return the stylised set, which must be there, and the photographs, which may be missing with a reason."""
    sets, missing = sets_of(shelf, [ROLE])
    sets = {STYLISED_ROLE: shelf.find(STYLISED_ROLE), **sets}
    blocks = (Block(stimuli=stimuli, presentation=presentation(stimuli), role=role) for role, stimuli in sets.items())
    return Plan(tuple(blocks), missing)


def score(_config: CorruptionConfig, trials: Trials) -> Sequence[Score]:
    """Return top-1 and top-5 accuracy on each of the two sets."""
    return score_each_set(STYLISED.metrics, trials, (SEEN,) if seen_stylised(trials.training, trials).any() else ())


def score_each_set(metrics: Sequence[Metric], trials: Trials, flags: tuple[str, ...] = ()) -> Sequence[Score]:
    """Return each metric on its own set, and calibration there; flags: of sets other than the photographs."""
    present = trials.coded("role").used if len(trials) else []
    scores = []
    for metric in metrics:
        if metric.ratio is None and metric.role not in trials.missing:
            continue
        if metric.role in trials.missing:
            scores.append(Score(metric=metric.name, value=None, reason=trials.missing[metric.role], role=metric.role))
        elif metric.role in present or not present:
            scores.append(ratio_score(metric, trials, flags=flags if metric.role != ROLE else ()))
    return [*scores, *(set_calibration(trials, metrics[0].role, flags) if present else ())]


def seen_stylised(tags: Sequence[str], trials: Trials) -> Array:
    """Return [n] bool: stylised trials of an observer that was trained on stylised images."""
    if not len(trials) or not {tag.strip().lower() for tag in tags} & {"stylised", "stylized"}:
        return np.zeros(len(trials), dtype=bool)
    return np.asarray(trials["role"] == STYLISED_ROLE, dtype=bool)


_TOP1, _TOP5 = share(correct), share(lambda trials: np.asarray(trials["top5"] == 1, dtype=bool))
_DECLARED = declared_suite(
    "suites.corruption",
    "stylised",
    {"stylised_accuracy": _TOP1, "stylised_top5": _TOP5, "natural_accuracy": _TOP1, "natural_top5": _TOP5},
    plan=plan,
    observe=observe,
    score=score,
    config=CorruptionConfig(),
    seen=seen_stylised,
)
STYLISED = replace(_DECLARED, metrics=(*_DECLARED.metrics, *calibration_metrics(STYLISED_ROLE, "stylised images")))
