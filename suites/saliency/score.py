"""From stored trials to scores: the metrics, the reference maps beside them, and the conflict images by answer."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from benchmark.contracts import Array, Metric, Score, Trials
from benchmark.stats import ratio_score
from suites.saliency.added import ADDED, added_metrics
from suites.saliency.config import CLICKED, CONFLICT, MASKED, REFERENCES, Config
from suites.saliency.metrics import EXCHANGED, HEADLINE, METRICS, board_roles, mean_excess, mean_of, stored

_ADDED = added_metrics(ADDED)
_BY_NAME = {metric.name: metric for metric in METRICS}
#: What is also given by answer, and beside another board; and of these, what a map that is no network's has.
_HELD = (HEADLINE, "object_auc_excess", "object_auc")
NO_ANSWER = "a map gives no answer that an exchange could change"
NO_MASKS = "the stimuli have no object masks"
NO_EVIDENCE = "no exchange changes its answers: it does not look at the images"


def reference(name: str) -> str:
    """The condition of a reference map's scores."""
    return f"reference: {name}"


def score(_config: Config, trials: Trials) -> Sequence[Score]:
    """Scores of one observer, on each of its sets that has a board, and beside them on the others."""
    return list(_scores(trials))


def reference_metric(metric: Metric, name: str) -> Metric:
    """The same metric of a map that knows no network."""
    whole = metric.name == "object_auc_excess"
    ratio = mean_excess(name) if whole else mean_of(f"{name}_auc", masked=True)
    return replace(metric, ratio=ratio)


def _scores(trials: Trials) -> Iterator[Score]:
    boards = board_roles(trials)
    for role in boards:
        yield from _on_board(trials.of(role), role)
    if not boards:
        why = trials.missing.get(MASKED, "no trials")
        yield from (Score(metric.name, None, why) for metric in METRICS if not metric.role)
    for metric in METRICS:
        if metric.role:
            # A metric that has its own set: where that is not here, the reason stands for it if the user can change it.
            part = _part(trials, metric.role)
            if len(part):
                yield _measured(metric, part, metric.role)
            elif metric.role in trials.missing:
                yield Score(metric.name, None, trials.missing[metric.role], role=metric.role)
    conflict = _part(trials, CONFLICT)
    if len(conflict):
        yield from _answered(conflict)
    if len(conflict) and CONFLICT not in boards:
        for name in _HELD:
            yield _measured(_BY_NAME[name], conflict, CONFLICT, "conflict images")
        yield from _beside(conflict, CONFLICT, "conflict images, ")


def _on_board(trials: Trials, role: str) -> Iterator[Score]:
    """The main metrics and those of other packages on one set, and what reference maps get on it."""
    main = [metric for metric in METRICS if not metric.role]
    for metric in (*main, *_ADDED):
        if metric.ratio is None:
            yield Score(metric.name, None, metric.definition, n=len(trials), role=role)
        else:
            yield _measured(metric, trials, role)
    yield from _beside(trials, role, "")


def _part(trials: Trials, role: str) -> Trials:
    return trials.of(role) if len(trials) else trials


def _beside(trials: Trials, role: str, where: str) -> Iterator[Score]:
    """What the reference maps get on the same images."""
    for map_name in REFERENCES:
        condition = where + reference(map_name)
        yield Score(HEADLINE, None, NO_ANSWER, condition=condition, role=role)
        for name in _HELD[1:]:
            metric = reference_metric(_BY_NAME[name], map_name)
            yield _measured(metric, trials, role, condition)


def _answered(trials: Trials) -> Iterator[Score]:
    """Where the gradient lies when the answer was the shape, the texture or something else."""
    shape, texture, response = trials["shape"], trials["texture"], trials["response"]
    conflict = shape != texture
    answers: dict[str, Array] = {
        "shape": conflict & (response == shape),
        "texture": conflict & (response == texture),
        "other": conflict & (response != shape) & (response != texture),
    }
    for name in (*_HELD, "target_contrast"):
        for answer, keep in answers.items():
            part = trials.where(np.asarray(keep, dtype=bool))
            yield _measured(_BY_NAME[name], part, CONFLICT, f"answered {answer}")


def _measured(metric: Metric, trials: Trials, role: str, condition: str = "") -> Score:
    found = ratio_score(metric, trials, condition=condition)
    if found.value is None and role != CLICKED and len(trials):
        if not bool((stored(trials, "area") > 0).any()):
            found = replace(found, reason=NO_MASKS)
        elif metric.name in EXCHANGED:
            found = replace(found, reason=NO_EVIDENCE)
    return replace(found, role=role)
