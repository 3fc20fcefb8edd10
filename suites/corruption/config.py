"""Protocols of the suite as data; every field is part of an answer's identity."""

from dataclasses import dataclass
from typing import Literal

#: What is asked for the best: the outputs of the classes that a set has, or all.
Rule = Literal["among", "of_all"]
ListName = Literal["imagenet-c", "human", "suppression", "bands", "laion-c", "plugins"]
ALEXNET = "alexnet"  # the card whose errors on the same images can stand in for the published ones
WORLD = "world16"  # the label space of the built-in world
#: Key of `Plan.missing` where a folder's images are of another size than the published ones.
SIZE_224 = "224 px"


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
