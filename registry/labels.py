"""Label spaces: the meaning of a network's outputs, and the coarser spaces in which it can answer. A decision is the
mean of the probabilities at a category's outputs (Geirhos et al. 2019). Nothing here imports torch."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml

from registry.documents import own_table, read_bytes, read_document, read_json
from registry.files import digest_data, expanded, is_folder, mappings_in, parts_in, write_whole
from registry.user_errors import LabelError, foreign, shown, some_of, unknown_name, unprintable

if TYPE_CHECKING:
    import torch
    from torch import Tensor


_FOLDER = Path(__file__).parent / "label_spaces"
_SYNSETS: Mapping[str, str] = own_table("label_spaces/synsets")
#: The least probability that the categories share, of which float32 still holds the hundred-millionth part.
LEAST = 1e-30
LABEL_SPACES = ("coco80", "geirhos16", "imagenet1001", "imagenet1k", *_SYNSETS, "world16")


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """How outputs answer in a label space: `indices[c]` are the outputs averaged for `categories[c]`."""

    space: str
    categories: tuple[str, ...]
    indices: tuple[tuple[int, ...], ...]
    nothing: int | None = None  # the output for "none of them", if the network has one


@dataclass(frozen=True, kw_only=True)
class LabelSpace:
    """A label space lists a network's classes in output order, and the spaces that they can be grouped into."""

    name: str
    classes: tuple[str, ...]  # WordNet ids for ImageNet, category names elsewhere
    groupings: Mapping[str, Grouping]
    words: tuple[str, ...] = field(default=(), compare=False)  # readable names, in the same order

    @property
    def answers(self) -> tuple[str, ...]:
        """Return the label spaces that the classes can answer in, their own first."""
        return tuple(self.groupings)

    def grouping(self, space: str, categories: Mapping[str, Sequence[str]] = MappingProxyType({})) -> Grouping:
        """Return the grouping onto `space`. Raises LabelError if the classes do not cover it. A space that is not built
        in has `categories`: category -> the classes (WordNet ids or names) that stand for it beside the one of its
        name. Kinds of a WordNet id stand for the most special category, too. One without a class is left out."""
        if space in self.groupings:
            return self.groupings[space]
        places = _places(self.words) | _places(self.classes)
        outputs = {c: [places[k] for k in dict.fromkeys((c, *own)) if k in places] for c, own in categories.items()}
        taken = {output for each in outputs.values() for output in each}
        wanted = {k: outputs[c] for c, own in categories.items() for k in own if k in hypernyms()}
        for output, wnid in enumerate(self.classes) if wanted else ():
            if output not in taken and (above := _lineage(wnid) & wanted.keys()):
                wanted[max(above, key=lambda k: (len(_lineage(k)), k))].append(output)
        known = {category: tuple(each) for category, each in outputs.items() if each}
        if not known:
            answers = ", ".join(self.answers)
            raise LabelError(f"label space '{self.name}' cannot answer in '{space}'; it answers in {answers}.")
        nothing = self.groupings[self.name].nothing
        return Grouping(space=space, categories=tuple(known), indices=tuple(known.values()), nothing=nothing)

    @cached_property
    def digest(self) -> str:
        """Return the content digest: classes and groupings, not the name."""
        groups = {name: [g.categories, g.indices] for name, g in self.groupings.items()}
        return digest_data([self.classes, groups])


def with_nothing(space: LabelSpace) -> LabelSpace:
    """Return the same classes and one more output, the last, for nothing found."""
    at = len(space.classes)
    groupings = {name: replace(grouping, nothing=at) for name, grouping in space.groupings.items()}
    words = (*space.words, "nothing") if space.words else ()
    return LabelSpace(name=space.name, classes=(*space.classes, "nothing"), groupings=groupings, words=words)


def _places(classes: Sequence[str]) -> dict[str, int]:
    return {name: index for index, name in enumerate(classes)}


def _single(space: str, categories: Sequence[str], places: Mapping[str, int]) -> Grouping:
    """Return the grouping in which every category has one output. places: category -> output."""
    return Grouping(space=space, categories=tuple(categories), indices=tuple((places[c],) for c in categories))


