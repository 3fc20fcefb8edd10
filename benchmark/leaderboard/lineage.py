"""Architecture, recipe, seed and family of an observer, from its card, its name and its tags. Networks are not an
independent sample: seeds of one recipe, and depths of one architecture, are nearly one observation."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

#: Kinds that are ranked, and over which links between suites are asked for.
NETWORKS = ("network", "published", "reported")
STANDARD, UNSTATED = "standard", "not stated"

_SOURCE = re.compile(r" \((?P<source>[^()]*)\)$")
#: vit_s16 is a size.
_SEED = re.compile(r"(?P<mark>-|_|[-_. ](?:seed|run)[-_ ]?|[-_]s(?=\d$))(?P<seed>\d{1,3})$", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[._]\d+)*")
_STEM = re.compile(r"[a-z]+(?:[-_]?[a-z]+)*")
#: Lines of architectures that names and factories are called after, as in "tv_resnet50" and "timm:swinv2_tiny".
_KNOWN = re.compile(
    r"(?<![a-z])(alexnet|bagnet|beit|bit|clip|convnext|cornet|deit|densenet|efficientnet|eva|googlenet|inception|"
    r"mnasnet|mobilenet|regnet|resnet|resnext|shufflenet|squeezenet|swin|vgg|vit)(?![a-z]{2})"
)
NO_CARD: Mapping[str, Any] = MappingProxyType({})
#: What names add for a recipe or a set of weights; the recipe itself is told by tags.
_RECIPE_WORDS = re.compile(
    r"(?:[-_ ](?:standard|stylised|stylized|adversarial|adv|robust|random|salt-and-pepper|uniform-noise|"
    r"trained[-_]on[-_].*|sin.*|imagenet.*|in\d+k.*|l2.*|linf.*|eps.*))+$",
    re.IGNORECASE,
)


class Lineage(NamedTuple):
    """The relations of an observer to others."""

    source: str  # who published it; "" for own runs
    architecture: str  # the name without source, recipe and seed
    series: str  # the part of the name about the recipe, numbers as "#" ("_l2_eps#")
    seed: str  # "" if the name has none
    recipe: str  # its tags, joined
    family: str  # line and recipe
    line: str  # of architectures


def lineage(name: str, training: Sequence[str] = (), card: Mapping[str, Any] = NO_CARD) -> Lineage:
    """Return the lineage of a name such as "world-stylised-2" or "resnet50_trained_on_SIN (error-consistency)".
    Parameters of a recipe tag do not separate families: an adversarial ladder is one."""
    source, bare, series, seed = _parts(name, card)
    plain = "+".join(dict.fromkeys(tag.partition("(")[0] for tag in training)) or UNSTATED
    line = architecture_line(name, card)
    return Lineage(
        source=source, architecture=bare, series=series, seed=seed, recipe=recipe(training), family=f"{line}/{plain}",
        line=line,
    )  # fmt: skip


def architecture_line(name: str, card: Mapping[str, Any] = NO_CARD) -> str:
    """Return a network's line of architectures ("resnet" for resnet50 and resnet101). It comes from the family or the
    training run on its card, otherwise from its name or factory, otherwise from the beginning of its name."""
    if stated := card.get("family"):
        return str(stated)
    if (checkpoint := card.get("checkpoint")) and isinstance(checkpoint, Mapping):
        return str(checkpoint.get("run", ""))
    bare = _parts(name, card)[1].lower()
    for text in (bare, _factory(card)):
        if known := _KNOWN.search(text):
            return known[1]
    stem = _STEM.match(bare)
    return stem.group() if stem else bare


def recipe(training: Sequence[str]) -> str:
    """Return the tags as one text, "not stated" without any."""
    return " + ".join(training) or UNSTATED


def _parts(name: str, card: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return source, architecture, the part of the name about the recipe, and seed."""
    published = _SOURCE.search(name)
    bare = name[: published.start()] if published else name
    seed = _SEED.search(bare)
    # A width, a patch, a version or a step is no seed: squeezenet1_0, vit_b_16, eps0_5. Publishers number their
    # variants, not their seeds; own runs of one card are numbered after a hyphen.
    if seed and not re.search("seed|run", seed["mark"], re.IGNORECASE):
        after_digit = seed["mark"] == "_" and bare[seed.start() - 1 : seed.start()].isdigit()
        seed = None if published or after_digit or _factory(card).startswith(bare.lower()) else seed
    bare = bare[: seed.start()] if seed else bare
    words = _RECIPE_WORDS.search(bare)
    series = _NUMBER.sub("#", words.group().lower()) if words else ""
    bare = bare[: words.start()] if words else bare
    return published["source"] if published else "", bare, series, seed["seed"] if seed else ""


def _factory(card: Mapping[str, Any]) -> str:
    return str(card.get("arch", "")).rpartition(":")[2].lower()
