"""A network's own classes, as people have them: a list of names in a text or JSON file, or the folder of its classes.

Names are matched to WordNet ids and to the 16 categories of "geirhos16"; what is not matched is listed. The result is
a mapping file (see `registry.mapping`) beside the cards, so that the list may go away.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from registry.digests import digest_data
from registry.documents import MOST_BYTES, shown, texts_in, unprintable
from registry.errors import LabelError, some_of
from registry.places import absence, expanded, is_file, is_folder
from registry.spaces import LABEL_SPACES, built_in_space, by_classes, geirhos_groups
from registry.whole_files import write_whole

#: Names of files and folders that say nothing of their content.
_PLAIN_NAMES = frozenset(
    {"classes", "labels", "names", "class_names", "train", "val", "test", "valid", "validation"}
)


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

    Raises LabelError where it is none of these, or a name stands twice.
    """
    path = expanded(labels)
    names = _folders(path) if is_folder(path) else _listed(path)
    if len(names) < 2:
        raise LabelError(
            f"class list {shown(path)}: expected at least two names, found {len(names)}."
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise LabelError(f"class list {shown(path)}: listed twice: {', '.join(twice[:5])[:300]}.")
    return ClassList(space_name(path, model), tuple(names), tuple(map(match_name, names)))


def _folders(path: Path) -> list[str]:
    return sorted(
        one.name for one in path.iterdir() if one.is_dir() and not one.name.startswith(".")
    )


def _listed(path: Path) -> list[str]:
    if not is_file(path):
        raise LabelError(f"class list {shown(path)} {absence(path)}. Check the path.")
    if path.stat().st_size > MOST_BYTES:
        raise LabelError(f"class list {shown(path)} is larger than {MOST_BYTES // 2**20} MiB.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        names = _from_json(json.loads(text)) if path.suffix == ".json" else text.splitlines()
    except (ValueError, RecursionError) as error:
        raise LabelError(
            f"class list {shown(path)}: expected a name a line, or JSON: a list of names or index -> name "
            f"({shown(error)!s:.200})."
        ) from error
    names = [name.strip() for name in names if name.strip()]
    if odd := next((name for name in texts_in(names) if unprintable(name)), ""):
        raise LabelError(
            f"class list {shown(path)}: {shown(odd)[:80]!r} holds a control character."
        )
    return names


def _from_json(value: Any) -> list[str]:
    if isinstance(value, dict):
        places = sorted((int(index), name) for index, name in value.items())
        if [index for index, _ in places] != list(range(len(places))):
            raise ValueError("the indices are not 0, 1, 2, ...")
        value = [name for _, name in places]
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError("it holds something else")
    return value


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
    """The content of the mapping file. Names stay as they were given, for folders of the same classes carry them;
    only a list that covers ImageNet becomes its WordNet ids.
    """
    found = by_classes(
        [match or name for name, match in zip(classes.classes, classes.matched, strict=True)]
    )
    names: Sequence[str] = classes.matched if "imagenet1k" in found else classes.classes
    content: dict[str, Any] = {"name": classes.name, "classes": list(names)}
    if "geirhos16" in found and "imagenet1k" not in found:
        grouping = found["geirhos16"]
        members = zip(grouping.categories, grouping.indices, strict=True)
        content |= {
            "space": "geirhos16",
            "groups": {name: list(places) for name, places in members},
        }
    return content
