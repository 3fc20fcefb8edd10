"""The metrics of the suite as data, each with its definition: intervals, paired tests and rescoring derive from it."""

from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from pathlib import PurePath

import numpy as np

from benchmark.contracts import Array, Metric, Ratio, SuiteFigure, Trials
from benchmark.stats.clusters import exemplar_columns
from benchmark.stimuli.image_names import read_pair
from suites.saliency.config import (
    BOARDS,
    CLICKED,
    CONFLICT,
    EVIDENCE,
    LARGEST,
    NATURAL,
    PARTNER,
    RANKED,
    SMALLEST,
    columns_of,
)

#: How well people's maps of clicks agree with one another (Fel et al. 2022), by which alignment is divided.
CEILING = 0.65753


def exemplars(trials: Trials) -> Mapping[str, Array]:
    """What several images share, by label columns or else by the names of published conflict images: "cat7" and
    "elephant1" of "cat7-elephant1.png". Intervals are then about other silhouettes and textures."""
    columns = exemplar_columns(trials)
    names = [str(name) for name in trials["stimulus"]]
    if columns or any(read_pair(name) is None for name in names):
        return columns
    halves = [PurePath(name).stem.split("-") for name in names]
    return {"shape": np.array([shape for shape, _ in halves]), "texture": np.array([texture for _, texture in halves])}


def exchange_clusters(trials: Trials) -> Mapping[str, Array]:
    """As `exemplars`; and the two images that exchanged with one another, which share what pasting them gave."""
    if PARTNER not in trials.columns:
        return exemplars(trials)
    both = np.stack([trials["stimulus"].astype(str), trials[PARTNER].astype(str)])
    named = np.array(["|".join(sorted(pair)) for pair in both.T.tolist()])
    return {**exemplars(trials), "pair": np.where(both[1] == "", "", named)}


def board_roles(trials: Trials) -> tuple[str, ...]:
    """Return the roles with a board: the built-in world's natural images, otherwise all installed roles."""
    present = trials.coded("role").used if len(trials) else []
    roles = tuple(role for role in BOARDS if role in present)
    return roles[:1] if NATURAL in roles else roles


def stored(trials: Trials, column: str) -> Array:
    """Return [n] numbers of a column; NaN if the trials are older than the column's source (another package's
    measure)."""
    values = trials.columns.get(column)
    return np.full(len(trials), np.nan) if values is None else values.astype(float)


def reliance(trials: Trials) -> Array:
    """Return [n] (O - P) / (|O| + |P|): O the object's contribution to the margin of its category, P that of another
    image's outline at the same position and size (`exchange`); 0 if only the background changes the margin."""
    of_object, _, of_place = (stored(trials, name) for name in EVIDENCE)
    return _share(of_object, of_place)


def ranked_reliance(trials: Trials) -> Array:
    """Return [n] the same of ranks; 0 where neither moves the rank."""
    return _share(*(stored(trials, name) for name in RANKED))


def split(trials: Trials) -> Array:
    """Return [n] (O - G) / (|O| + |G|): G the background's contribution. It ignores position."""
    of_object, of_ground, _ = (stored(trials, name) for name in EVIDENCE)
    return _share(of_object, of_ground)


def _share(of_object: Array, of_other: Array) -> Array:
    """NaN where there was no exchange, or none that moved the network: nothing is stored there."""
    size = np.abs(of_object) + np.abs(of_other)
    share = np.where(np.isfinite(size), 0.0, np.nan)
    return np.asarray(np.divide(of_object - of_other, size, out=share, where=np.isfinite(size) & (size > 0)))


def correct(trials: Trials) -> Array:
    """Return [n] whether the answer is the object's category."""
    shape = trials.columns.get("shape", trials["category"])
    truth = np.where(shape == "", trials["category"], shape)
    return np.asarray(trials["response"] == truth, dtype=float)


def mean(values: Callable[[Trials], Array], *, masked: bool = True, main: bool = True) -> Ratio:
    """Return the mean of values [n] over the images that count: with a defined value and (masked) an object that covers
    between 1 % and 95 %; main: only the main role, if a table holds several."""

    def ratio(trials: Trials) -> tuple[Array, Array]:
        own = values(trials)
        counts = np.isfinite(own)
        if masked:
            area = stored(trials, "area")
            counts = counts & (area >= SMALLEST) & (area <= LARGEST)
        if main:
            counts = counts & (trials["role"] == next(iter(board_roles(trials)), ""))
        return np.where(counts, own, 0.0), counts

    return ratio


def mean_of(column: str, *, masked: bool) -> Ratio:
    """Return the mean of a column."""
    return mean(lambda trials: stored(trials, column), masked=masked)


def mean_excess(name: str, *, main: bool = True) -> Ratio:
    """Return the mean of a map's AUC against the own mask less its mean AUC against masks of other categories."""
    own, other = columns_of(name)
    return mean(lambda trials: stored(trials, own) - stored(trials, other), main=main)


HEADLINE = "object_reliance"
#: Numbers that hang on the picture that lent its ground, too.
EXCHANGED = (HEADLINE, "ranked_reliance", "object_share")
UNIT, SIGNED, POSITIVE = (0.0, 1.0), (-1.0, 1.0), (0.0, inf)
_metric = partial(Metric, clusters=exemplars)
_exchanged = partial(Metric, clusters=exchange_clusters, over="pairs of images", chance=0.0, bounds=SIGNED)
#: How a gradient is organised: no direction is better.
_organised = partial(Metric, clusters=exemplars, direction="none", shown=False)
#: The gradient on the object where the built-in world says which pixels can matter.
_spilled = partial(_metric, chance=0.0, shown=False, ratio=mean_excess("grad", main=False), bounds=SIGNED)

