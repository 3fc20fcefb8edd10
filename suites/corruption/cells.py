"""Which conditions a recipe trained on, from the tags of its card."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Coded, Trials
from benchmark.contracts.trials import alike
from benchmark.stats.intervals import chunk_sizes
from benchmark.transforms.listing import Entries, Entry, own_list, parse, plugins

# Cells of a sweep: one corruption at one level, told from the name of a condition alone.


#: Condition of the images as they are.
CLEAN = "clean"
FAMILIES = ("noise", "blur", "weather", "digital")
COMMON, EXTRA = "common", "extra"


@dataclass(frozen=True)
class Cell:
    """One corruption at one level. family: "" where no list knows the corruption; place: position of the level, from
    the mildest; ordered: whether neighbouring levels can be compared; plain: whether nothing is impaired."""

    condition: str
    corruption: str
    level: str
    family: str = ""
    place: float = 0.0
    ordered: bool = True
    plain: bool = False


@cache
def world_list() -> Entries:
    """The corruptions of the built-in world's sweep."""
    text = files("suites.corruption").joinpath("world.yaml").read_text(encoding="utf-8")
    return parse(text, "suites/corruption/world.yaml")


def cells_of(conditions: Iterable[str]) -> tuple[Cell, ...]:
    """The cells of some conditions, in the order of the lists; unknown corruptions after them, by name.

    Two lists may have a corruption of the same name with levels of their own: the first list that has every level
    that is shown is meant.
    """
    shown: dict[str, list[str]] = {}
    for condition in dict.fromkeys(conditions):
        if condition != CLEAN:
            corruption, _, level = condition.partition("/")
            shown.setdefault(corruption, []).append(level)
    lists = _lists(shown)
    listed = dict.fromkeys(name for entries in lists for name in entries)
    order = {name: at for at, name in enumerate(listed)}
    names = sorted(shown, key=lambda name: (order.get(name, len(order)), name))
    return tuple(cell for name in names for cell in _of_one(name, shown[name], lists))


def _lists(shown: Mapping[str, Sequence[str]]) -> tuple[Entries, ...]:
    """The package's own lists, and what other packages ship where these lack something that is shown: to look through
    all that is installed takes longer than a table does."""
    own = own_list("imagenet-c"), own_list("human"), world_list()
    if all(any(_holds(entries, *item) for entries in own) for item in shown.items()):
        return own
    return *own, plugins().entries


def _holds(entries: Entries, corruption: str, levels: Sequence[str]) -> bool:
    """Whether a list has the corruption with all these levels."""
    entry = entries.get(corruption)
    return entry is not None and {str(level) for level in entry.levels}.issuperset(levels)


def _of_one(corruption: str, levels: Sequence[str], lists: Sequence[Entries]) -> list[Cell]:
    """The cells of one corruption, from the mildest level."""
    for entries in lists:
        if _holds(entries, corruption, levels):
            entry = entries[corruption]
            places = {str(level): float(place) for place, level in enumerate(entry.levels)}
            plain = {str(level) for level in entry.plain}
            cells = [_cell(corruption, level, places[level], entry, level in plain) for level in levels]
            return sorted(cells, key=lambda cell: cell.place)
    cells = [_cell(corruption, level, _number(level)) for level in levels]
    return sorted(cells, key=lambda cell: (cell.place, cell.level))


def _cell(corruption: str, level: str, place: float, entry: Entry | None = None, plain: bool = False) -> Cell:
    family, ordered = (entry.family, entry.ordered) if entry else ("", True)
    return Cell(f"{corruption}/{level}", corruption, level, family, place, ordered, plain)


def _number(level: str) -> float:
    try:
        return float(level)
    except ValueError:
        return 0.0


# Trials as an image x cell table: one image stands in every cell, so everything resamples images.


