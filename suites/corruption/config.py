"""Protocols as data (`protocols.yaml`) and their versions; every field is part of an answer's identity."""

from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Literal

from benchmark.contracts import Suite
from benchmark.contracts.declarations import package_data
from benchmark.failures import unknown_name
from benchmark.transforms.listing import Entries, own_list, parse
from registry.files import digest_data

#: What is asked for the best: the outputs of the classes that a set has, or all.
Rule = Literal["among", "of_all"]
ListName = Literal["imagenet-c", "human", "suppression", "bands", "plugins"]
ALEXNET = "alexnet"  # the card whose errors on the same images can stand in for the published ones
WORLD = "world16"  # the label space of the built-in world
#: Key of `Plan.missing` where a folder's images are of another size than the published ones.
SIZE_224 = "224 px"
COMMON = "common"
PROTOCOLS = package_data("suites.corruption", "protocols")


@dataclass(frozen=True, kw_only=True)
class CorruptionConfig:
    """A sweep made on the fly."""

    source: ListName = "imagenet-c"  # the list that corruptions come from
    # their names, "all", or a list of `protocols.yaml` ("common", the 15 of ImageNet-C; "extra", its other 4)
    corruptions: tuple[str, ...] = ("common",)
    severities: tuple[str, ...] = ()  # levels to show, as the list spells them (none: every level that impairs)
    jpeg85: bool = False  # store each corrupted image as a JPEG of quality 85, as the published folder does
    # how levels are stored, as published: ImageNet-C drops the fraction, the human experiments rounded
    quantise: Literal["published", "round", "truncate"] = "published"
    resize: Literal["bilinear", "bicubic", "square"] = "bilinear"  # to 256 px before the crop; square: 224, no crop
    images: int | None = None  # at most so many, evenly spaced over the set (None: all)
    references: tuple[str, ...] = (ALEXNET,)  # whose errors on the same images normalise beside the published ones
    half_width: float | None = None  # stop a condition once its interval is at most +-so wide (None: show every image)


@dataclass(frozen=True, kw_only=True)
class Folders:
    """A sweep stored on disk as `corruption/severity/class/image`."""

    role: str  # of its parts
    corruptions: tuple[str, ...] = ("all",)  # the folders shown, by name, "all", or the 15 "common" ones of ImageNet-C
    references: tuple[str, ...] = (ALEXNET,)  # as in `CorruptionConfig`


Sweep = CorruptionConfig | Folders


@dataclass(frozen=True, kw_only=True)
class NaturalSet:
    """Other pictures of ImageNet's classes."""

    role: str  # of the set
    rule: Rule  # of its authors
    classes: int = 1000  # how many it has


@cache
def world_list() -> Entries:
    """Return the corruptions of the built-in world's sweep."""
    return parse(
        files("suites.corruption").joinpath("world.yaml").read_text(encoding="utf-8"), "suites/corruption/world.yaml"
    )


def groups_of(corruption: str) -> set[str]:
    """Return the names by which a protocol may include this corruption: its name, "all", or a list that holds it."""
    return {corruption, "all", *(name for name, members in PROTOCOLS["lists"].items() if corruption in members)}


def shown_corruptions(config: CorruptionConfig, space: str) -> Entries:
    """Return the corruptions of a sweep in a label space. Raises UnknownName."""
    if space == WORLD and config.source == "imagenet-c":
        return world_list()
    entries = own_list(config.source)
    known = list(dict.fromkeys([*entries, *(group for name in entries for group in groups_of(name))]))
    for name in config.corruptions:
        if name not in known:
            raise unknown_name("corruption", name, known)
    return {name: entry for name, entry in entries.items() if groups_of(name) & set(config.corruptions)}


def versioned(suite: Suite) -> Suite:
    """Return the suite at the version of its list: its own, and one more for each time that its conditions changed."""
    if not isinstance(suite.config, CorruptionConfig) or suite.config.source == "plugins":
        return suite
    past, digest = PROTOCOLS["digests"].get(suite.name, []), conditions_digest(suite)
    changed = past.index(digest) if digest in past else len(past)
    return replace(suite, version=suite.version + changed) if changed else suite


def conditions_digest(suite: Suite) -> str:
    """Return the digest of all conditions that a sweep shows, in any space, whatever their order."""
    config, listings = suite.config, [shown_corruptions(suite.config, space) for space in suite.spaces]
    levels = ((entry, level) for entries in listings for entry in entries.values() for level in entry.levels)
    chosen = {e.condition(level) for e, level in levels if not config.severities or str(level) in config.severities}
    return digest_data(sorted(chosen))[:12]
