"""What the suite shows, and its scores. In a *conflict* trial shape and texture are of different categories. "na" (no
answer) follows neither cue and counts in every denominator except the shape bias's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from benchmark.contracts import Array, Block, Metric, Plan, Ratio, Score, Shelf, Trials
from benchmark.contracts.declarations import declared_suite
from benchmark.stats import ratio_score
from benchmark.stats.ratios import correct, shape_or_texture, share
from benchmark.stimuli.experiments import Experiment, observe, unanswerable
from benchmark.stimuli.image_names import GEIRHOS16, NO_ANSWER, any_answer, exemplars
from benchmark.stimuli.roles import sets_of

#: Shown beside the conflict set wherever they are on disk.
COMPANIONS = ("edges", "silhouettes")
#: The built-in world alone has these: cues that agree, and conflict sets with no texture on the ground / all over it.
WORLD_COMPANIONS = ("natural", "cue-conflict-alpha0", "cue-conflict-alpha1")


def plan(config: Experiment | None, shelf: Shelf) -> Plan:
    """Return the conflict set and its companions, which may be missing; or an added experiment's images."""
    if config is not None:
        return Plan((Block(stimuli=shelf.find(config.role), presentation="whole", role=config.role),))
    companions, missing = sets_of(shelf, (*COMPANIONS, *(WORLD_COMPANIONS if shelf.space == "world16" else ())))
    sets = {"cue-conflict": shelf.find("cue-conflict"), **companions}
    return Plan(
        tuple(Block(stimuli=stimuli, presentation="whole", role=role) for role, stimuli in sets.items()), missing
    )


def conflict(trials: Trials) -> Array:
    """Return [n] bool: trials whose cues disagree (1,200 of the published 1,280)."""
    return np.asarray(trials["shape"] != trials["texture"], dtype=bool)


def _graded(trials: Trials, categories: Sequence[str] = GEIRHOS16) -> tuple[Array, Array]:
    """Return the shape's part of the probability of the two cues on each conflict trial that gives them any."""
    if "probability" not in trials.columns:
        return np.zeros(len(trials)), np.zeros(len(trials))
    place = {name: at for at, name in enumerate(categories)}
    rows, probability = np.arange(len(trials)), np.nan_to_num(trials["probability"].astype(float))
    columns = ([place[name] for name in trials[cue].tolist()] for cue in ("shape", "texture"))
    shape, texture = (probability[rows, column] for column in columns)
    counts = conflict(trials) & (shape + texture > 0)
    return np.divide(shape, shape + texture, out=np.zeros(len(trials)), where=counts), counts


def fraction(cue: str) -> Ratio:
    """Return the share of answers that follow a cue, over all conflict trials."""
    return lambda trials: (conflict(trials) & (trials["response"] == trials[cue]), conflict(trials))


ROLE, GRADED = "cue-conflict", "graded_shape_bias"
RATIOS: Mapping[str, Ratio] = {
    "shape_bias": shape_or_texture,
    GRADED: _graded,
    "shape_fraction": fraction("shape"),
    "texture_fraction": fraction("texture"),
    "neither_fraction": lambda trials: (conflict(trials) & ~shape_or_texture(trials)[1], conflict(trials)),
    "agree_accuracy": lambda trials: (~conflict(trials) & correct(trials), ~conflict(trials)),
    **dict.fromkeys(("natural_accuracy", "edges_accuracy", "silhouettes_accuracy"), share(correct)),
    **dict.fromkeys(("shape_bias_alpha0", "shape_bias_alpha1"), shape_or_texture),
}


def cue_metrics(own: Experiment | None) -> tuple[Metric, ...]:
    """Return the metrics of the conflict images of an added experiment, or of the published sets."""
    if own is None:
        return DECLARED.metrics
    n, graded = len(own.answers), partial(_graded, categories=own.answers)
    chances = {1 / 16: 1 / n, 1 - 2 / 16: 1 - 2 / n, 0.5: 0.5}  # as declared, for 16 categories -> for these
    metrics = [replace(m, role=own.role, chance=chances[m.chance or 0.0]) for m in DECLARED.metrics if m.role == ROLE]
    return tuple(replace(m, ratio=graded) if m.name == GRADED else m for m in metrics)


ANSWERS_ALONE = "answers alone, without probabilities"
SILENT = f"no answer but '{NO_ANSWER}'"


def score(config: Experiment | None, trials: Trials) -> Sequence[Score]:
    """Return the scores of one observer. A planned but missing role gives a score without value."""
    scores = []
    for metric in cue_metrics(config):
        shown = trials.of(metric.role) if len(trials) else trials
        reason = trials.missing.get(metric.role, "")
        if not reason and len(shown):
            bare = metric.name == GRADED and "probability" not in shown.columns
            reason = SILENT if not any_answer(shown["response"]) else ANSWERS_ALONE if bare else ""
        if reason:
            blank = Score(metric=metric.name, value=None, reason=reason, excluded=len(shown), role=metric.role)
            scores.append(blank)
        elif len(shown):
            scores.append(ratio_score(metric, shown, flags=unanswerable(config, shown)))
            for name in filter(None, shown.coded("condition").used if config else ()):
                scores.append(ratio_score(metric, shown, condition=name))
            for category in np.unique(shown["shape"]).tolist() if metric.headline else ():
                scores.append(ratio_score(metric, shown.where(shown["shape"] == category), condition=category))
    return scores


DECLARED = declared_suite(
    "suites.cue_conflict", "metrics", RATIOS, clusters=exemplars, plan=plan, observe=observe, score=score
)
