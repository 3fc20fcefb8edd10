"""From stored trials to scores: the metrics, the reference maps beside them, and the conflict images by answer."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from benchmark.contracts import Array, Metric, Score, Trials
from benchmark.stats import ratio_score
from benchmark.stimuli.names import read_pair
from suites.saliency.metrics import CONFLICT, METRICS, main_role, mean_excess, mean_of
from suites.saliency.protocol import Config
from suites.saliency.references import REFERENCES

_BY_NAME = {metric.name: metric for metric in METRICS}
_HELD = ("object_auc_excess", "object_auc")
NO_MASKS = "the stimuli have no object masks"


def score(_config: Config, trials: Trials) -> Sequence[Score]:
    """Scores of one observer, on its main stimuli and, where there are others, on the conflict images."""
    return list(_scores(trials))


def reference_metric(metric: Metric, name: str) -> Metric:
    """The same metric of a map that knows no network."""
    whole = metric.name == "object_auc_excess"
    ratio = mean_excess(name) if whole else mean_of(f"{name}_auc", masked=True)
    return replace(metric, ratio=ratio)


def _scores(trials: Trials) -> Iterator[Score]:
    main = main_role(trials)
    shown = trials.of(main) if main else trials
    for metric in METRICS:
        part = trials.of(metric.role) if metric.role and len(trials) else shown
        if len(part) or not len(trials):
            yield _measured(metric, part, metric.role or main)
    if main:
        yield from _beside(shown, main, "")
        conflict = trials.of(CONFLICT)
        if len(conflict):
            yield from _answered(conflict)
        if len(conflict) and main != CONFLICT:
            for name in _HELD:
                yield _measured(_BY_NAME[name], conflict, CONFLICT, "conflict images")
            yield from _beside(conflict, CONFLICT, "conflict images, ")


def _beside(trials: Trials, role: str, where: str) -> Iterator[Score]:
    """What the reference maps get on the same images."""
    for name in _HELD:
        for reference in REFERENCES:
            metric = reference_metric(_BY_NAME[name], reference)
            yield _measured(metric, trials, role, f"{where}reference: {reference}")


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


def by_silhouette(trials: Trials) -> Trials:
    """The trials with each published conflict image under its silhouette's name ("cat7-elephant1.png" -> "cat7").

    Images of one silhouette share the object and its place: they are drawn together where an interval is made.
    """
    pairs = [read_pair(str(name)) for name in trials["stimulus"]] if len(trials) else []
    if not pairs or None in pairs:
        return trials
    names = np.array([pair.exemplar for pair in pairs if pair is not None])
    return replace(trials, columns={**trials.columns, "stimulus": names})


def _measured(metric: Metric, trials: Trials, role: str, condition: str = "") -> Score:
    clustered = by_silhouette(trials)
    found = ratio_score(metric, clustered, condition=condition)
    if clustered is not trials:
        found = replace(found, method=found.method.replace("by stimulus", "by silhouette"))
    if found.value is None and len(trials) and _no_masks(trials):
        found = replace(found, reason=NO_MASKS)
    return replace(found, role=role)


def _no_masks(trials: Trials) -> bool:
    return not bool((trials["area"].astype(float) > 0).any())
