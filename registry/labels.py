"""Label spaces: what a network's outputs stand for, and in which decision spaces it can answer.

A decision groups outputs: softmax over *all* classes, then the arithmetic mean of the probabilities
at each category's outputs (Geirhos et al. 2019; never the sum: dog has 109 outputs and airplane
one). Importing this module does not import torch.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml

from registry.digests import digest_data
from registry.errors import LabelError, unknown_name

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_FOLDER = Path(__file__).parent / "label_spaces"
#: Larger ImageNets: label space -> the WordNet id list that timm ships for it, one id per output.
_SYNSETS = {
    "imagenet12k": "imagenet12k_synsets.txt",
    "imagenet21k": "imagenet21k_goog_synsets.txt",
    "imagenet21k-miil": "imagenet21k_miil_synsets.txt",
    "imagenet22k": "imagenet22k_synsets.txt",
    "imagenet22k-ms": "imagenet22k_ms_synsets.txt",
}
LABEL_SPACES = ("geirhos16", "imagenet1001", "imagenet1k", *_SYNSETS, "world16")


@dataclass(frozen=True)
class Grouping:
    """How outputs answer in a decision space: `indices[c]` are the outputs averaged for
    `categories[c]`.
    """

    space: str
    categories: tuple[str, ...]
    indices: tuple[tuple[int, ...], ...]

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
def _builtin(name: str) -> LabelSpace:
    if name in ("geirhos16", "world16"):
        names = tuple(geirhos_groups())
        return LabelSpace(name, names, {name: _identity(name, names)}, names)
    wnids, words = _imagenet1k()
    if name == "imagenet1001":
        wnids, words = ("background", *wnids), ("background", *words)
    classes = _synset_list(name) if name in _SYNSETS else wnids
    own = {name: _identity(name, classes)}
    return LabelSpace(name, classes, MappingProxyType({**own, **by_classes(classes)}), words)


def label_space(name_or_path: str) -> LabelSpace:
    """A built-in label space by name, or a user's from a mapping file (see `registry.mapping`).

    Raises UnknownName for a name that is neither, LabelError for a file that cannot be used.
    """
    from registry.mapping import read_mapping

    if name_or_path in LABEL_SPACES:
        return _builtin(name_or_path)
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return read_mapping(path)
    hint = "A mapping file's path (.yaml) works too."
    raise unknown_name("label space", name_or_path, LABEL_SPACES, hint)


@lru_cache(maxsize=16)
def _members(grouping: Grouping, device: torch.device) -> tuple[Tensor, ...]:
    """Index tensors on `device`: one where every category has one output, else one per category."""
    import torch

    flat = tuple(members[0] for members in grouping.indices)
    lists = (flat,) if grouping.singles else grouping.indices
    with torch.inference_mode(mode=False):  # else autograd could not use them later
        return tuple(torch.tensor(members, device=device) for members in lists)


def decide(logits: Tensor, grouping: Grouping) -> Tensor:
    """Probabilities per category: logits [n, classes] -> float32 [n, categories], same device.

    Softmax in float64 (float32 on devices without it) over all classes, then the mean at each
    category's outputs. The answer is `argmax` over the categories, which takes the *first* of exact
    ties; the reference toolbox takes the alphabetically last. Differentiable.
    """
    import torch

    wide = torch.float32 if logits.device.type == "mps" else torch.float64
    probabilities = torch.softmax(logits.to(wide), dim=1)
    indices = _members(grouping, logits.device)
    if grouping.singles:
        return probabilities.index_select(1, indices[0]).float()
    columns = [probabilities.index_select(1, members).mean(dim=1) for members in indices]
    return torch.stack(columns, dim=1).float()
