"""Label spaces: what a network's outputs stand for, and in which decision spaces it can answer.

A decision groups outputs: softmax over *all* classes, then the arithmetic mean of the probabilities at each category's
outputs (Geirhos et al. 2019; never the sum: dog has 109 outputs and airplane one). Importing this module does not
import torch."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml

from registry.errors import LabelError, some_of, unknown_name
from registry.files import digest_data, expanded, is_folder, write_whole
from registry.foreign import foreign, read_bytes, read_document, read_json, shown, texts_in, unprintable

if TYPE_CHECKING:
    import torch
    from torch import Tensor


# The classes of label spaces, and those that come with the package.
#
# Importing this module does not import torch.


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
    """How outputs answer in a decision space: `indices[c]` are the outputs averaged for `categories[c]`; nothing: the
    output that says that there is none of them, of networks that may say so."""

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
    """The classes of a network in output order, and the decision spaces that they can be grouped into.

    classes: WordNet ids for ImageNet, category names elsewhere; words: readable names, in the same order."""

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
                f"label space '{self.name}' ({len(self.classes)} classes) cannot answer in '{space}'; it answers in "
                f"{', '.join(self.answers)}. A mapping file with `groups:` can add it."
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
    """The known decision spaces that a list of classes (WordNet ids or category names) covers wholly."""
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
            f"label space '{name}' needs the class list {_SYNSETS[name]}, which the installed timm does not ship. "
            "Update timm, or write the classes into a mapping file."
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


# A user's label space, from a YAML mapping file.
#
#     name: birds-and-cars            # optional: the file's name otherwise
#     classes: [robin, jay, sedan]    # in output order; or a label space's name ("imagenet1k")
#     space: two-kinds                # the decision space that `groups` answers in
#     groups:                         # optional: outputs as indices, WordNet ids or class names
#       bird: [0, jay]
#       car: [sedan]
#
# `space` may be left out where the groups are the sixteen categories of "geirhos16".


_FIELDS = ("name", "classes", "space", "groups")
_FORM = "expected `classes:` (a list in output order, or a label space's name) and optional `groups:`"


def _load(path: Path) -> dict[str, Any]:
    data = read_document(path, "mapping file", LabelError)
    if not isinstance(data, dict) or "classes" not in data:
        raise LabelError(f"mapping file {path}: {_FORM}.")
    if odd := next((text for text in texts_in(data) if unprintable(text)), ""):
        raise LabelError(
            f"mapping file {path}: {shown(odd)[:80]!r} holds the control character "
            f"{unprintable(odd)!r}; names of classes are plain text."
        )
    strange = sorted(str(key) for key in data if key not in _FIELDS)
    if strange:
        raise LabelError(f"mapping file {path}: no field is called {', '.join(strange)[:300]}; {_FORM}.")
    return data


def _classes(path: Path, value: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Classes and readable words."""
    if isinstance(value, str) and value in LABEL_SPACES:
        base = built_in_space(value)
        return base.classes, base.words
    if not isinstance(value, list) or not value:
        raise LabelError(f"mapping file {path}: field 'classes': {_FORM}, found {value!r:.60}.")
    classes = tuple(str(item) for item in value)
    twice = sorted(name for name, times in Counter(classes).items() if times > 1)
    if twice:
        raise LabelError(f"mapping file {path}: classes listed twice: {', '.join(twice[:5])[:300]}.")
    return classes, classes


def _outputs(path: Path, category: str, members: object, names: dict[str, int]) -> tuple[int, ...]:
    if not isinstance(members, list) or not members:
        raise LabelError(f"mapping file {path}: group '{category:.80}': expected a list of outputs.")
    count = max(names.values()) + 1
    found = []
    for member in members:
        index = member if isinstance(member, int) else names.get(str(member), -1)
        if not 0 <= index < count:
            raise LabelError(
                f"mapping file {path}: group '{category:.80}': {member!r:.80} is no output of the {count} classes "
                f"(expected an index from 0 to {count - 1}, a class or a WordNet id)."
            )
        found.append(index)
    return tuple(found)


def _disjoint(path: Path, groups: dict[str, tuple[int, ...]]) -> None:
    owner: dict[int, str] = {}
    for category, members in groups.items():
        for index in members:
            if index in owner:
                raise LabelError(
                    f"mapping file {path}: output {index} is in '{owner[index]}' and again in '{category}'; an output "
                    "belongs to one category, once."
                )
            owner[index] = category


