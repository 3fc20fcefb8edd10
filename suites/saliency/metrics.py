"""The metrics of the suite as data, each with its definition: intervals, paired tests and rescoring derive from it."""

from dataclasses import replace
from math import inf

from benchmark.contracts import Direction, Metric, Ratio
from suites.saliency.config import CLICKED, CONFLICT
from suites.saliency.definitions import (
    clicked,
    correct,
    exemplars,
    mean_excess,
    mean_of,
    on_main,
    own_contrast,
    own_excess,
    pairs,
    reliance,
    split,
)

HEADLINE = "object_reliance"
#: Numbers that hang on the picture that lent its ground, too.
EXCHANGED = (HEADLINE, "object_share")
UNIT, SIGNED = (0.0, 1.0), (-1.0, 1.0)
#: Lowest and highest value of a mean, where there are such; intervals stay between them.
BOUNDS = {
    HEADLINE: SIGNED,
    "object_share": SIGNED,
    "object_auc_excess": SIGNED,
    "sg_object_auc_excess": SIGNED,
    "object_auc": UNIT,
    "rank_accuracy": UNIT,
    "grad_image_cos": UNIT,
    "grad_high_frequency": UNIT,
    "grad_gini": UNIT,
}
#: What the others can be, where that has an end.
SPANS = {
    "grad_centroid": (0.0, inf),
    "object_mass_ratio": (0.0, inf),
    "object_skill": (-inf, 1.0),
    "grad_tv": (0.0, inf),
}


def _on_object(
    name: str, title: str, text: str, ratio: Ratio, chance: float | None, *, shown: bool
) -> Metric:
    return Metric(
        name,
        title,
        text,
        chance=chance,
        shown=shown,
        ratio=ratio,
        headline=name == HEADLINE,
        bounds=BOUNDS.get(name),
    )


def _spilled(alpha: int, what: str) -> Metric:
    """The gradient on the object where the built-in world says which pixels can matter."""
    name, text = (
        f"object_auc_excess_alpha{alpha}",
        f"object_auc_excess on conflict images with {what}",
    )
    role = f"{CONFLICT}-alpha{alpha}"
    title = f"gradient on object, {what}"
    return Metric(
        name, title, text, role=role, chance=0.0, shown=False, ratio=own_excess, bounds=SIGNED
    )


def _plain(name: str, title: str, column: str, text: str, direction: Direction) -> Metric:
    shown = name == "grad_centroid"
    ratio = mean_of(column, masked=False)
    return Metric(name, title, text, direction, shown=shown, ratio=ratio, bounds=BOUNDS.get(name))


_METRICS = (
    _on_object(
        HEADLINE,
        "object reliance",
        "(O - P) / (|O| + |P|), O what the object adds to the margin of its category when it is exchanged for another "
        "image's, P what the outline of another image's object adds at the same place and size",
        on_main(reliance, masked=True),
        0.0,
        shown=True,
    ),
    _on_object(
        "object_accuracy",
        "accuracy",
        "share of the images that are answered with the object's category",
        on_main(correct, masked=True),
        None,
        shown=True,
    ),
    _on_object(
        "object_share",
        "object against ground",
        "(O - G) / (|O| + |G|), G what the ground adds: 1 object only, -1 ground only. A disk in front of a network "
        "raises it",
        on_main(split, masked=True),
        0.0,
        shown=False,
    ),
    _on_object(
        "object_auc_excess",
        "gradient on object",
        "AUC of |input gradient| against the image's object minus its mean AUC against objects of other categories",
        mean_excess("grad"),
        0.0,
        shown=True,
    ),
    _on_object(
        "object_auc",
        "object AUC",
        "chance that an object pixel has more |input gradient| than a ground pixel",
        mean_of("grad_auc", masked=True),
        0.5,
        shown=True,
    ),
    _plain(
        "grad_centroid",
        "centroid",
        "centroid",
        "power-weighted mean spatial frequency of the gradient, cycles per pixel; white noise 0.383. "
        "A blur in front of the network lowers it too",
        "none",
    ),
    _on_object(
        "object_mass_ratio",
        "mass ratio",
        "share of |input gradient| on the object over the object's share of the image",
        mean_of("mass_ratio", masked=True),
        1.0,
        shown=False,
    ),
    _on_object(
        "object_skill",
        "skill",
        "(mass share - area share) / (1 - area share)",
        mean_of("skill", masked=True),
        0.0,
        shown=False,
    ),
    _on_object(
        "rank_accuracy",
        "rank accuracy",
        "share of the strongest pixels, as many as the object has, that are object",
        mean_of("rank_accuracy", masked=True),
        None,
        shown=False,
    ),
    _on_object(
        "sg_object_auc_excess",
        "SmoothGrad",
        "object_auc_excess of the gradient averaged over noisy copies of the image",
        mean_excess("smooth"),
        0.0,
        shown=True,
    ),
    Metric(
        "target_contrast",
        "shape - texture",
        "object AUC with the shape as target minus with the texture as target, on the same conflict image",
        role=CONFLICT,
        chance=0.0,
        ratio=own_contrast,
        bounds=SIGNED,
    ),
    Metric(
        "clickme_alignment",
        "ClickMe",
        "rank correlation of the class logit's |input gradient| with what people clicked on, as a share of how well "
        "people agree",
        role=CLICKED,
        chance=0.0,
        ratio=clicked,
    ),
    _spilled(0, "texture on it alone"),
    _spilled(1, "texture all over"),
    _plain(
        "grad_image_cos",
        "image cosine",
        "centred_cosine",
        "|cos| between the image around its channel means and the gradient",
        "none",
    ),
    _plain(
        "grad_high_frequency",
        "high frequencies",
        "high_frequency",
        "share of the gradient's power above 0.25 cycles per pixel; white noise 0.804",
        "none",
    ),
    _plain(
        "grad_tv",
        "total variation",
        "total_variation",
        "mean step between neighbouring pixels over the mean of |input gradient|; white noise 2.828",
        "none",
    ),
    _plain(
        "grad_gini",
        "Gini",
        "gini",
        "Gini coefficient of |input gradient|: 0 even, towards 1 on few pixels",
        "none",
    ),
)

METRICS = tuple(
    replace(
        metric,
        clusters=pairs if metric.name in EXCHANGED else exemplars,
        span=SPANS.get(metric.name, metric.bounds),
    )
    for metric in _METRICS
)
