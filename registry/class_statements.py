"""Class orders that files state: inside a checkpoint or a configuration, or in a list beside the weights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.errors import LabelError
from registry.foreign import foreign, read_bytes, read_json, shown
from registry.labels import ClassList, built_in_space, match_name

#: Entries in which training code keeps the classes: name -> index, index -> name, or names in output order.
FIELDS = frozenset(
    {
        *("class_to_idx", "class2idx", "label2id", "label_to_idx", "label_to_id"),
        *("idx_to_class", "idx2class", "id2label", "idx_to_label", "id_to_label", "index_to_class"),
        *("classes", "class_names", "classnames", "label_names", "labels", "names", "categories"),
    }
)
_LEVELS = 4  # of nested entries: {"hyper_parameters": {"data": {"class_to_idx": ...}}}


@dataclass(frozen=True, kw_only=True)
class Statement:
    """Names of the classes in output order, and the place that states them."""

    names: tuple[str, ...]
    where: str


def names_in_order(value: Any) -> tuple[str, ...] | None:
    """Return the names that a list, a mapping of names to indices, or of indices to names, puts in order; None for
    anything else. Raises ValueError if the indices are not 0, 1, 2, ..."""
    if isinstance(value, list | tuple):
        return tuple(value) if len(value) > 1 and all(isinstance(name, str) for name in value) else None
    if not isinstance(value, Mapping) or len(value) < 2:
        return None
    for pairs in ([(i, name) for name, i in value.items()], list(value.items())):
        whole = all(isinstance(name, str) and str(i).isascii() and str(i).isdecimal() for i, name in pairs)
        if whole and not all(isinstance(i, bool) for i, _ in pairs):
            ordered = sorted((int(i), name) for i, name in pairs)
            if [i for i, _ in ordered] != list(range(len(ordered))):
                raise ValueError("its indices are not 0, 1, 2, ...")
            return tuple(name for _, name in ordered)
    return None


def _entries(content: Any, path: str, levels: int) -> Iterator[tuple[str, Any]]:
    inner = content if isinstance(content, Mapping) else getattr(content, "__dict__", None)
    if not isinstance(inner, Mapping) or not levels:
        return
    for name, value in inner.items():
        place = f"{path}.{name}".lstrip(".")
        if str(name).lower() in FIELDS:
            yield place, value
        if isinstance(value, Mapping) or hasattr(value, "__dict__"):
            yield from _entries(value, place, levels - 1)


def _says_nothing(names: tuple[str, ...]) -> bool:
    """Return whether the names only count: "LABEL_0", "class 1", "0" at their own places."""
    return all(
        name.lower().removeprefix("label").removeprefix("class").strip("_- ") == str(i) for i, name in enumerate(names)
    )


def stated_classes(content: Any, origin: str | Path) -> Statement | None:
    """Return the class order that a checkpoint's or configuration's entries state; None if none does.

    Raises LabelError if two entries contradict one another or an order has gaps."""
    found: list[Statement] = []
    for place, value in _entries(content, "", _LEVELS):
        with foreign(
            f"{place} of", origin, LabelError, "Correct it, or save the weights without it and give --labels."
        ):
            names = names_in_order(value)
        if names is not None and not _says_nothing(names):
            found.append(Statement(names=tuple(name.strip() for name in names), where=place))
    for other in found[1:]:
        if other.names != found[0].names:
            i = next(
                (i for i, pair in enumerate(zip(found[0].names, other.names, strict=False)) if len({*pair}) > 1), 0
            )
            raise LabelError(
                f"{shown(origin)} states two orders of its classes: output {i} is {shown(found[0].names[i])[:60]!r} in "
                f"{found[0].where} and {shown(other.names[i])[:60]!r} in {other.where}. Keep the one that is true."
            )
    return found[0] if found else None


def classes_beside(weights: Path) -> Statement | None:
    """Return the class order of a list beside the weights ("class_to_idx.json", "labels.txt"); None without one.

    A list under the weights' own name ("net.classes.txt", "net.json") comes first. Raises LabelError."""
    stems = [f"{weights.stem}.{name}" for name in sorted(FIELDS)] + [weights.stem, *sorted(FIELDS)]
    for file in (weights.with_name(f"{stem}{suffix}") for stem in stems for suffix in (".json", ".txt")):
        if not file.is_file():
            continue
        if file.suffix == ".json":
            content = read_json(file, "class list", LabelError)
            with foreign("class list", file, LabelError):
                names = names_in_order(content)
            known = stated_classes(content, file) if names is None else Statement(names=names, where=file.name)
        else:
            with foreign("class list", file, LabelError):
                lines = read_bytes(file, "class list", LabelError).decode("utf-8-sig").splitlines()
            known = Statement(names=tuple(line.strip() for line in lines if line.strip()), where=file.name)
        if known is not None and len(known.names) > 1:
            return known
    return None


def class_list_of(statement: Statement, name: str) -> ClassList:
    """Return the classes of a statement under the name of a space, each with its WordNet id or category.

    The 1,000 numbers of ImageNet's classes in any order are its classes: folders of numbers are often sorted as text.
    Of 1,000 names of which at least 900 are ImageNet's, all at their places, the others are ImageNet's too (words such
    as "crane" name two classes)."""
    wnids = built_in_space("imagenet1k").classes
    names = statement.names
    if len(names) == len(wnids) and {*names} == {str(i) for i in range(len(wnids))}:
        matched = tuple(wnids[int(each)] for each in names)
        return ClassList(name=name, classes=matched, matched=matched)
    matched = tuple(map(match_name, names))
    if len(names) == len(wnids):
        at_home = [match == wnid for match, wnid in zip(matched, wnids, strict=True)]
        if sum(at_home) >= 900 and all(ok or not match for ok, match in zip(at_home, matched, strict=True)):
            matched = wnids
    if len({*names}) < len(names) and matched != wnids:
        twice = next(each for i, each in enumerate(names) if each in names[:i])
        raise LabelError(
            f"{statement.where} names two outputs {shown(twice)[:60]!r}: give --labels with distinct names."
        )
    return ClassList(name=name, classes=names, matched=matched)


def contradiction(statement: ClassList, given: ClassList) -> str:
    """Return in words the first class that two lists of equal length have at different places; "" without one."""
    place = {match or name: i for i, (name, match) in enumerate(zip(given.classes, given.matched, strict=True))}
    for i, (name, match) in enumerate(zip(statement.classes, statement.matched, strict=True)):
        other = place.get(match or name, i)
        if other != i:
            return f"{shown(name)[:60]!r} is output {i} of the one and output {other} of the other"
    return ""