METRICS = (
    _exchanged(
        name=HEADLINE,
        title="object reliance",
        definition="(O - P) / (|O| + |P|), O what the object adds to the margin of its category when it is exchanged "
        "for another image's, P what the outline of another image's object adds at the same place and size",
        headline=True,
        ratio=mean(reliance),
    ),
    _exchanged(
        name="ranked_reliance",
        title="reliance by ranks",
        definition="object reliance of ranks (the share of the other classes below the category) for margins: no "
        "change of outputs that keeps their order moves it",
        ratio=mean(ranked_reliance),
    ),
    _metric(
        name="object_accuracy",
        title="accuracy",
        definition="share of the images that are answered with the object's category",
        ratio=mean(correct),
    ),
    _exchanged(
        name="object_share",
        title="object against ground",
        definition="(O - G) / (|O| + |G|), G what the ground adds: 1 object only, -1 ground only. A disk in front of a "
        "network raises it",
        shown=False,
        ratio=mean(split),
    ),
    _metric(
        name="object_auc_excess",
        title="gradient on object",
        definition="AUC of |input gradient| against the image's object minus its mean AUC against objects of other "
        "categories",
        chance=0.0,
        ratio=mean_excess("grad"),
        bounds=SIGNED,
    ),
    _metric(
        name="object_auc",
        title="object AUC",
        definition="chance that an object pixel has more |input gradient| than a ground pixel",
        chance=0.5,
        ratio=mean_of("grad_auc", masked=True),
        bounds=UNIT,
    ),
    _organised(
        name="grad_centroid",
        title="centroid",
        definition="power-weighted mean spatial frequency of the gradient, cycles per pixel; white noise 0.383. "
        "A blur in front of the network lowers it too",
        shown=True,
        ratio=mean_of("centroid", masked=False),
        span=POSITIVE,
    ),
    _metric(
        name="object_mass_ratio",
        title="mass ratio",
        definition="share of |input gradient| on the object over the object's share of the image",
        chance=1.0,
        shown=False,
        ratio=mean_of("mass_ratio", masked=True),
        span=POSITIVE,
    ),
    _metric(
        name="object_skill",
        title="skill",
        definition="(mass share - area share) / (1 - area share)",
        chance=0.0,
        shown=False,
        ratio=mean_of("skill", masked=True),
        span=(-inf, 1.0),
    ),
    _metric(
        name="rank_accuracy",
        title="rank accuracy",
        definition="share of the strongest pixels, as many as the object has, that are object",
        shown=False,
        ratio=mean_of("rank_accuracy", masked=True),
        bounds=UNIT,
    ),
    _metric(
        name="sg_object_auc_excess",
        title="SmoothGrad",
        definition="object_auc_excess of the gradient averaged over noisy copies of the image",
        chance=0.0,
        ratio=mean_excess("smooth"),
        bounds=SIGNED,
    ),
    _metric(
        name="target_contrast",
        title="shape - texture",
        definition="object AUC with the shape as target minus with the texture as target, on the same conflict image",
        role=CONFLICT,
        chance=0.0,
        ratio=mean(lambda trials: stored(trials, "grad_auc") - stored(trials, "texture_auc"), main=False),
        bounds=SIGNED,
        cue="shape",
    ),
    _metric(
        name="clickme_alignment",
        title="ClickMe",
        definition="rank correlation of the class logit's |input gradient| with what people clicked on, as a share of "
        "how well people agree",
        role=CLICKED,
        chance=0.0,
        ratio=mean(lambda trials: stored(trials, "clickme") / CEILING, masked=False, main=False),
    ),
    *(
        _spilled(
            name=f"object_auc_excess_{alpha}",
            title=f"gradient on object, {what}",
            definition=f"object_auc_excess on conflict images with {what}",
            role=f"{CONFLICT}-{alpha}",
        )
        for alpha, what in (("alpha0", "texture on it alone"), ("alpha1", "texture all over"))
    ),
    _organised(
        name="grad_image_cos",
        title="image cosine",
        definition="|cos| between the image around its channel means and the gradient",
        ratio=mean_of("centred_cosine", masked=False),
        bounds=UNIT,
    ),
    _organised(
        name="grad_high_frequency",
        title="high frequencies",
        definition="share of the gradient's power above 0.25 cycles per pixel; white noise 0.804",
        ratio=mean_of("high_frequency", masked=False),
        bounds=UNIT,
    ),
    _organised(
        name="grad_tv",
        title="total variation",
        definition="mean step between neighbouring pixels over the mean of |input gradient|; white noise 2.828",
        ratio=mean_of("total_variation", masked=False),
        span=POSITIVE,
    ),
    _organised(
        name="grad_gini",
        title="Gini",
        definition="Gini coefficient of |input gradient|: 0 even, towards 1 on few pixels",
        ratio=mean_of("gini", masked=False),
        bounds=UNIT,
    ),
)

FIGURES = (
    SuiteFigure(
        kind="dots",
        name="object-reliance",
        title="The object against the ground",
        caption="Reference rows (edges, darkness, the centre, noise) are maps that know no network: gradients that do "
        "no better say nothing about the network.",
        metrics=(HEADLINE, "object_auc_excess", "object_auc", "target_contrast"),
    ),
    SuiteFigure(
        kind="gallery",
        name="gallery",
        title="Gallery",
        caption="Under the images: the right answer. Under each model's input gradients (after Tsipras et al., 2019; "
        "clipped at mean ± 3 standard deviations, nothing smoothed): its answer where it is another one, and the "
        "probability of the right one. Object: white. The images are the first of evenly spaced categories.",
    ),
)
