"""Outputs that come with names: which label space they are, and which names were not recognised."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from registry.errors import LabelError, some_of
from registry.labels import (
    ClassList,
    label_space,
    match_name,
    space_name,
    spaces_of_size,
    write_mapping,
)
from registry.soundness import Check

_NUMBERED = re.compile(r"(?:label|class)?[ _-]?\d+", re.IGNORECASE)
#: Label spaces whose classes folders may be named by, in the order in which they are tried.
_FOLDER_SPACES = ("imagenet1k", "geirhos16")
#: Share of the names that must be those of a label space at their places. Spellings differ; orders do not.
_ENOUGH = 0.9


def labels_of_names(
    names: Sequence[str], labels: str | None, model: str, folder: Path
) -> tuple[str, list[Check], list[Path]]:
    """The label space of outputs with these names: a name or a mapping file, what to tell the user, files written.

    labels: what the user says. Raises LabelError where names say nothing and the user neither.
    """
    if labels is not None:
        return labels, [_told(f"{labels}, as given; {_agreement(names, labels)}")], []
    for space in spaces_of_size(len(names)):
        at_place = _at_place(names, space)
        if at_place and sum(at_place) >= _ENOUGH * len(names):
            return space, [_told(f"{space}: {_agreement(names, space)}")], []
    if all(_NUMBERED.fullmatch(name) for name in names):
        known = spaces_of_size(len(names))
        hint = f", such as --labels {' or '.join(known)}" if known else ": a list, a mapping file"
        raise LabelError(
            f"its {len(names)} outputs have no names ({names[0]}, ...): say what they stand for with --labels{hint}."
        )
    single = [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names)]
    listed = ClassList(f"{model}-classes", tuple(single), tuple(map(match_name, single)))
    file = write_mapping(listed, folder / "labels")
    return str(file), [_told(str(listed))], [file]


def _told(text: str) -> Check:
    return Check("labels", True, text)


def labels_of_folders(
    classes: Sequence[str], space: str | None, place: Path, folder: Path
) -> tuple[str, tuple[int, ...], list[Path]]:
    """The label space of class folders, in any order: a name or a mapping file; for each of its outputs the place of
    its class in `classes`; files written, below `folder`.

    space: the label space that it must be; place: of the folders, which names a space of one's own. Raises LabelError
    where the classes of `space` are others.
    """
    if space:
        require_classes(classes, space)
    for name in (space,) if space else _FOLDER_SPACES:
        own = label_space(name).classes
        if set(own) == set(classes):
            at = {item: i for i, item in enumerate(classes)}
            return name, tuple(at[item] for item in own), []
    listed = ClassList(space_name(place, "own"), tuple(classes), tuple(map(match_name, classes)))
    file = write_mapping(listed, folder / "labels")
    return str(file), tuple(range(len(classes))), [file]


def require_classes(classes: Collection[str], space: str) -> None:
    """Raise LabelError where the classes, in any order, are not those of the label space."""
    own = set(label_space(space).classes)
    if own == set(classes):
        return
    lacking, strange = sorted(own - set(classes)), sorted(set(classes) - own)
    parts = [
        f"{len(names)} {what}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
        for names, what in ((lacking, "lack"), (strange, "are none of its classes"))
        if names
    ]
    raise LabelError(
        f"the classes are not those of label space '{space}': {'; '.join(parts)}. Name the class folders as its "
        "classes, or leave --labels out: the classes are then a space of their own."
    )


def _at_place(names: Sequence[str], space: str) -> list[bool]:
    """Whether each name is one of the words, or the WordNet id, of the class at its place; [] without words."""
    known = label_space(space)
    if len(known.classes) != len(names):
        return []
    words = known.words or known.classes
    pairs = zip(names, words, known.classes, strict=True)
    return [bool(_spellings(name) & (_spellings(word) | {wnid})) for name, word, wnid in pairs]


def _spellings(text: str) -> set[str]:
    return {" ".join(re.split(r"[\s_-]+", part.strip().lower())) for part in text.split(",")}


def _agreement(names: Sequence[str], space: str) -> str:
    """How many names are those of a label space, and which are not."""
    known = label_space(space)
    if len(known.classes) != len(names):
        return f"it has {len(known.classes)} classes, the network {len(names)} outputs"
    flags = _at_place(names, space)
    lost = [
        f"{i} '{name}'" for i, (name, good) in enumerate(zip(names, flags, strict=True)) if not good
    ]
    text = f"{sum(flags)} of {len(names)} names are those of its classes at their places"
    return f"{text}; not matched: {some_of(lost, 5)}" if lost else text
