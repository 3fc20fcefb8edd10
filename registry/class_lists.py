"""Lists of classes in output order: of a file, of folders, stated inside a checkpoint or beside it; and the label space
that they name."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from registry.documents import own_table, read_bytes, read_json
from registry.files import digest_data, expanded, is_folder, write_whole
from registry.labels import LABEL_SPACES, by_classes, geirhos_groups, imagenet1k, label_space, spaces_of_size
from registry.user_errors import LabelError, foreign, shown, some_of, unprintable

_JSON = "Expected names in output order, name -> index or index -> name, alone or under a name such as id2label."
#: Names of files and folders that say nothing of their content.
_PLAIN_NAMES = frozenset({"classes", "labels", "names", "class_names", "train", "val", "test", "valid", "validation"})


@dataclass(frozen=True, kw_only=True)
class ClassList:
    """Classes in output order under the name of their space."""

    name: str
    classes: tuple[str, ...]
    matched: tuple[str, ...]  # WordNet id, category or "" of each

    def __str__(self) -> str:
        lost = [name for name, match in zip(self.classes, self.matched, strict=True) if not match]
        known = len(self.classes) - len(lost)
        text = f"{len(self.classes)} classes as the space '{self.name}'; {known} are WordNet or geirhos16 classes"
        return f"{text}; unmatched: {some_of(lost, 10)}" if lost else text


@dataclass(frozen=True, kw_only=True)
class Statement:
    """Names of the classes in output order, and the place that states them."""

    names: tuple[str, ...]
    where: str


def is_class_list(labels: str) -> bool:
    """Return whether `--labels` names a list of classes or a folder of them, and no label space or mapping file."""
    if labels in LABEL_SPACES:
        return False
    path = expanded(labels)
    return path.suffix in (".txt", ".json") or is_folder(path)


def _stated_in(file: Path) -> Statement | None:
    """Return the names that a .json (see `names_in_order` and `FIELDS`) or a list of a name a line states."""
    if file.suffix != ".json":
        content = read_bytes(file, "class list", LabelError)
        with foreign("class list", file, LabelError, "Expected a name a line."):
            lines = content.decode("utf-8-sig").splitlines()
        return Statement(names=tuple(line.strip() for line in lines if line.strip()), where=file.name)
    plain = read_json(file, "class list", LabelError, _JSON)
    with foreign("class list", file, LabelError, _JSON):
        names = names_in_order(plain)
    return stated_classes(plain, file) if names is None else Statement(names=names, where=file.name)


def read_class_list(labels: str, model: str) -> ClassList:
    """Read the classes of a .txt (a name a line), a .json (see `names_in_order`) or a folder of class folders, whose
    names are in the order of torchvision's `ImageFolder`. model: names the space if the file does not. Raises
    LabelError for another kind of file, and for a repeated name."""
    path = expanded(labels)
    if is_folder(path):
        listed = sorted(each.name for each in path.iterdir() if each.is_dir() and not each.name.startswith("."))
    elif (known := _stated_in(path)) is not None:
        listed = [*known.names]
    else:
        raise LabelError(f"class list {shown(path)} holds something else. {_JSON}")
    names = [name.strip() for name in listed if name.strip()]
    if odd := next((name for name in names if unprintable(name)), ""):
        raise LabelError(f"class list {shown(path)}: {shown(odd)[:80]!r} holds a control character.")
    if len(names) < 2:
        raise LabelError(f"class list {shown(path)}: expected at least two names, found {len(names)}.")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise LabelError(f"class list {shown(path)}: listed twice: {', '.join(twice[:5])[:300]}.")
    return ClassList(name=space_name(path, model), classes=tuple(names), matched=match_names(names))


def given_labels(labels: str, model: str, folder: Path) -> tuple[str, str]:
    """Return a label space, or the whole path of a mapping file, and a text to report: a list of classes becomes a
    mapping file below `folder`. Raises as `read_class_list`."""
    if is_class_list(labels):
        listed = read_class_list(labels, model)
        return str(write_mapping(listed, folder / "labels")), str(listed)
    is_file = labels.endswith((".yaml", ".yml"))
    return str(expanded(labels).resolve()) if is_file else labels, ""


def space_name(path: Path, model: str) -> str:
    """Return a name for the space: its folder's or file's, if that is specific."""
    name = path.name if is_folder(path) else path.stem
    if name.lower() in _PLAIN_NAMES:
        name = path.resolve().parent.name if is_folder(path) else model
    return f"{name}-classes" if name in LABEL_SPACES else name


def _plain(name: str) -> str:
    """Return a name in one spelling; words behind a WordNet id are left out ("n01440764_tench")."""
    wnid = re.match(r"n\d{8}(?![0-9a-z])|n\d{8}(?=_)", name)
    return wnid[0] if wnid else " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def match_name(name: str) -> str:
    """Return the WordNet id or category of a name, or ""."""
    known = _wnids_by_spelling().get(_plain(name), ())
    return known[0] if len(known) == 1 else ""


def match_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the WordNet id or category of each name of a list, or "". A word of two classes ("crane") that is listed
    twice stands for both, in WordNet's order. Of a thousand names each stands for the class whose first word it is,
    even if it is another word of another class ("missile")."""
    counts, first = Counter(map(_plain, names)), dict[str, str]()
    rest = {spelling: iter(wnids) for spelling, wnids in _wnids_by_spelling().items() if counts[spelling] == len(wnids)}
    if len(names) == len(imagenet1k()[0]):
        own = [(_plain(words.partition(",")[0]), wnid) for wnid, words in zip(*imagenet1k(), strict=True)]
        twice = Counter(spelling for spelling, _ in own)
        first = {spelling: wnid for spelling, wnid in own if twice[spelling] == 1 == counts[spelling]}
    plain = map(_plain, names)
    return tuple(first.get(each) or (next(rest[each]) if each in rest else match_name(each)) for each in plain)