def _grouping(path: Path, name: str, data: dict[str, Any], places: dict[str, int]) -> Grouping:
    raw = data["groups"]
    if not isinstance(raw, dict) or not raw:
        raise LabelError(f"mapping file {path}: field 'groups': expected category -> list of outputs.")
    groups = {str(key): _outputs(path, str(key), value, places) for key, value in raw.items()}
    _disjoint(path, groups)
    known = tuple(geirhos_groups())
    space = str(data.get("space") or ("geirhos16" if set(groups) == set(known) else ""))
    if space in ("", name):
        raise LabelError(
            f"mapping file {path}: field 'space': expected the decision space that `groups` answers "
            f"in (geirhos16, world16, or a name of its own other than '{name}')."
        )
    if space in ("geirhos16", "world16"):
        if set(groups) != set(known):
            lacking = sorted(set(known) - set(groups)) or sorted(set(groups) - set(known))
            raise LabelError(
                f"mapping file {path}: '{space}' has the categories {', '.join(known)}; "
                f"these do not fit: {', '.join(lacking)}."
            )
        groups = {category: groups[category] for category in known}
    return Grouping(space, tuple(groups), tuple(groups.values()))


def read_mapping(path: Path) -> LabelSpace:
    """Read a mapping file. Raises LabelError naming file, field and what was expected."""
    data = _load(path)
    classes, words = _classes(path, data["classes"])
    name = str(data.get("name") or path.stem)
    if name in LABEL_SPACES:
        raise LabelError(f"mapping file {path}: '{name}' is a built-in label space; choose another name.")
    places = {word: i for i, word in enumerate(words)} | {item: i for i, item in enumerate(classes)}
    own = Grouping(name, classes, tuple((i,) for i in range(len(classes))))
    spaces = {name: own, **by_classes(classes)}
    if "groups" in data:
        grouping = _grouping(path, name, data, places)
        spaces[grouping.space] = grouping
    return LabelSpace(name, classes, spaces, words)


__all__ = ["LABEL_SPACES", "Grouping", "LabelSpace", "by_classes", "decide", "geirhos_groups", "label_space"]

#: The least probability that the categories share, of which float32 still holds the hundred-millionth part.
LEAST = 1e-30


