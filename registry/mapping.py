"""A user's label space, from a YAML mapping file.

    name: birds-and-cars            # optional: the file's name otherwise
    classes: [robin, jay, sedan]    # in output order; or a label space's name ("imagenet1k")
    space: two-kinds                # the decision space that `groups` answers in
    groups:                         # optional: outputs as indices, WordNet ids or class names
      bird: [0, jay]
      car: [sedan]

`space` may be left out where the groups are the sixteen categories of "geirhos16".
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from registry.documents import read_document, shown, texts_in, unprintable
from registry.errors import LabelError
from registry.spaces import (
    LABEL_SPACES,
    Grouping,
    LabelSpace,
    built_in_space,
    by_classes,
    geirhos_groups,
)

_FIELDS = ("name", "classes", "space", "groups")
_FORM = (
    "expected `classes:` (a list in output order, or a label space's name) and optional `groups:`"
)


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
        raise LabelError(
            f"mapping file {path}: no field is called {', '.join(strange)[:300]}; {_FORM}."
        )
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
        raise LabelError(
            f"mapping file {path}: classes listed twice: {', '.join(twice[:5])[:300]}."
        )
    return classes, classes


def _outputs(path: Path, category: str, members: object, names: dict[str, int]) -> tuple[int, ...]:
    if not isinstance(members, list) or not members:
        raise LabelError(
            f"mapping file {path}: group '{category:.80}': expected a list of outputs."
        )
    count = max(names.values()) + 1
    found = []
    for member in members:
        index = member if isinstance(member, int) else names.get(str(member), -1)
        if not 0 <= index < count:
            raise LabelError(
                f"mapping file {path}: group '{category:.80}': {member!r:.80} is no output of the "
                f"{count} classes "
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
                    f"mapping file {path}: output {index} is in '{owner[index]}' and again in "
                    f"'{category}'; "
                    "an output belongs to one category, once."
                )
            owner[index] = category


def _grouping(path: Path, name: str, data: dict[str, Any], places: dict[str, int]) -> Grouping:
    raw = data["groups"]
    if not isinstance(raw, dict) or not raw:
        raise LabelError(
            f"mapping file {path}: field 'groups': expected category -> list of outputs."
        )
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
        raise LabelError(
            f"mapping file {path}: '{name}' is a built-in label space; choose another name."
        )
    places = {word: i for i, word in enumerate(words)} | {item: i for i, item in enumerate(classes)}
    own = Grouping(name, classes, tuple((i,) for i in range(len(classes))))
    spaces = {name: own, **by_classes(classes)}
    if "groups" in data:
        grouping = _grouping(path, name, data, places)
        spaces[grouping.space] = grouping
    return LabelSpace(name, classes, spaces, words)