def _space(name: str, classes: Sequence[str], words: Sequence[str] = ()) -> LabelSpace:
    """Return the label space of classes (WordNet ids or names), which answers in all others that they cover wholly."""
    (wnids, _), groups, places = imagenet1k(), geirhos_groups(), _places(classes)
    groupings = {name: _single(name, classes, places)}
    if places.keys() >= {*wnids}:
        groupings["imagenet1k"] = _single("imagenet1k", wnids, places)
    if all(wnids[i] in places for members in groups.values() for i in members):
        outputs = tuple(tuple(places[wnids[i]] for i in members) for members in groups.values())
        groupings["geirhos16"] = Grouping(space="geirhos16", categories=tuple(groups), indices=outputs)
    elif places.keys() >= groups.keys():
        groupings["geirhos16"] = _single("geirhos16", tuple(groups), places)
    return LabelSpace(name=name, classes=tuple(classes), groupings=groupings, words=tuple(words))


@cache
def geirhos_groups() -> Mapping[str, tuple[int, ...]]:
    """Return category -> ImageNet-1k outputs, the sixteen categories in alphabetical order."""
    return {name: _outputs(items) for name, items in own_table("label_spaces/geirhos16").items()}


@cache
def subset_groups(name: str) -> Mapping[str, tuple[int, ...]]:
    """Return the groups of a published test set of some of ImageNet's classes ("imagenet-a", "imagenet-r", "objectnet",
    "laion-c"); empty for every other set. A group maps a class (a WordNet id, ObjectNet's folder or a super-class) to
    the ImageNet-1k outputs that are correct for it."""
    table, (wnids, _) = own_table("label_spaces/natural").get(name, []), imagenet1k()
    if isinstance(table, dict):
        return {folder: _outputs(items) for folder, items in table.items()}
    return {wnids[output]: (output,) for output in _outputs(table)}


def _outputs(items: Sequence[Any]) -> tuple[int, ...]:
    ends = [str(item).partition("-")[::2] for item in items]
    return tuple(i for first, last in ends for i in range(int(first), int(last or first) + 1))


