"""Who is related to whom: architecture, recipe, seed and family of an observer, read from its name and its recipe tags.

Networks are no independent sample. Seeds of one recipe, and depths of one architecture, are nearly one observation:
statistics over observers draw families as wholes, and contrasts of recipes pair what differs in nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

#: Kinds that are ranked, and over which links between suites are asked for.
NETWORKS = ("network", "published", "reported")
STANDARD = "standard"

_SOURCE = re.compile(r" \((?P<source>[^()]*)\)$")
_SEED = re.compile(r"[-_](?:seed)?(?P<seed>\d{1,3})$")
_STEM = re.compile(r"[a-z]+(?:[-_]?[a-z]+)*")
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


def lineage(name: str, training: Sequence[str] = ()) -> Lineage:
    """Read from a name such as "world-stylised-2" or "resnet50_trained_on_SIN (error-consistency)".

    A family is one line of architectures ("resnet" for resnet50 and resnet101) under one recipe. Parameters of a recipe
    tag do not part families: an adversarial ladder is one.
    """
    found = _SOURCE.search(name)
    source = found["source"] if found else ""
    bare = name[: found.start()] if found else name
    seed = _SEED.search(bare)
    if seed:
        bare = bare[: seed.start()]
    shorter = _RECIPE_WORDS.sub("", bare)
    while shorter != bare:
        bare, shorter = shorter, _RECIPE_WORDS.sub("", shorter)
    tags = recipe(training)
    stem = _STEM.match(bare.lower())
    line = stem.group() if stem else bare.lower()
    plain = "+".join(dict.fromkeys(tag.partition("(")[0] for tag in training)) or STANDARD
    return Lineage(source, bare, seed["seed"] if seed else "", tags, f"{line}/{plain}")


def recipe(training: Sequence[str]) -> str:
    """The tags as one text; "standard" where there are none."""
    return " + ".join(training) or STANDARD