Flags = NDArray[np.bool_]
Whole = NDArray[np.integer[Any]]
_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Table:
    """Right answers of one observer, images by cells.

    images: [n] names, sorted; cells: [c], without the clean condition, which is column 0 of every array [n, c + 1];
    shown: whether there is a trial; right, top5: of the trials that there are; right16, shown16: the decision among 16
    categories, where the image has one; answers: [n, c + 1] codes, equal where the answers are; row, column: [trials]
    where each trial stands; of: [c + 1] images that the condition has, where it may have stopped early (else as many as
    were shown);
    thousand: whether answers are ImageNet's 1,000 classes.
    """

    images: Array
    cells: tuple[Cell, ...]
    shown: Flags
    right: Flags
    top5: Flags
    right16: Flags
    shown16: Flags
    answers: Array
    row: Whole
    column: Whole
    of: Whole
    thousand: bool

    @cached_property
    def n(self) -> Whole:
        """[c + 1] images per cell."""
        return np.asarray(self.shown.sum(axis=0), dtype=np.int64)

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Columns of neighbouring levels of one corruption that share images: (milder, stronger)."""
        return tuple(
            (at, at + 1)
            for at, (cell, after) in enumerate(zip(self.cells, self.cells[1:], strict=False), 1)
            if cell.corruption == after.corruption
            and cell.ordered
            and (self.shown[:, at] & self.shown[:, at + 1]).any()
        )

    @property
    def clean(self) -> bool:
        """Whether the images as they are were shown."""
        return bool(self.shown[:, 0].any())


def tabulate(trials: Trials) -> Table:
    """The table of some trials, whatever their order. Where nothing clean was shown, the clean column is empty."""
    condition, response = trials.coded("condition"), trials.coded("response")
    cells = cells_of(condition.used)
    place = {CLEAN: 0, **{cell.condition: at for at, cell in enumerate(cells, 1)}}
    column = np.array([place.get(label, -1) for label in condition.words.tolist()], dtype=np.int32)
    column = column[condition.codes]
    names, row = _placed(trials.coded("stimulus"))
    shape = (len(names), len(cells) + 1)

    def spread(values: Array, blank: int = 0) -> Array:
        found = np.full(shape, blank, dtype=values.dtype)
        found[row, column] = values
        return found

    shown = spread(np.ones(len(trials), dtype=bool))
    right16 = spread(_optional(trials, "right16", -1).astype(np.int8), -1)
    of = np.zeros(shape[1], dtype=np.int64)
    np.maximum.at(of, column, _optional(trials, "of", 0))
    return Table(
        images=names,
        cells=cells,
        shown=shown,
        right=spread(alike(response, trials.coded("category"))),
        top5=spread(_optional(trials, "top5", 0) == 1),
        right16=right16 == 1,
        shown16=right16 >= 0,
        answers=spread(response.codes),
        row=row,
        column=column,
        of=np.maximum(of, shown.sum(axis=0)),
        thousand=_thousand(trials.coded("category")),
    )


def _thousand(category: Coded) -> bool:
    """Whether the categories are ImageNet's, from the first trials."""
    first = category.words[category.codes[:99]].tolist()
    return bool(first) and all(map(_WNID.fullmatch, first))


def _optional(trials: Trials, name: str, blank: int) -> Whole:
    """A column of whole numbers, `blank` where it is missing."""
    if name not in trials.columns:
        return np.full(len(trials), blank, dtype=np.int32)
    values = trials[name]
    return np.where(np.isnan(values), blank, values).astype(np.int32)


def _placed(images: Coded) -> tuple[Array, Whole]:
    """Sorted names of the images that occur, and the position of each trial's among them."""
    # The words that occur.
    used = np.flatnonzero(np.bincount(images.codes, minlength=len(images.words)))
    order = used[np.argsort(images.words[used], kind="stable")]
    rank = np.zeros(len(images.words), dtype=np.int32)
    rank[order] = np.arange(len(order))
    return images.words[order], rank[images.codes]


# Shares of right answers per cell, of the data and of resamples of the images: every measure is a function of them.


Floats = NDArray[np.float64]
RESAMPLES = 1000
SEED = 0


@dataclass(frozen=True)
class Means:
    """b versions of the shares of a table (1: the data itself; else resamples). NaN where nothing was shown.

    right, top5, right16: [b, c + 1], clean first; same: [b, pairs], answers that neighbouring levels share.
    """

    right: Floats
    top5: Floats
    right16: Floats
    same: Floats


def means(table: Table) -> Means:
    """The shares of the data."""
    hits, seen = (part.sum(axis=0, dtype=float)[None] for part in _matrices(table))
    return _split(table, _shares(np.asarray(hits), np.asarray(seen)))


