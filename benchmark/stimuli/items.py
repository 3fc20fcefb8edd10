"""The images of a folder with their labels in a fixed order; no image is read."""

import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array
from benchmark.failures import StimuliError
from benchmark.stimuli import manifests
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.experiments import Experiment, published_experiments, read_experiment
from benchmark.stimuli.image_files import text_digest
from benchmark.stimuli.image_names import GEIRHOS16, WNID, stimulus_id, wnid_of
from benchmark.stimuli.manifests import ImageNames
from benchmark.stimuli.text_tables import read_frame
from registry.labels import label_space, match_name, subset_groups
from registry.user_errors import foreign

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".tif", ".tiff"})
_ENDINGS = tuple(SUFFIXES)
#: Label spaces with the sixteen categories.
SIXTEEN = frozenset({"geirhos16", "world16"})
Size = tuple[int, int]  # height, width
Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """Holds the masks and maps of an image. Their functions can be sent to worker processes."""

    mask: Callable[[Size], Flags] | None = None  # the image's (height, width) -> HW bool, true on the object
    ignored: Callable[[Size], Flags] | None = None  # likewise, the pixels that are neither object nor background
    #: (height, width) -> HW float32, how much people used each pixel.
    importance: Callable[[Size], NDArray[np.float32]] | None = None
    files: tuple[Path, ...] = ()  # with `text`: everything that decides the functions, for the item's digest
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One image."""

    id: str
    path: Path
    labels: Mapping[str, str]
    annotation: Annotation | None = None


@dataclass(frozen=True)
class LeftOut:
    """An image that the set does not show; images are counted by reason."""

    reason: str
    absent: bool = False  # the image belongs to the set, but its file is absent


def images_below(folder: Path) -> Iterator[Path]:
    """Yield the image files of a folder tree in a fixed order, without hidden files and folders."""
    for parts, images, _ in _tree(folder, deepest=None):
        yield from (folder.joinpath(*parts, name) for name in sorted(images))


def check_category(category: str, space: str, where: object) -> None:
    """Raise StimuliError if `category` is not in the label space."""
    if space in SIXTEEN and category not in GEIRHOS16:
        raise StimuliError(f"{where}: '{category}' is not one of the 16 categories ({', '.join(GEIRHOS16)}).")
    if space == "imagenet1k" and not WNID.fullmatch(category):
        raise StimuliError(f"{where}: '{category}' is not a WordNet id such as n01440764.")


def check_spelling(folder: Path, names: Sequence[str]) -> None:
    """Raise StimuliError if a name is not UTF-8, which no leaderboard or catalogue can store."""
    with foreign("names in", folder, StimuliError, "One is not UTF-8. Rename the file or folder."):
        "".join(names).encode()


def label_table(folder: Path) -> dict[str, list[str]]:
    """Read the columns of a folder's `labels.csv`; {} if there is none that can be read."""
    with suppress(OSError, ValueError, csv.Error), (folder / "labels.csv").open(encoding="utf-8-sig") as file:
        header, *rows = csv.reader(file)
        return {name: [row[i] for row in rows if i < len(row)] for i, name in enumerate(header)}
    return {}


def labelled_images(entry: Entry, folder: Path) -> Iterator[Item]:
    """Yield the images of `images/` that `labels.csv` lists, in its order, with its columns. Raises StimuliError."""
    table = folder / "labels.csv"
    for where, name, path, labels in _tabled(table, folder / "images", {}, str(table)):
        check_category(labels["category"], entry.space, where)
        yield Item(id=name, path=path, labels=labels)


def shown_images(entry: Entry, folder: Path) -> Iterator[Item]:
    """Yield the images of an added experiment, or of a set that has the form of a published one."""
    published = published_experiments()
    if entry.experiment:
        own = read_experiment(Path(entry.experiment))
    elif entry.layout == "cue-conflict":
        own = published[entry.layout]
    else:
        own = published.get(entry.name) or replace(published["contrast"], name=entry.name, conditions={}, unlisted=True)
    for name, path, labels in experiment_images(own, folder):
        condition = labels.get("condition", "")
        # The digests of published sets cover the column, empty where there is one condition.
        column = {"condition": condition} if entry.layout == "session" else {}
        yield Item(id=stimulus_id(condition, name), path=path, labels={**labels, **column})


