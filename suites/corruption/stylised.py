"""Stylised images beside the photographs that they were made of: a row of the table of Geirhos et al. 2019."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmark.contracts import Array, Block, Metric, Plan, Ratio, Score, Shelf, Suite, Trials
from benchmark.errors import MissingStimuli
from benchmark.stats import ratio_score
from benchmark.stimuli.roles import ROLE
from suites.corruption.config import Config
from suites.corruption.observe import observe
from suites.corruption.plan import presentation

STYLISED_ROLE = "stylized-imagenet"


def plan(_config: Config, shelf: Shelf) -> Plan:
    """The stylised set, which must be there, and the photographs, which may be missing with a reason."""
    blocks, missing = [_block(STYLISED_ROLE, shelf)], {}
    try:
        blocks.append(_block(ROLE, shelf))
    except MissingStimuli as error:
        missing[ROLE] = str(error)
    return Plan(tuple(blocks), missing)


def score(_config: Config, trials: Trials) -> Sequence[Score]:
    """Top-1 and top-5 accuracy on each of the two sets."""
    return list(_scores(trials))


def seen(tags: Sequence[str], trials: Trials) -> Array:
    """[n] bool: stylised trials of an observer that was trained on stylised images."""
    trained = any(tag.strip().lower() in ("stylised", "stylized") for tag in tags)
    return np.asarray(trials["role"] == STYLISED_ROLE, dtype=bool) & trained


def _block(role: str, shelf: Shelf) -> Block:
    stimuli = shelf.find(role)
    return Block(stimuli, presentation=presentation(stimuli), role=role)


def _scores(trials: Trials) -> Iterator[Score]:
    known = seen(trials.training, trials) if len(trials) else np.zeros(0, dtype=bool)
    present = set(np.unique(trials["role"]).tolist()) if len(trials) else set()
    for metric in METRICS:
        if metric.role in trials.missing:
            yield Score(metric.name, None, trials.missing[metric.role], role=metric.role)
        elif metric.role in present or not present:
            mine = metric.own(trials)
            stylised = metric.role == STYLISED_ROLE and bool(known.any())
            yield ratio_score(metric, mine, flags=("seen in training",) if stylised else ())


def _top1(trials: Trials) -> tuple[Array, Array]:
    return trials["response"] == trials["category"], np.ones(len(trials), dtype=bool)


def _top5(trials: Trials) -> tuple[Array, Array]:
    return np.asarray(trials["top5"] == 1, dtype=bool), np.ones(len(trials), dtype=bool)


def _metric(name: str, title: str, role: str, ratio: Ratio, what: str, *, headline: bool = False) -> Metric:
    return Metric(name, title, what, role=role, headline=headline, ratio=ratio)


METRICS = (
    _metric(
        "stylised_accuracy", "stylised top-1", STYLISED_ROLE, _top1, "right answers, stylised images", headline=True
    ),
    _metric("stylised_top5", "stylised top-5", STYLISED_ROLE, _top5, "label among the five best, stylised images"),
    _metric("natural_accuracy", "natural top-1", ROLE, _top1, "right answers, photographs"),
    _metric("natural_top5", "natural top-5", ROLE, _top5, "label among the five best, photographs"),
)

STYLISED = Suite(
    name="corruption:stylized-imagenet",
    version=1,
    summary="Top-1 and top-5 accuracy on stylised images and on photographs (Geirhos et al. 2019)",
    needs="decisions",
    metrics=METRICS,
    plan=plan,
    observe=observe,
    score=score,
    config=Config(),
    spaces=("imagenet1k", "geirhos16"),
    seen=seen,
)
