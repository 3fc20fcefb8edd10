"""Who is related to whom: architecture, recipe, seed and family of an observer, from its card, its name and its tags.

Networks are no independent sample. Seeds of one recipe, and depths of one architecture, are nearly one observation:
statistics over observers draw families as wholes, and contrasts of recipes pair what differs in nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

#: Kinds that are ranked, and over which links between suites are asked for.
NETWORKS = ("network", "published", "reported")
STANDARD = "standard"

_SOURCE = re.compile(r" \((?P<source>[^()]*)\)$")
_SEED = re.compile(r"[-_](?:seed)?(?P<seed>\d{1,3})$")
_STEM = re.compile(r"[a-z]+(?:[-_]?[a-z]+)*")
#: Lines of architectures that names and factories are called after, as in "tv_resnet50" and "timm:swinv2_tiny".
_KNOWN = re.compile(
    r"(?<![a-z])(alexnet|bagnet|beit|bit|clip|convnext|cornet|deit|densenet|efficientnet|eva|googlenet|inception|"
    r"mnasnet|mobilenet|regnet|resnet|resnext|shufflenet|squeezenet|swin|vgg|vit)(?![a-z]{2})"
)
NO_CARD: Mapping[str, Any] = MappingProxyType({})
#: What names add for a recipe or a set of weights; the recipe itself is told by tags.
_RECIPE_WORDS = re.compile(
    r"[-_ ](?:standard|stylised|stylized|adversarial|random|salt-and-pepper|uniform-noise|"
    r"trained[-_]on[-_].*|sin.*|imagenet.*|in\d+k.*|l2.*|linf.*|eps.*)$",
    re.IGNORECASE,
)


class Lineage(NamedTuple):
    """source: who published it ("" for own runs); architecture: the name without source, recipe and seed; seed: ""
    where the name ends in none; recipe: its tags, joined; family: architecture line and recipe."""

    source: str
    architecture: str
    seed: str
    recipe: str
    family: str


def lineage(name: str, training: Sequence[str] = (), card: Mapping[str, Any] = NO_CARD) -> Lineage:
    """Read from a name such as "world-stylised-2" or "resnet50_trained_on_SIN (error-consistency)".

    A family is one line of architectures ("resnet" for resnet50 and resnet101) under one recipe. Parameters of a recipe
    tag do not part families: an adversarial ladder is one.
    """
    source, bare, seed = _parts(name)
    plain = "+".join(dict.fromkeys(tag.partition("(")[0] for tag in training)) or STANDARD
    line = architecture_line(name, card)
    return Lineage(source, bare, seed, recipe(training), f"{line}/{plain}")


def architecture_line(name: str, card: Mapping[str, Any] = NO_CARD) -> str:
    """The line of architectures that a network is of: "resnet" for resnet50 and resnet101.

    The family, or the training run, that its card states; else the known line that its name or else its factory is
    called after; else what the name begins with ("world" for world-stylised-2).
    """
    if stated := card.get("family"):
        return str(stated)
    if (checkpoint := card.get("checkpoint")) and isinstance(checkpoint, Mapping):
        return str(checkpoint.get("run", ""))
    _, bare, _ = _parts(name)
    factory = str(card.get("arch", "")).rpartition(":")[2]
    for text in (bare.lower(), factory.lower()):
        if known := _KNOWN.search(text):
            return known[1]
    stem = _STEM.match(bare.lower())
    return stem.group() if stem else bare.lower()


def _parts(name: str) -> tuple[str, str, str]:
    """Source, architecture and seed; what the name says of the recipe is left out."""
    found = _SOURCE.search(name)
    source = found["source"] if found else ""
    bare = name[: found.start()] if found else name
    seed = _SEED.search(bare)
    if seed:
        bare = bare[: seed.start()]
    shorter = _RECIPE_WORDS.sub("", bare)
    while shorter != bare:
        bare, shorter = shorter, _RECIPE_WORDS.sub("", shorter)
    return source, bare, seed["seed"] if seed else ""


def recipe(training: Sequence[str]) -> str:
    """The tags as one text; "standard" where there are none."""
    return " + ".join(training) or STANDARD