def experiment_images(own: Experiment, place: Path | None = None) -> Iterator[tuple[str, Path, dict[str, str]]]:
    """Yield name, file and labels of an added experiment's images. Raises StimuliError naming the line of the YAML."""
    shown = own.stimuli
    assert shown is not None
    folder = place or (Path(own.file).parent / shown.folder).resolve()
    if not folder.is_dir():
        raise StimuliError(f"{own.where('stimuli.folder')}: there is no folder {folder}.")
    rows: Iterable[tuple[Path, Mapping[str, str]]]
    if shown.table:
        tabled = _tabled(folder / shown.table, folder, shown.columns, own.where("stimuli.columns"))
        said = dict.fromkeys(("category", *shown.columns))
        rows = ((path, {key: labels[key] for key in said if key in labels}) for _, _, path, labels in tabled)
    else:
        rows = ((path, own.labels_of(path.relative_to(folder).as_posix())) for path in images_below(folder))
    for path, found in rows:
        if not found:
            form = shown.example or shown.names or "[CONDITION/]CATEGORY/IMAGE"
            raise StimuliError(f"{own.where('stimuli.names')}: {path} has another form than '{form}'.")
        labels = own.completed(found)
        labels["category"] = own.words.get(labels["category"].lower(), labels["category"])
        for key, text, known in (
            ("categories", labels["category"], own.answers),
            ("conditions", labels.get("condition", ""), own.levels),
            *(("categories", labels[cue], own.answers) for cue in ("shape", "texture") if cue in labels),
        ):
            if text not in known and not (key == "conditions" and own.unlisted):
                raise StimuliError(f"{own.where(key)}: lacks '{text}', of the image {path}; it has {', '.join(known)}.")
        yield found.get("image", path.name), path, labels


def _tabled(
    table: Path, folder: Path, columns: Mapping[str, str], where: str
) -> Iterator[tuple[str, str, Path, dict[str, str]]]:
    """Yield place, name, file and labels of each row of a table of images. columns: label -> the table's column."""
    with foreign("table of images", table, StimuliError):
        (_, *header), *rows = read_frame(table).itertuples()
    columns = {"image": "image", "category": "category", **columns}
    if lost := [ours for ours, name in columns.items() if name not in header]:
        raise StimuliError(f"{where}: which column is the {lost[0]}? {table} has: {', '.join(header)}.")
    ours = {theirs: own for own, theirs in columns.items()}
    root = folder.resolve()
    for i, *values in rows:
        labels = {ours.get(name, name): str(value) for name, value in zip(header, values, strict=True)}
        name = labels.pop("image")
        path = (root / name).resolve()
        if root not in path.parents or not path.is_file():
            raise StimuliError(f"{table}, row {i}: there is no image '{name:.80}' in {folder}.")
        yield f"{table}, row {i}", name, path, labels