@cache
def _wnids_by_spelling() -> Mapping[str, tuple[str, ...]]:
    known: dict[str, tuple[str, ...]] = {}
    for wnid, words in zip(*imagenet1k(), strict=True):
        for spelling in {_plain(word) for word in (words, *words.split(","))}:
            known[spelling] = (*known.get(spelling, ()), wnid)
        known[wnid] = (wnid,)
    return {**known, **{_plain(name): (name,) for name in geirhos_groups()}}


def write_mapping(classes: ClassList, folder: Path) -> Path:
    """Write the mapping file of a class list to `folder`; its name has its digest. Names stay as given, for folders
    carry them; only a list that covers ImageNet becomes its WordNet ids."""
    spaces = by_classes([match or name for name, match in zip(classes.classes, classes.matched, strict=True)])
    names = classes.matched if "imagenet1k" in spaces else classes.classes
    content: dict[str, Any] = {"name": classes.name, "classes": list(names)}
    if "geirhos16" in spaces and "imagenet1k" not in spaces:
        grouping = spaces["geirhos16"]
        members = zip(grouping.categories, grouping.indices, strict=True)
        content |= {"space": "geirhos16", "groups": {name: list(outputs) for name, outputs in members}}
    path = folder / f"{classes.name}-{digest_data(content)[:12]}.yaml"
    write_whole(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return path


FIELDS = frozenset(own_table("training_words")["classes"])
_LEVELS = 4  # of nested entries: {"hyper_parameters": {"data": {"class_to_idx": ...}}}


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


def stated_classes(content: Any, origin: str | Path) -> Statement | None:
    """Return the class order that a checkpoint's or configuration's entries state; None if none does. Raises LabelError
    if two entries contradict one another or an order has gaps."""
    found: list[Statement] = []
    for place, value in _entries(content, "", _LEVELS):
        with foreign(f"{place} of", origin, LabelError, "Correct it, or save weights without it and give --labels."):
            names = names_in_order(value)
        # Names that only count say nothing: "LABEL_0", "class 1", "0" at their own places.
        plain = [name.lower().removeprefix("label").removeprefix("class").strip("_- ") for name in names or ()]
        if names is not None and plain != [str(i) for i in range(len(names))]:
            found.append(Statement(names=tuple(name.strip() for name in names), where=place))
    for other in found[1:]:
        if other.names != found[0].names:
            pairs = enumerate(zip(found[0].names, other.names, strict=False))
            i = next((i for i, pair in pairs if len({*pair}) > 1), 0)
            said = (f"output {i} is {shown(each.names[i])[:60]!r} in {each.where}" for each in (found[0], other))
            raise LabelError(f"{shown(origin)} states two orders of its classes: {' and '.join(said)}. Keep one.")
    return found[0] if found else None


def classes_beside(weights: Path) -> Statement | None:
    """Return the class order of a list beside the weights ("class_to_idx.json", "labels.txt"); None without one. A list
    under the weights' own name ("net.classes.txt", "net.json") is first, config.json last."""
    stems = [f"{weights.stem}.{name}" for name in sorted(FIELDS)] + [weights.stem, *sorted(FIELDS), "config"]
    for file in (weights.with_name(f"{stem}{suffix}") for stem in stems for suffix in (".json", ".txt")):
        known = _stated_in(file) if file.is_file() else None
        if known is not None and len(known.names) > 1:
            return known
    return None


def labels_of_names(names: Sequence[str], labels: str | None, model: str, folder: Path) -> tuple[str, str, list[Path]]:
    """Return the label space of outputs with these names (a name or a mapping file), a text to report, and files
    written. labels: what the user asked for. Raises LabelError if it has other classes or another order, and if names
    mean nothing and nothing was asked for."""
    spaces = spaces_of_size(len(names))
    if len(names) == 1000 and {*names} == {str(i) for i in range(1000)}:  # folders of numbers, often sorted as text
        names = [imagenet1k()[0][int(name)] for name in names]
    if labels is not None:
        _, text, problem = _compared(names, labels)
        if problem:
            raise LabelError(f"--labels {shown(labels)} contradicts the names of the outputs: {problem}. One is wrong.")
        return labels, f"{labels}, as given; {text}", []
    for space in spaces:
        share, text, _ = _compared(names, space)
        if share >= 0.9:  # spellings differ; orders do not
            return space, f"{space}: {text}", []
    if all(re.fullmatch(r"(?:label|class)?[ _-]?\d+", name, re.IGNORECASE) for name in names):
        hint = f", such as --labels {' or '.join(spaces)}" if spaces else ": a list, a mapping file"
        raise LabelError(f"its {len(names)} outputs have no names ({names[0]}, ...): name them with --labels{hint}.")
    counts = Counter(names)
    single = tuple(name if counts[name] == 1 else f"{name} ({i})" for i, name in enumerate(names))
    listed = ClassList(name=f"{model}-classes", classes=single, matched=match_names(names))
    file = write_mapping(listed, folder / "labels")
    return str(file), str(listed), [file]


def _compared(names: Sequence[str], labels: str) -> tuple[float, str, str]:
    """Return the share of names that are those of a label space's classes at their outputs, a text about it, and in
    words the first class that both have at different outputs, or a different number of classes; "" without one."""
    space = label_space(labels)
    if len(space.classes) != len(names):
        return 0.0, "", f"it has {len(space.classes)} classes, and {len(names)} are named"
    known = match_names(space.classes)
    known = known if all(known) else match_names(space.words or space.classes)
    theirs = [match or _plain(name) for name, match in zip(space.classes, known, strict=True)]
    ours = [match or _plain(name) for name, match in zip(names, match_names(names), strict=True)]
    place, problem = {key: i for i, key in enumerate(theirs)}, ""
    if (moved := next((i for i, key in enumerate(ours) if place.get(key, i) != i), None)) is not None:
        problem = f"output {moved} is named {shown(names[moved])[:60]!r}, which is its class {place[ours[moved]]}"
    lost = [f"{i} '{names[i]}'" for i, key in enumerate(ours) if key != theirs[i]]
    agreeing = len(names) - len(lost)
    text = f"{agreeing} of {len(names)} names are those of its classes at their places"
    return agreeing / len(names), f"{text}; not matched: {some_of(lost, 5)}" if lost else text, problem