def resampled(table: Table, resamples: int = RESAMPLES, seed: int = SEED) -> Means:
    """Shares of resamples: images drawn with replacement, each with all its cells (Efron 1979).

    Two tables of as many images give the same draws: an observer and its reference are resampled together where their
    tables are of the same images.
    """
    n = len(table.images)
    rng = np.random.default_rng(seed)
    hits, counts = _matrices(table)
    values = hits.astype(np.float32)
    uneven = np.flatnonzero((counts != counts[0]).any(axis=0))  # others: so many draws, whichever they are
    some = counts[:, uneven].astype(np.float32)
    parts = []
    for size in chunk_sizes(resamples, n):
        drawn = rng.integers(0, n, size=(size, n))
        drawn += n * np.arange(size)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        weights = weights.astype(np.float32)  # counts: exact below 2**24
        seen = np.tile(n * counts[0].astype(float), (size, 1))
        seen[:, uneven] = weights @ some
        parts.append(_shares(np.asarray(weights @ values, dtype=float), seen))
    return _split(table, np.concatenate(parts))


def _matrices(table: Table) -> tuple[Flags, Flags]:
    """Per image: hits, and what they are hits of; columns right, top5, right16, same."""
    milder, stronger = ([pair[side] for pair in table.pairs] for side in (0, 1))
    both = table.shown[:, milder] & table.shown[:, stronger]
    same = both & (table.answers[:, milder] == table.answers[:, stronger])
    hits = (table.right, table.top5, table.right16, same)
    counts = (table.shown, table.shown, table.shown16, both)
    return np.hstack(hits), np.hstack(counts)


def _shares(hits: Floats, seen: Floats) -> Floats:
    shares: Floats = np.divide(hits, seen, out=np.full(hits.shape, np.nan), where=seen > 0)
    return shares


def _split(table: Table, shares: Floats) -> Means:
    width = len(table.cells) + 1
    right, top5, right16, same = np.split(shares, [width, 2 * width, 3 * width], axis=1)
    return Means(right, top5, right16, same)


_TAG = re.compile(r"\s*([^()]+?)\s*(?:\((.*)\))?\s*")
#: noise(KIND): the experiments' and ImageNet-C's corruptions of that kind, with the plain names of other libraries.
_NOISES = {
    "salt-and-pepper": ("salt-and-pepper", "impulse_noise"),
    "impulse": ("salt-and-pepper", "impulse_noise"),
    "uniform": ("uniform-noise",),
    "gaussian": ("gaussian_noise",),
    "shot": ("shot_noise",),
    "poisson": ("shot_noise",),
    "speckle": ("speckle_noise",),
}
#: Tags of recipes that show a degradation under another name.
_RECIPES = {
    "greyscale": ("colour/bw",),
    "grayscale": ("colour/bw",),
    "stylised": ("stylised", "stylized-imagenet"),
    "stylized": ("stylised", "stylized-imagenet"),
}
#: Recipes without any of the test corruptions; several leave them out on purpose.
_NONE = ("standard", "augmix", "adversarial", "deepaugment", "finetuned", "colour", "color")


def seen(tags: Sequence[str], trials: Trials) -> Array:
    """[n] bool: trials under a condition that a recipe with these tags trained on: all levels, unless one is named."""
    conditions = np.asarray(trials["condition"]).astype(str) if len(trials) else np.empty(0, str)
    names, at = np.unique(conditions, return_inverse=True)
    known = seen_conditions(tags, names.tolist())
    return np.asarray([name in known for name in names.tolist()], dtype=bool)[at]


def seen_conditions(tags: Sequence[str], conditions: Iterable[str]) -> set[str]:
    """Those of the conditions that a recipe with these tags trained on. Unimpaired ones are never seen corruptions."""
    wanted = {_plain(name) for tag in tags for name in _named(tag)}
    found = set()
    for cell in cells_of(conditions):
        names = {cell.condition, cell.corruption, *([cell.family] if cell.family else [])}
        entry = own_list("imagenet-c").get(cell.corruption)
        if entry is not None and entry.family != "extra":
            names.add(COMMON)
        if not cell.plain and cell.condition != CLEAN and wanted & {_plain(n) for n in names}:
            found.add(cell.condition)
    return found


def _named(tag: str) -> tuple[str, ...]:
    """Corruptions, families or conditions that a tag names."""
    match = _TAG.fullmatch(tag.lower())
    if match is None:
        return ()
    kind, inside = match.group(1), match.group(2)
    listed = tuple(part.strip() for part in (inside or "").split(",") if part.strip())
    if kind == "corruption":
        return listed
    if kind == "noise":
        return tuple(name for part in listed or ("noise",) for name in _NOISES.get(part, (part,)))
    if kind in _NONE:
        return ()
    return _RECIPES.get(kind, (kind,))


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