#: Label columns whose proportions every front part of a sample keeps.
STRATA = ("category", "texture", "condition")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The images of a folder in a fixed order: by category, then name."""

    folder: Path
    files: Sequence[str]  # names below `folder`
    ids: tuple[str, ...]  # unique names
    labels: Mapping[str, Array]  # columns of str, one value per image
    sampled: bool = False  # whether it is a sample, in the order of `sample_order`
    notes: tuple[str, ...] = ()  # how folders were read and what was left out, a line each
    annotations: tuple[Annotation, ...] = ()  # masks or maps of each image, if the set has them
    absent: int = 0  # images of the set whose files are absent

    def __len__(self) -> int:
        return len(self.ids)

    def pick(self, index: Sequence[int]) -> "Listing":
        """Select the images at `index`, in that order."""
        labels = {name: column[list(index)] for name, column in self.labels.items()}
        files, ids = tuple(self.files[i] for i in index), tuple(self.ids[i] for i in index)
        drawn = tuple(self.annotations[i] for i in index if self.annotations)
        return replace(self, files=files, ids=ids, labels=labels, annotations=drawn)

    def sample(self, limit: int | None) -> "Listing":
        """Select the first `limit` images in the order of `sample_order`; a smaller listing is unchanged."""
        if limit is None or limit >= len(self):
            return self
        return replace(self.pick(sample_order(self.ids, self.labels, limit)), sampled=True)


def sample_order(ids: Sequence[str], labels: Mapping[str, Array], limit: int) -> list[int]:
    """Return the first `limit` positions of a random order. Each front part has its share of each level of each column
    in STRATA to within one image, as far as the columns allow. Chance is the digest of each image's name: no file is
    read, and clean images have the order of their corrupted copies. Raises StimuliError below 1."""
    n = len(ids)
    if limit < 1:
        raise StimuliError(f"cannot take {limit} of {n} stimuli: expected 1 or more.")
    chance = np.argsort(np.argsort([text_digest(f"shuffled:{name}") for name in ids]))
    columns = [np.unique(labels[c], return_inverse=True)[1] for c in STRATA if c in labels] or [np.zeros(n, np.int64)]
    cells, cell = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    queue = np.lexsort((chance, cell.ravel()))  # the images of each cell behind one another
    end = np.cumsum(np.bincount(cell.ravel()))
    at = end - np.bincount(cell.ravel())
    sizes = [np.bincount(column) for column in columns]
    levels, shown = cells.T, [np.zeros_like(size) for size in sizes]
    order: list[int] = []
    for m in range(1, min(limit, n) + 1):
        there = np.flatnonzero(at < end)  # cells with images left
        strata = [(level[there], size, seen) for level, size, seen in zip(levels, sizes, shown, strict=True)]
        chosen = there[_next_cell(strata, chance[queue[at[there]]], m, n)]
        order.append(int(queue[at[chosen]]))
        at[chosen] += 1
        for seen, level in zip(shown, levels, strict=True):
            seen[level[chosen]] += 1
    return order


def _next_cell(strata: Sequence[tuple[Whole, Whole, Whole]], first: Whole, m: int, n: int) -> int:
    """Choose the position of the m-th cell of n to show. `strata` have for each label column the level of each cell,
    and for each level its total and shown images. `first` is the chance of each cell's next image."""
    ahead = [(n * seen - m * size)[level] for level, size, seen in strata]
    # Cells that keep every level within its share, if there are any; among these, the one due first.
    beyond = sum(np.maximum(excess + 1, 0) for excess in ahead)
    best = np.flatnonzero(beyond == beyond.min())
    due = np.zeros(len(best))
    for (level, size, seen), excess in zip(strata, ahead, strict=True):
        # A level shown before is due when it would fall behind by one; a new level is due when its share reaches half
        # an image, or earlier at its place in a plain random order.
        unseen = np.where(2 * excess[best] <= -n, 0, first[best])
        before = seen[level[best]]
        due += np.where(before > 0, n * (before + 1) / size[level[best]], unseen)
    best = best[due == due.min()]
    if len(strata) > 1 and len(best) > 1:
        # Prefer levels with few such cells left, as otherwise the last pair of a round often has no image.
        left = [np.bincount(level[beyond == beyond.min()])[level[best]] for level, _, _ in strata]
        fewest = np.min(left, axis=0)
        best = best[fewest == fewest.min()]
    return int(best[first[best].argmin()])


#: Names of the usual splits of a data set.
SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
#: Depth of folders (super-classes, an archive's top) above a class folder.
DEEPEST = 5
#: Spelling of classes -> function from a folder's name to its class or "".
Spellings = Mapping[str, Callable[[str], str]]
_NUMBERS, _NAMES = "numbers of classes", "names of classes"


def list_classes(entry: Entry, folder: Path) -> Listing:
    """List a folder of class folders, or images whose classes a list or a file of Kaggle has. The deepest folder that
    names a class counts; in an unknown label space the first, as in torchvision. An image is called by its file name,
    or "CATEGORY/NAME" if classes share names. Raises StimuliError."""
    if entry.table and (table := folder / entry.table).is_file():
        listed, notes = manifests.read_manifest(table, entry.columns, image_names(folder))
        spellings = _spellings(entry, {label for _, label, _ in listed})
        labelled = ((where, (label,), [path]) for path, label, where in listed)
        return _classified(entry, folder, table, labelled, spellings, Counter(), notes)
    if entry.space == "imagenet1k" and (flat := validation_folder(folder)):
        if (solution := _solution(folder, flat)) is None:
            raise StimuliError(
                f"{flat}: validation images without class folders. Put {SOLUTION} of Kaggle beside them, or add the "
                "folder with a list such as val.txt."
            )
        columns = {"image": "imageid", "label": "predictionstring"}
        return list_classes(replace(entry, table=os.path.relpath(solution, flat), columns=columns), flat)
    left_out, folders = Counter[str](), list[tuple[Path, tuple[str, ...], list[str]]]()
    for parts, images, rest in _tree(folder, "train" if "train" in entry.name else "val"):
        if parts:
            left_out.update({f"in class folders: {kind or 'no suffix'}": n for kind, n in rest.items()})
            folders.append((folder.joinpath(*parts), parts, ["/".join((*parts, name)) for name in images]))
        elif images:
            left_out["outside class folders"] += len(images)
    return _classified(entry, folder, folder, folders, _spellings(entry, subfolders(folder)), left_out, [])


