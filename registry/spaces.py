"""The classes of label spaces, and those that come with the package.

Importing this module does not import torch.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from registry.digests import digest_data
from registry.errors import LabelError

_FOLDER = Path(__file__).parent / "label_spaces"
#: Larger ImageNets: label space -> the WordNet id list that timm ships for it, one id per output.
_SYNSETS = {
    "imagenet12k": "imagenet12k_synsets.txt",
    "imagenet21k": "imagenet21k_goog_synsets.txt",
    "imagenet21k-miil": "imagenet21k_miil_synsets.txt",
    "imagenet22k": "imagenet22k_synsets.txt",
    "imagenet22k-ms": "imagenet22k_ms_synsets.txt",
}
LABEL_SPACES = ("coco80", "geirhos16", "imagenet1001", "imagenet1k", *_SYNSETS, "world16")


@dataclass(frozen=True)
class Grouping:
    """How outputs answer in a decision space: `indices[c]` are the outputs averaged for
    `categories[c]`; nothing: the output that says that there is none of them, of networks that may say so.
    """

    space: str
    categories: tuple[str, ...]
    indices: tuple[tuple[int, ...], ...]
    nothing: int | None = None

    @cached_property
    def singles(self) -> bool:
        """Whether every category has exactly one output, so that nothing is averaged."""
        return all(len(members) == 1 for members in self.indices)


@dataclass(frozen=True)
class LabelSpace:
    """The classes of a network in output order, and the decision spaces that they can be grouped
    into.

    classes: WordNet ids for ImageNet, category names elsewhere; words: readable names, in the same
    order.
    """

    name: str
    classes: tuple[str, ...]
    groupings: Mapping[str, Grouping]
    words: tuple[str, ...] = field(default=(), compare=False)

    @property
    def answers(self) -> tuple[str, ...]:
        """The decision spaces that this label space can answer in, its own first."""
        return tuple(self.groupings)

    def grouping(self, space: str) -> Grouping:
        """The grouping onto `space`. Raises LabelError where the classes do not cover it."""
        if space not in self.groupings:
            raise LabelError(
                f"label space '{self.name}' ({len(self.classes)} classes) cannot answer in "
                f"'{space}'; "
                f"it answers in {', '.join(self.answers)}. A mapping file with `groups:` can add "
                "it."
            )
        return self.groupings[space]

    @cached_property
    def digest(self) -> str:
        """Content digest: classes and groupings, not the name."""
        groups = {name: [g.categories, g.indices] for name, g in self.groupings.items()}
        return digest_data([self.classes, groups])


def with_nothing(space: LabelSpace) -> LabelSpace:
    """The same classes and one output more, the last, that says that nothing was found."""
    at = len(space.classes)
    groupings = {name: replace(one, nothing=at) for name, one in space.groupings.items()}
    words = (*space.words, "nothing") if space.words else ()
    return LabelSpace(space.name, (*space.classes, "nothing"), MappingProxyType(groupings), words)


def _identity(space: str, categories: Sequence[str], start: int = 0) -> Grouping:
    members = tuple((index,) for index in range(start, start + len(categories)))
    return Grouping(space, tuple(categories), members)


def _expand(item: object) -> list[int]:
    first, _, last = str(item).partition("-")
    return list(range(int(first), int(last or first) + 1))


@cache
def geirhos_groups() -> Mapping[str, tuple[int, ...]]:
    """Category -> ImageNet-1k outputs, the sixteen categories in alphabetical order."""
    text = (_FOLDER / "geirhos16.yaml").read_text(encoding="utf-8")
    data: dict[str, list[Any]] = yaml.safe_load(text)
    return {name: tuple(i for item in items for i in _expand(item)) for name, items in data.items()}


@cache
def _imagenet1k() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """WordNet ids and words of the 1000 classes."""
    lines = (_FOLDER / "imagenet1k.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return tuple(row[0] for row in rows), tuple(row[1] for row in rows)


def by_classes(classes: Sequence[str]) -> dict[str, Grouping]:
    """The known decision spaces that a list of classes (WordNet ids or category names) covers
    wholly.
    """
    wnids, _ = _imagenet1k()
    place = {name: index for index, name in enumerate(classes)}
    found: dict[str, Grouping] = {}
    if all(wnid in place for wnid in wnids):
        members = tuple((place[wnid],) for wnid in wnids)
        found["imagenet1k"] = Grouping("imagenet1k", wnids, members)
    groups = geirhos_groups()
    needed = {name: [wnids[i] for i in indices] for name, indices in groups.items()}
    if all(wnid in place for ids in needed.values() for wnid in ids):
        chosen = tuple(tuple(place[wnid] for wnid in ids) for ids in needed.values())
        found["geirhos16"] = Grouping("geirhos16", tuple(needed), chosen)
    elif all(category in place for category in groups):
        named = tuple((place[category],) for category in groups)
        found["geirhos16"] = Grouping("geirhos16", tuple(groups), named)
    return found


def _synset_list(name: str) -> tuple[str, ...]:
    spec = importlib.util.find_spec("timm")
    place = Path(spec.origin).parent / "data" / "_info" if spec and spec.origin else None
    if place is None or not (place / _SYNSETS[name]).is_file():
        raise LabelError(
            f"label space '{name}' needs the class list {_SYNSETS[name]}, which the installed "
            "timm does not "
            "ship. Update timm, or write the classes into a mapping file."
        )
    return tuple((place / _SYNSETS[name]).read_text(encoding="utf-8").split())


@cache
def built_in_space(name: str) -> LabelSpace:
    """The label space of one of `LABEL_SPACES`."""
    if name in ("geirhos16", "world16"):
        names = tuple(geirhos_groups())
        return LabelSpace(name, names, {name: _identity(name, names)}, names)
    if name == "coco80":
        text = (_FOLDER / "coco80.txt").read_text(encoding="utf-8")
        names = tuple(line for line in text.splitlines() if not line.startswith("#"))
        own = {name: _identity(name, names), **by_classes(names)}
        return LabelSpace(name, names, MappingProxyType(own), names)
    wnids, words = _imagenet1k()
    if name == "imagenet1001":
        wnids, words = ("background", *wnids), ("background", *words)
    classes = _synset_list(name) if name in _SYNSETS else wnids
    own = {name: _identity(name, classes)}
    return LabelSpace(name, classes, MappingProxyType({**own, **by_classes(classes)}), words)


def spaces_of_size(count: int) -> tuple[str, ...]:
    """The built-in label spaces of so many classes, as far as the installed timm has their lists."""
    found = []
    for name in LABEL_SPACES:
        with suppress(LabelError):
            found += [name] * (len(built_in_space(name).classes) == count)
    return tuple(found)