def _lines(name: str) -> list[str]:
    return [line for line in (_FOLDER / name).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


@cache
def hypernyms() -> Mapping[str, tuple[str, ...]]:
    """Return WordNet id -> the ids above it: of ImageNet's classes, up to the top of WordNet 3.0."""
    return {wnid: tuple(above) for wnid, *above in map(str.split, _lines("hypernyms.txt"))}


@cache
def _lineage(wnid: str) -> frozenset[str]:
    """Return a WordNet id and all that are above it."""
    return frozenset({wnid}).union(*map(_lineage, hypernyms().get(wnid, ())))


@cache
def imagenet1k() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the WordNet ids and the words of ImageNet-1k's classes, in output order."""
    wnids, words = zip(*(line.split("\t")[:2] for line in _lines("imagenet1k.txt")), strict=True)
    return wnids, words


@cache
def built_in_space(name: str) -> LabelSpace:
    """Return the label space of one of `LABEL_SPACES`."""
    if name in ("geirhos16", "world16"):
        names = tuple(geirhos_groups())
        return LabelSpace(name=name, classes=names, groupings={name: _single(name, names, _places(names))}, words=names)
    if name == "coco80":
        return _space(name, _lines("coco80.txt"), _lines("coco80.txt"))
    wnids, words = imagenet1k()
    if name == "imagenet1001":
        wnids, words = ("background", *wnids), ("background", *words)
    if name not in _SYNSETS:
        return _space(name, wnids, words)
    spec = importlib.util.find_spec("timm")
    file = Path(spec.origin).parent / "data" / "_info" / _SYNSETS[name] if spec and spec.origin else None
    if file is None or not file.is_file():
        raise LabelError(f"label space '{name}' needs {_SYNSETS[name]}, which this timm lacks: update timm.")
    return _space(name, file.read_text(encoding="utf-8").split(), words)


def spaces_of_size(count: int) -> tuple[str, ...]:
    """Return the built-in label spaces of so many classes, as far as the installed timm has their lists."""
    names = []
    for name in LABEL_SPACES:
        with suppress(LabelError):
            names += [name] * (len(built_in_space(name).classes) == count)
    return tuple(names)


# A user's label space, from a YAML mapping file.
#
#     name: birds-and-cars            # optional: the file's name otherwise
#     classes: [robin, jay, sedan]    # in output order; or a label space's name ("imagenet1k")
#     space: two-kinds                # the label space that `groups` answers in
#     groups:                         # optional: outputs as indices, WordNet ids or class names
#       bird: [0, jay]
#       car: [sedan]
#
# `space` may be left out where the groups are the sixteen categories of "geirhos16".

_FORM = "expected `classes:` (a list in output order, or a label space's name) and optional `groups:`"


def read_mapping(path: Path) -> LabelSpace:
    """Read a mapping file. Raises LabelError naming file, field and expected form."""
    data, where = read_document(path, "mapping file", LabelError), f"mapping file {path}"
    if not isinstance(data, dict) or "classes" not in data:
        raise LabelError(f"{where}: {_FORM}.")
    if strange := sorted(str(key) for key in data if key not in ("name", "classes", "space", "groups")):
        raise LabelError(f"{where}: no field is called {shown(', '.join(strange)[:300])}; {_FORM}.")
    _require_printable(parts_in(data, str), where)
    value = data["classes"]
    if isinstance(value, str) and value in LABEL_SPACES:
        classes, words = built_in_space(value).classes, built_in_space(value).words
    elif isinstance(value, list) and value:
        classes = words = tuple(str(item) for item in value)
        if twice := [name for name, times in Counter(classes).items() if times > 1]:
            raise LabelError(f"{where}: classes listed twice: {', '.join(twice[:5])[:300]}.")
    else:
        raise LabelError(f"{where}: field 'classes': {_FORM}, found {value!r:.60}.")
    name = str(data.get("name") or path.stem)
    if name in LABEL_SPACES:
        raise LabelError(f"{where}: '{name}' is a built-in label space; choose another name.")
    space = _space(name, classes, words)
    if "groups" not in data:
        return space
    grouping = _grouping(data, space, where)
    return replace(space, groupings={**space.groupings, grouping.space: grouping})


def _grouping(data: dict[str, Any], own: LabelSpace, where: str) -> Grouping:
    """Return the field `groups` of a mapping file. own: the space of its classes."""
    raw, known, places = data["groups"], tuple(geirhos_groups()), _places(own.words) | _places(own.classes)
    if not isinstance(raw, dict) or not raw or not all(isinstance(each, list) and each for each in raw.values()):
        raise LabelError(f"{where}: field 'groups': expected category -> list of outputs.")
    taken = set[int]()
    groups = dict[str, tuple[int, ...]]()
    for category, members in raw.items():
        outputs = [member if isinstance(member, int) else places.get(str(member), -1) for member in members]
        for member, output in zip(members, outputs, strict=True):
            if not 0 <= output < len(own.classes) or output in taken:
                expected = f"an output (an index from 0 to {len(own.classes) - 1} or a class), or is in two groups"
                raise LabelError(f"{where}: group '{category!s:.80}': {member!r:.80} is not {expected}.")
            taken.add(output)
        groups[str(category)] = tuple(outputs)
    space = str(data.get("space") or ("geirhos16" if set(groups) == set(known) else ""))
    if space in ("", own.name):
        raise LabelError(f"{where}: field 'space': expected geirhos16, world16, or another name than the file's.")
    if space in ("geirhos16", "world16"):
        if odd := sorted(set(known) ^ set(groups)):
            categories = f"'{space}' has the categories {', '.join(known)}"
            raise LabelError(f"{where}: {categories}; these do not fit: {', '.join(odd)}.")
        groups = {category: groups[category] for category in known}
    return Grouping(space=space, categories=tuple(groups), indices=tuple(groups.values()))


def _require_printable(names: Iterable[str], where: str) -> None:
    if odd := next(filter(unprintable, names), ""):
        control = f"{shown(odd)[:80]!r} holds the control character {unprintable(odd)!r}"
        raise LabelError(f"{where}: {control}; class names are plain text.")


def label_space(name_or_path: str) -> LabelSpace:
    """Return a built-in label space by name, or a user's from a mapping file (see `registry.labels`). Raises
    UnknownName for a name that is neither, LabelError for a file that cannot be used."""
    if name_or_path in LABEL_SPACES:
        return built_in_space(name_or_path)
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return read_mapping(path)
    raise unknown_name("label space", name_or_path, LABEL_SPACES, "A mapping file's path (.yaml) works too.")


@lru_cache(maxsize=16)
def _members(grouping: Grouping, device: torch.device) -> tuple[Tensor, ...]:
    """Return index tensors on `device`: one if every category has one output, otherwise one per category."""
    import torch

    single = all(len(members) == 1 for members in grouping.indices)
    lists = (tuple(members[0] for members in grouping.indices),) if single else grouping.indices
    with torch.inference_mode(mode=False):  # else autograd could not use them later
        return tuple(torch.tensor(members, device=device) for members in lists)


def decide(logits: Tensor, grouping: Grouping) -> Tensor:
    """Return the probabilities per category: logits [n, classes] -> float32 [n, categories], same device.

    Softmax in float64 (float32 on devices without it) over all classes, then the mean at each category's outputs. The
    answer is `argmax` over the categories, which takes the *first* of exact ties; the reference toolbox takes the
    alphabetically last. If classes outside all categories take all but LEAST, the categories share LEAST in their own
    proportions: otherwise all would round to 0, and that tie is not an answer. Differentiable."""
    import torch

    wide = logits.to(torch.float32 if logits.device.type == "mps" else torch.float64)
    parts = [wide.index_select(1, members) for members in _members(grouping, logits.device)]
    tops = [part.amax(dim=1, keepdim=True) for part in parts]
    top = torch.cat(tops, dim=1).amax(dim=1, keepdim=True).detach()
    top = top.clamp(min=torch.finfo(wide.dtype).min)
    share = (top - wide.logsumexp(dim=1, keepdim=True)).exp().clamp(min=LEAST)
    weights = [(part - top).exp() for part in parts]
    if len(parts) == len(grouping.indices):  # otherwise every category has one output: nothing is averaged
        weights = [part.mean(dim=1, keepdim=True) for part in weights]
    return (torch.cat(weights, dim=1) * share).float()


# Lists of classes in output order: of a file, of folders, stated inside a checkpoint or beside it; and the label space
# that they name.

_JSON = "Expected names in output order, name -> index or index -> name, alone or under a name such as id2label."
#: Entries of files, and lists beside them, that state an order.
FIELDS = frozenset(own_table("training_words")["classes"])
#: Names of files and folders that say nothing of their content.
_PLAIN_NAMES = frozenset({"classes", "labels", "names", "class_names", "train", "val", "test", "valid", "validation"})


def _stated_in(file: Path) -> tuple[tuple[str, ...], str] | None:
    """Return the names that a .json (see `names_in_order`, `FIELDS`) or a list of a name a line states, and where."""
    if file.suffix != ".json":
        content = read_bytes(file, "class list", LabelError)
        with foreign("class list", file, LabelError, "Expected a name a line."):
            lines = content.decode("utf-8-sig").splitlines()
        return tuple(line.strip() for line in lines if line.strip()), file.name
    plain = read_json(file, "class list", LabelError, _JSON)
    with foreign("class list", file, LabelError, _JSON):
        names = names_in_order(plain)
    return stated_classes(plain, file) if names is None else (names, file.name)


def read_class_list(path: Path) -> tuple[str, ...]:
    """Return the classes of a .txt (a name a line), a .json (see `names_in_order`) or a folder of class folders, in the
    order of torchvision's `ImageFolder`. Raises LabelError for another kind of file, and for a repeated name."""
    where = f"class list {shown(path)}"
    if is_folder(path):
        listed = sorted(each.name for each in path.iterdir() if each.is_dir() and not each.name.startswith("."))
    elif (known := _stated_in(path)) is not None:
        listed = [*known[0]]
    else:
        raise LabelError(f"{where} holds something else. {_JSON}")
    names = tuple(name.strip() for name in listed if name.strip())
    _require_printable(names, where)
    if len(names) < 2:
        raise LabelError(f"{where}: expected at least two names, found {len(names)}.")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise LabelError(f"{where}: listed twice: {', '.join(twice[:5])[:300]}.")
    return names


def given_labels(labels: str, model: str, folder: Path) -> tuple[str, str]:
    """Return a label space, or the whole path of a mapping file, and a text to report: a list of classes becomes a
    mapping file below `folder`. Raises as `read_class_list`."""
    path = expanded(labels)
    if labels not in LABEL_SPACES and (path.suffix in (".txt", ".json") or is_folder(path)):
        file, text = write_mapping(space_name(path, model), read_class_list(path), folder / "labels")
        return str(file), text
    return str(path.resolve()) if path.suffix in (".yaml", ".yml") else labels, ""


def space_name(path: Path, model: str) -> str:
    """Return the folder's or file's name for the space, if that is specific."""
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


def write_mapping(
    name: str, classes: Sequence[str], folder: Path, matched: Sequence[str] | None = None
) -> tuple[Path, str]:
    """Write the mapping file of classes in output order to `folder`; return it, and a text about the classes. Its name
    has its digest. Names stay as given, for folders carry them; only a list that covers ImageNet becomes its WordNet
    ids. matched: as of `match_names`, where repeated names had to be told apart."""
    matched = matched or match_names(classes)
    groupings = _space(name, [match or own for own, match in zip(classes, matched, strict=True)]).groupings
    content: dict[str, Any] = {"name": name, "classes": [*(matched if "imagenet1k" in groupings else classes)]}
    if "geirhos16" in groupings and "imagenet1k" not in groupings:
        members = zip(groupings["geirhos16"].categories, groupings["geirhos16"].indices, strict=True)
        content |= {"space": "geirhos16", "groups": {category: [*outputs] for category, outputs in members}}
    path = folder / f"{name}-{digest_data(content)[:12]}.yaml"
    write_whole(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    lost = [own for own, match in zip(classes, matched, strict=True) if not match]
    known = f"{len(classes) - len(lost)} are WordNet or geirhos16 classes"
    text = f"{len(classes)} classes as the space '{name}'; {known}"
    return path, f"{text}; unmatched: {some_of(lost, 10)}" if lost else text


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


def stated_classes(content: Any, origin: str | Path) -> tuple[tuple[str, ...], str] | None:
    """Return the class order that a checkpoint's or configuration's entries state; None if none does. Raises LabelError
    if two entries contradict one another or an order has gaps."""
    found = list[tuple[tuple[str, ...], str]]()
    parts = ((place, name, value) for place, part in mappings_in(content) for name, value in part.items())
    entries = ((f"{place}.{name}".lstrip("."), v) for place, name, v in parts if str(name).lower() in FIELDS)
    for place, value in entries:
        with foreign(f"{place} of", origin, LabelError, "Correct it, or save weights without it and give --labels."):
            names = names_in_order(value)
        # Names that only count say nothing: "LABEL_0", "class 1", "0" at their own places.
        plain = [name.lower().removeprefix("label").removeprefix("class").strip("_- ") for name in names or ()]
        if names is not None and plain != [str(i) for i in range(len(names))]:
            found.append((tuple(name.strip() for name in names), place))
    for other in found[1:]:
        if other[0] != found[0][0]:
            pairs = enumerate(zip(found[0][0], other[0], strict=False))
            i = next((i for i, pair in pairs if len({*pair}) > 1), 0)
            said = (f"output {i} is {shown(names[i])[:60]!r} in {where}" for names, where in (found[0], other))
            raise LabelError(f"{shown(origin)} states two orders of its classes: {' and '.join(said)}. Keep one.")
    return found[0] if found else None


def classes_beside(weights: Path) -> tuple[tuple[str, ...], str] | None:
    """Return the class order of a list beside the weights ("class_to_idx.json", "labels.txt"); None without one. A list
    under the weights' own name ("net.classes.txt", "net.json") is first, config.json last."""
    stems = [f"{weights.stem}.{name}" for name in sorted(FIELDS)] + [weights.stem, *sorted(FIELDS), "config"]
    for file in (weights.with_name(f"{stem}{suffix}") for stem in stems for suffix in (".json", ".txt")):
        known = _stated_in(file) if file.is_file() else None
        if known is not None and len(known[0]) > 1:
            return known
    return None


def labels_of_names(names: Sequence[str], labels: str | None, model: str, folder: Path) -> tuple[str, str, list[Path]]:
    """Return the label space of outputs with these names (a name or a mapping file), a text to report, and files
    written. Raises LabelError if the `labels` that were asked for contradict the names, or names only count."""
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
    file, text = write_mapping(f"{model}-classes", single, folder / "labels", match_names(names))
    return str(file), text, [file]


def _compared(names: Sequence[str], labels: str) -> tuple[float, str, str]:
    """Return the share of names that are those of a label space's classes at their outputs, and a text about it. The
    problem comes third: another number of classes, or the first class that is elsewhere; "" if there is none."""
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