def _classified(
    entry: Entry, folder: Path, place: Path, named: Iterable[tuple[Path | str, tuple[str, ...], Sequence[str]]],
    spellings: Spellings, left_out: Counter[str], notes: list[str],
) -> Listing:  # fmt: skip
    """Build the listing of images by category, then name. `named` has a place, names of folders or a label, and files
    below `folder`. `place` is that of the classes; `left_out` counts files by reason."""
    rows, known, spelled = list[tuple[str, str, str]](), dict[tuple[str, ...], tuple[str, str]](), dict[str, str]()
    classes = () if "objects" in spellings else subset_groups(entry.role)
    for where, parts, files in named:
        if files and parts not in known:
            said = ((spell(name), how) for how, spell in spellings.items() for name in reversed(parts))
            category, how = next((pair for pair in said if pair[0]), ("", "of objects that ImageNet lacks"))
            if spellings and entry.role != "objectnet":
                check_category(category or parts[-1], entry.space, where)
                if classes and category not in classes:
                    raise StimuliError(f"{where}: {category} is not one of the {len(classes)} classes of {entry.role}.")
            known[parts] = (category, how) if spellings else (parts[0], "folders")
        category, how = known.get(parts, ("", ""))
        if category:
            spelled.setdefault(how, f"'{'/'.join(parts):.80}' is {category}")
            rows += ((category, path.rpartition("/")[2], path) for path in files)
        elif files:
            left_out[how] += len(files)
    if len(spelled) > 1:
        raise StimuliError(f"{place}: classes in several spellings: {', '.join(spelled.values())}. Expected one.")
    notes += [f"read as {how}: {spelled[how]}" for how in (_NUMBERS, _NAMES) if how in spelled]
    notes += [f"left out: {n} files {why}" for why, n in left_out.most_common(10)]
    if not rows:
        raise StimuliError("; ".join([f"{place}: no images for '{entry.name}'; expected class folders", *notes]))
    categories, names, files = zip(*sorted(rows), strict=True)
    pairs = tuple(f"{category}/{name}" for category, name in zip(categories, names, strict=True))
    ids = next((ids for ids in (names, pairs) if len(set(ids)) == len(ids)), files)
    return Listing(folder=folder, files=files, ids=ids, labels={"category": np.array(categories)}, notes=tuple(notes))


def image_names(folder: Path) -> ImageNames:
    """Return the images below a folder by name."""
    return ImageNames(folder, ("/".join((*parts, name)) for parts, images, _ in _tree(folder) for name in images))


def find_manifest(
    folder: Path, table: Path | None, columns: Mapping[str, str], line: str
) -> tuple[Path, dict[str, str]] | None:
    """Find a list of a folder's images and their classes, and its columns: `table`, or, without class folders, a text
    file in the folder or beside it. Raises StimuliError with a working command (from `line`) if several fit."""
    flat, names, found = validation_folder(folder), image_names(folder), dict[Path, dict[str, str]]()
    is_asked, tops = bool(table or columns), {path.partition("/")[0] for path in names.paths if "/" in path}
    if not is_asked and (len(tops) > 1 or (flat and _solution(folder, flat))):
        return None
    for path in [table] if table else manifests.manifest_tables(folder):
        try:
            rows = manifests.manifest_rows(path)
        except StimuliError:  # another text, or the list
            if table:
                raise
            continue
        if chosen := manifests.match_manifest(path, rows, names, columns, line):
            found[path] = chosen
    if is_asked and not found:
        raise StimuliError(f"{table or folder}: no list of the images below {folder}: none of its columns names them.")
    if len(found) > 1:
        lists = [os.path.relpath(path, folder) for path in found]
        raise StimuliError(
            f"{folder}: several lists of its images: {', '.join(lists)}. Name one: `{line}/{lists[-1]}`."
        )
    return next(iter(found.items()), None)