def label_space(name_or_path: str) -> LabelSpace:
    """A built-in label space by name, or a user's from a mapping file (see `registry.labels`).

    Raises UnknownName for a name that is neither, LabelError for a file that cannot be used."""
    if name_or_path in LABEL_SPACES:
        return built_in_space(name_or_path)
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

    Softmax in float64 (float32 on devices without it) over all classes, then the mean at each category's outputs. The
    answer is `argmax` over the categories, which takes the *first* of exact ties; the reference toolbox takes the
    alphabetically last. Where classes of no category take all but LEAST, the categories share LEAST in their own
    proportions: as they are they would all round to 0, and that tie is no answer. Differentiable."""
    import torch

    wide = logits.to(torch.float32 if logits.device.type == "mps" else torch.float64)
    parts = [wide.index_select(1, members) for members in _members(grouping, logits.device)]
    tops = [part.amax(dim=1, keepdim=True) for part in parts]
    top = torch.cat(tops, dim=1).amax(dim=1, keepdim=True).detach()
    top = top.clamp(min=torch.finfo(wide.dtype).min)
    share = (top - wide.logsumexp(dim=1, keepdim=True)).exp().clamp(min=LEAST)
    if grouping.singles:
        return ((parts[0] - top).exp() * share).float()
    columns = [(part - top).exp().mean(dim=1) for part in parts]
    return (torch.stack(columns, dim=1) * share).float()


# A network's own classes, as people have them: a list of names in a text or JSON file, or the folder of its classes.
#
# Names are matched to WordNet ids and to the 16 categories of "geirhos16"; what is not matched is listed. The result is
# a mapping file (see `registry.labels`) beside the cards, so that the list may go away.


#: Names of files and folders that say nothing of their content.
_PLAIN_NAMES = frozenset({"classes", "labels", "names", "class_names", "train", "val", "test", "valid", "validation"})


@dataclass(frozen=True)
class ClassList:
    """Classes in output order under the name of their space. matched: WordNet id, category or "" of each."""

    name: str
    classes: tuple[str, ...]
    matched: tuple[str, ...]

    def __str__(self) -> str:
        lost = [name for name, match in zip(self.classes, self.matched, strict=True) if not match]
        known = len(self.classes) - len(lost)
        text = f"{len(self.classes)} classes as the space '{self.name}'; {known} are WordNet or geirhos16 classes"
        return f"{text}; unmatched: {some_of(lost, 10)}" if lost else text


def is_class_list(labels: str) -> bool:
    """Whether `--labels` names a list of classes or a folder of them, and no label space or mapping file."""
    if labels in LABEL_SPACES:
        return False
    path = expanded(labels)
    return path.suffix in (".txt", ".json") or is_folder(path)


def read_class_list(labels: str, model: str) -> ClassList:
    """The classes of a .txt (a name a line), a .json (a list, or index -> name) or a folder of class folders, whose
    names come in the order of torchvision's `ImageFolder`. model: names the space where the file does not.

    Raises LabelError where it is none of these, or a name stands twice."""
    path = expanded(labels)
    names = _folders(path) if is_folder(path) else _listed(path)
    if len(names) < 2:
        raise LabelError(f"class list {shown(path)}: expected at least two names, found {len(names)}.")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise LabelError(f"class list {shown(path)}: listed twice: {', '.join(twice[:5])[:300]}.")
    return ClassList(space_name(path, model), tuple(names), tuple(map(match_name, names)))


def _folders(path: Path) -> list[str]:
    return sorted(one.name for one in path.iterdir() if one.is_dir() and not one.name.startswith("."))


def _listed(path: Path) -> list[str]:
    expected = "Expected a name a line, or JSON: a list of names or index -> name."
    if path.suffix == ".json":
        plain = read_json(path, "class list", LabelError, expected)
        with foreign("class list", path, LabelError, expected):
            value = plain
            if isinstance(value, dict):
                places = sorted((int(index), name) for index, name in value.items())
                if [index for index, _ in places] != list(range(len(places))):
                    raise ValueError("the indices are not 0, 1, 2, ...")
                value = [name for _, name in places]
            if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
                raise ValueError("it holds something else")
            names = value
    else:
        content = read_bytes(path, "class list", LabelError)
        with foreign("class list", path, LabelError, expected):
            names = content.decode("utf-8-sig").splitlines()
    names = [name.strip() for name in names if name.strip()]
    if odd := next((name for name in texts_in(names) if unprintable(name)), ""):
        raise LabelError(f"class list {shown(path)}: {shown(odd)[:80]!r} holds a control character.")
    return names


def space_name(path: Path, model: str) -> str:
    """What the space is called: the folder or file, where its name says something."""
    name = path.name if is_folder(path) else path.stem
    if name.lower() in _PLAIN_NAMES:
        name = path.resolve().parent.name if is_folder(path) else model
    return f"{name}-classes" if name in LABEL_SPACES else name


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def match_name(name: str) -> str:
    """The WordNet id or category that a name stands for; "" for others."""
    return _known().get(_plain(name), "")


def _known() -> dict[str, str]:
    """Plain spelling -> WordNet id or category; words that stand for two classes are left out."""
    space = built_in_space("imagenet1k")
    pairs: list[tuple[str, str]] = []
    for wnid, words in zip(space.classes, space.words, strict=True):
        spellings = {_plain(word) for word in (words, *words.split(","))}
        pairs += [(one, wnid) for one in spellings]
    counts = Counter(spelling for spelling, _ in pairs)
    known = {spelling: wnid for spelling, wnid in pairs if counts[spelling] == 1}
    known |= {wnid: wnid for wnid in space.classes}
    return known | {_plain(category): category for category in geirhos_groups()}


def write_mapping(classes: ClassList, folder: Path) -> Path:
    """The mapping file of a class list, in `folder`: its name holds its digest, so an equal list is the same file."""
    content = mapping_of(classes)
    path = folder / f"{classes.name}-{digest_data(content)[:12]}.yaml"
    write_whole(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return path


def mapping_of(classes: ClassList) -> dict[str, Any]:
    """The content of the mapping file. Names stay as they were given, for folders of the same classes carry them; only
    a list that covers ImageNet becomes its WordNet ids."""
    found = by_classes([match or name for name, match in zip(classes.classes, classes.matched, strict=True)])
    names: Sequence[str] = classes.matched if "imagenet1k" in found else classes.classes
    content: dict[str, Any] = {"name": classes.name, "classes": list(names)}
    if "geirhos16" in found and "imagenet1k" not in found:
        grouping = found["geirhos16"]
        members = zip(grouping.categories, grouping.indices, strict=True)
        content |= {"space": "geirhos16", "groups": {name: list(places) for name, places in members}}
    return content
