"""The metrics of the suite as data. Each is a ratio of sums over trials, so that intervals, paired tests and
rescoring derive from one definition. Intervals are about other shapes and textures, where images share them.

A trial is a *conflict* trial where its shape category differs from its texture category. "na" (no answer) is an
answer that follows neither cue; it counts in every denominator but that of the shape bias.
"""

from dataclasses import replace

import numpy as np

from benchmark.contracts import Array, Metric, Ratio, SuiteFigure, Trials
from benchmark.stimuli.generated import exemplars

UNIT = (0.0, 1.0)


def conflict(trials: Trials) -> Array:
    """[n] bool: trials whose cues disagree (1,200 of the published 1,280)."""
    return np.asarray(trials["shape"] != trials["texture"], dtype=bool)


def follows_shape(trials: Trials) -> Array:
    """[n] bool: conflict trials answered with the shape category."""
    return np.asarray(conflict(trials) & (trials["response"] == trials["shape"]), dtype=bool)


def follows_texture(trials: Trials) -> Array:
    """[n] bool: conflict trials answered with the texture category."""
    return np.asarray(conflict(trials) & (trials["response"] == trials["texture"]), dtype=bool)


def correct(trials: Trials) -> Array:
    """[n] bool: the answer is the image's category."""
    return np.asarray(trials["response"] == trials["category"], dtype=bool)


def _shape_bias(trials: Trials) -> tuple[Array, Array]:
    shape, texture = follows_shape(trials), follows_texture(trials)
    return shape, shape | texture


def _shape_fraction(trials: Trials) -> tuple[Array, Array]:
    return follows_shape(trials), conflict(trials)


def _texture_fraction(trials: Trials) -> tuple[Array, Array]:
    return follows_texture(trials), conflict(trials)


def _neither_fraction(trials: Trials) -> tuple[Array, Array]:
    either = follows_shape(trials) | follows_texture(trials)
    return conflict(trials) & ~either, conflict(trials)


def _agree_accuracy(trials: Trials) -> tuple[Array, Array]:
    agree = ~conflict(trials)
    return agree & correct(trials), agree


def _accuracy(trials: Trials) -> tuple[Array, Array]:
    return correct(trials), np.ones(len(trials), dtype=bool)


def _bias(name: str, title: str, role: str, what: str, *, headline: bool = False, shown: bool = True) -> Metric:
    text = f"S / (S + T) on {what}: S answers with the shape category, T with the texture category"
    return Metric(name, title, text, "higher", role, headline, 0.5, shown, _shape_bias, exemplars, UNIT)


def _accuracy_of(role: str, title: str, what: str, *, shown: bool = True, clean: bool = False) -> Metric:
    name = f"{role.replace('-', '_')}_accuracy"
    text = f"answers with the image's category, on {what}"
    return Metric(name, title, text, "higher", role, False, 1 / 16, shown, _accuracy, exemplars, UNIT, clean)


def _fraction(name: str, title: str, text: str, ratio: Ratio, chance: float) -> Metric:
    return Metric(name, title, text, "none", "cue-conflict", False, chance, False, ratio, exemplars, UNIT)


#: Shape bias says nothing of how many answers follow a cue: a verdict looks at those that follow none, too.
_NEITHER = replace(
    _fraction("neither_fraction", "neither", "conflict trials answered by neither cue", _neither_fraction, 14 / 16),
    direction="lower",
    guard=True,
)


METRICS = (
    _bias("shape_bias", "shape bias", "cue-conflict", "conflict trials", headline=True),
    _fraction("shape_fraction", "shape", "conflict trials answered by shape", _shape_fraction, 1 / 16),
    _fraction("texture_fraction", "texture", "conflict trials answered by texture", _texture_fraction, 1 / 16),
    _NEITHER,
    Metric(
        "agree_accuracy",
        "cues agree",
        "answers with the category on which shape and texture agree",
        "higher",
        "cue-conflict",
        chance=1 / 16,
        ratio=_agree_accuracy,
        clusters=exemplars,
        bounds=UNIT,
    ),
    _accuracy_of("natural", "natural", "natural images of the built-in world (cues agree)", clean=True),
    _accuracy_of("edges", "edges", "edge drawings"),
    _accuracy_of("silhouettes", "silhouettes", "filled silhouettes"),
    _bias(
        "shape_bias_alpha0",
        "bias, plain ground",
        "cue-conflict-alpha0",
        "figures on a ground without texture",
        shown=False,
    ),
    _bias(
        "shape_bias_alpha1",
        "bias, full ground",
        "cue-conflict-alpha1",
        "figures on a fully textured ground",
        shown=False,
    ),
)

FIGURES = (
    SuiteFigure(
        "strip",
        "shape-bias-by-category",
        "Shape bias by category",
        "Share of shape among the answers that follow one of two conflicting cues, by the shape's category; tall "
        "lines: over all categories.",
        metrics=("shape_bias",),
        conditions="(?P<category>.+)",
        along="category",
        axes=("category of the shape", "shape bias: share of shape among shape and texture answers"),
        line=(0.5, ".5, shape as often as texture"),
        source="After Geirhos et al. (2019), figure 4.",
    ),
)