def _spellings(entry: Entry, named: Collection[str]) -> Spellings:
    """Return how folders or lists may name the classes of a set, in order of trial. For a set with some of ImageNet's
    classes, numbers are positions among these and need all of them (`named`)."""
    if entry.space in SIXTEEN:
        return {"categories": lambda name: name if name in GEIRHOS16 else ""}
    if entry.space != "imagenet1k":
        return {}
    groups, wnids = subset_groups(entry.role), label_space("imagenet1k").classes
    if groups and not any(map(WNID.fullmatch, groups)):  # an object or a super-class is several classes: the first
        return {"objects": lambda name: wnids[groups[name][0]] if name in groups else ""}
    numbers = {str(number): wnid for number, wnid in enumerate(groups or wnids)}
    if groups and set(named) != set(numbers):
        numbers = {}
    return {
        "WordNet ids": wnid_of,
        _NUMBERS: lambda name: numbers.get(name.lstrip("0") or "0", ""),
        _NAMES: lambda name: match_name(name) if WNID.fullmatch(match_name(name)) else "",
    }


def is_imagenet(folder: Path, *named: Collection[str]) -> bool:
    """Return whether a folder has ImageNet's validation images, or class folders named by its classes or 0 to 999."""
    every = {str(number) for number in range(1000)}
    are_all = (len(names) > 1 and all(WNID.fullmatch(match_name(name)) for name in names) for names in named)
    return validation_folder(folder) is not None or every in map(set, named) or any(are_all)


def _tree(
    folder: Path, split: str = "", parts: tuple[str, ...] = (), deepest: int | None = DEEPEST
) -> Iterator[tuple[tuple[str, ...], list[str], Counter[str]]]:
    """Yield every folder from `folder` down: its path as names, its images, and the number of other files by suffix."""
    place, names = folder.joinpath(*parts), list[tuple[str, bool]]()
    with foreign("folder", place, StimuliError), os.scandir(place) as items:
        for item in items:
            if item.name.startswith("."):
                continue
            if item.is_symlink():
                path = place / item.name
                if not path.exists():  # would fail a run hours later
                    raise StimuliError(f"{path}: a broken link, to {path.readlink()}. Restore its target or remove it.")
                # A link to one of its parents would repeat its images forever.
                if item.is_dir() and any(above.resolve().is_relative_to(path.resolve()) for above in path.parents):
                    continue
            names.append((item.name, item.is_dir()))
    below = sorted(name for name, is_folder in names if is_folder)
    plain = [name for name, is_folder in names if not is_folder]
    images = [name for name in plain if name.lower().endswith(_ENDINGS)]
    rest = {*plain}.difference(images)
    yield parts, images, Counter(Path(name).suffix.lower() for name in rest)
    splits = [name for name in below if name.lower() in SPLITS]
    is_split = len(splits) > 1 or splits == below
    if split and splits and is_split and any(subfolders(place / name) for name in splits):
        best = next((name for name in splits if name.lower().startswith(split)), splits[0])
        raise StimuliError(f"{place}: holds {' and '.join(splits)}, not classes. Did you mean {place / best}?")
    for name in below if deepest is None or len(parts) < deepest else ():
        yield from _tree(folder, split, (*parts, name), deepest)


# ImageNet's validation images in their published form: one folder, with classes in a file.
_VALIDATION = re.compile(r"ILSVRC2012_val_\d{8}\.JPEG", re.IGNORECASE)
SOLUTION = "LOC_val_solution.csv"  # of Kaggle


def validation_folder(folder: Path) -> Path | None:
    """Find ImageNet's validation images without class folders: in `folder`, or at Kaggle's place below it."""
    places = (folder, folder / "ILSVRC/Data/CLS-LOC/val", folder / "Data/CLS-LOC/val")
    flat = (place for place in places if place.is_dir() and not any(map(WNID.fullmatch, subfolders(place))))
    return next((place for place in flat if any(map(_VALIDATION.fullmatch, os.listdir(place)))), None)  # noqa: PTH208


def _solution(folder: Path, flat: Path) -> Path | None:
    """Find Kaggle's classes of the validation images: in `folder`, in `flat` or one above."""
    return next(filter(Path.is_file, (place / SOLUTION for place in (folder, flat, flat.parent))), None)


def subfolders(folder: Path) -> list[str]:
    """Return the names of the visible folders in a folder, sorted. Raises StimuliError if it is not readable."""
    with foreign("folder", folder, StimuliError), os.scandir(folder) as places:
        return sorted(place.name for place in places if not place.name.startswith(".") and place.is_dir())
