"""The metrics of the suite as data. Each is a ratio of sums over trials, so that intervals, paired tests and rescoring
derive from one definition. Intervals are over shapes and textures, if images share them.

In a *conflict* trial the shape category differs from the texture category. "na" (no answer) is an answer that follows
neither cue; it counts in every denominator except the shape bias's."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmark.contracts import Array, Metric, Ratio, SuiteFigure, Trials
from benchmark.stats.ratios import correct, shape_or_texture, share
from benchmark.stimuli.generated import exemplars
from benchmark.stimuli.image_names import GEIRHOS16


def conflict(trials: Trials) -> Array:
    """Return [n] bool: trials whose cues disagree (1,200 of the published 1,280)."""
    return np.asarray(trials["shape"] != trials["texture"], dtype=bool)


def follows_shape(trials: Trials) -> Array:
    """Return [n] bool: conflict trials answered with the shape category."""
    return shape_or_texture(trials)[0]


def follows_texture(trials: Trials) -> Array:
    """Return [n] bool: conflict trials answered with the texture category."""
    return np.asarray(conflict(trials) & (trials["response"] == trials["texture"]), dtype=bool)


def _graded(trials: Trials) -> tuple[Array, Array]:
    """Return the shape's part of the probability of the two cues, on each conflict trial that gives them any; 0 and 0
    else.

    Trial by trial: a category's probability is a mean over 1 to 109 classes, so sums would be about few categories."""
    if "probability" not in trials.columns:
        return np.zeros(len(trials)), np.zeros(len(trials))
    place = {name: at for at, name in enumerate(GEIRHOS16)}
    rows, probability = np.arange(len(trials)), np.nan_to_num(trials["probability"].astype(float))
    columns = ([place[name] for name in trials[cue].tolist()] for cue in ("shape", "texture"))
    shape, texture = (probability[rows, column] for column in columns)
    counts = conflict(trials) & (shape + texture > 0)
    return np.divide(shape, shape + texture, out=np.zeros(len(trials)), where=counts), counts


def fraction(follows: Callable[[Trials], Array]) -> Ratio:
    """Return the share of answers that follow a cue, over all conflict trials."""
    return lambda trials: (follows(trials), conflict(trials))


def _metric(name: str, title: str, text: str, role: str = "cue-conflict", **more: Any) -> Metric:
    return Metric(name=name, title=title, definition=text, role=role, clusters=exemplars, bounds=(0.0, 1.0), **more)


GRADED = "graded_shape_bias"
BIAS = "S / (S + T) on {}: S answers with the shape category, T with the texture category"
RIGHT = "answers with the image's category, on {}"
BIASED: dict[str, Any] = {"ratio": shape_or_texture, "chance": 0.5}
ACCURATE: dict[str, Any] = {"ratio": share(correct), "chance": 1 / 16}
HIDDEN: dict[str, Any] = {"direction": "none", "shown": False, "chance": 1 / 16}

METRICS = (
    _metric("shape_bias", "shape bias", BIAS.format("conflict trials"), headline=True, cue="shape", **BIASED),
    # The same with probabilities in the place of answers: a trial counts where neither cue wins, too.
    _metric(
        GRADED,
        "graded",
        "P(shape) / (P(shape) + P(texture)), mean over conflict trials",
        ratio=_graded,
        chance=0.5,
        cue="shape",
    ),
    *(
        _metric(f"{cue}_fraction", cue, f"conflict trials answered by {cue}", ratio=fraction(follows), **HIDDEN)
        for cue, follows in (("shape", follows_shape), ("texture", follows_texture))
    ),
    # Shape bias says nothing of how many answers follow a cue: a verdict looks at those that follow none, too.
    _metric(
        "neither_fraction",
        "neither",
        "conflict trials answered by neither cue",
        direction="lower",
        shown=False,
        guard=True,
        ratio=lambda trials: (conflict(trials) & ~shape_or_texture(trials)[1], conflict(trials)),
        chance=14 / 16,
    ),
    _metric(
        "agree_accuracy",
        "cues agree",
        "answers with the category on which shape and texture agree",
        ratio=lambda trials: (~conflict(trials) & correct(trials), ~conflict(trials)),
        chance=1 / 16,
    ),
    _metric(
        "natural_accuracy",
        "natural",
        RIGHT.format("natural images of the built-in world (cues agree)"),
        "natural",
        clean=True,
        **ACCURATE,
    ),
    _metric("edges_accuracy", "edges", RIGHT.format("edge drawings"), "edges", cue="shape", **ACCURATE),
    _metric(
        "silhouettes_accuracy",
        "silhouettes",
        RIGHT.format("filled silhouettes"),
        "silhouettes",
        cue="shape",
        **ACCURATE,
    ),
    *(
        _metric(f"shape_bias_alpha{alpha}", f"bias, {ground}", BIAS.format(what), role, shown=False, **BIASED)
        for alpha, ground, what, role in (
            (0, "plain ground", "figures on a ground without texture", "cue-conflict-alpha0"),
            (1, "full ground", "figures on a fully textured ground", "cue-conflict-alpha1"),
        )
    ),
)

FIGURES = (
    SuiteFigure(
        kind="strip",
        name="shape-bias-by-category",
        title="Shape bias by category",
        caption="Share of shape among the answers that follow one of two conflicting cues, by the shape's category; "
        "tall lines: over all categories.",
        metrics=("shape_bias",),
        conditions="(?P<category>[^:]+)",
        along="category",
        axes=("category of the shape", "shape bias: share of shape among shape and texture answers"),
        line=(0.5, ".5, shape as often as texture"),
        source="After Geirhos et al. (2019), figure 4.",
    ),
)
