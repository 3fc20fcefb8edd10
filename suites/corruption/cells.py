"""Trials as images by cells. A cell is one corruption at one level, parsed from the name of a condition."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Trials
from benchmark.contracts.declarations import package_data
from benchmark.contracts.trials import alike
from benchmark.stats.intervals import Floats
from benchmark.stimuli.roles import ROLE, STAND_INS, stand_in_flags
from benchmark.transforms.listing import own_list, plugins
from suites.corruption.config import COMMON, PROTOCOLS, SIZE_224, world_list

CLEAN = "clean"  # condition of the images as they are
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
FAMILIES = ("noise", "blur", "weather", "digital")
SEEN = "seen in training"
RESAMPLES, SEED = 1000, 0
AT_ONCE = 2_000_000  # numbers held while resampling (16 MB)
Flags = NDArray[np.bool_]
#: What is counted of a trial: its answer is right, is among the five best, is right among 16 categories, is the same as
#: that to the same image one level milder.
What = Literal["right", "top5", "right16", "same"]
_WHAT: tuple[What, ...] = get_args(What)
#: Shares of what is counted, [b, c + 1] of b versions of a table (1: the data; else resamples); NaN where nothing was.
Shares = Mapping[What, Floats]


@dataclass(frozen=True, kw_only=True)
class SweepCell:
    """One corruption at one level."""

    condition: str
    corruption: str
    family: str = ""  # "" where no list knows the corruption
    place: float = 0.0  # position of the level, from the mildest
    ordered: bool = True  # whether neighbouring levels can be compared
    plain: bool = False  # whether nothing is impaired


def cells_of(conditions: Iterable[str]) -> tuple[SweepCell, ...]:
    """Return the cells of some conditions, in the order of our lists; other corruptions after them, by name.

    Two lists may name one corruption with levels of their own: the first that has every shown level is meant."""
    shown: dict[str, list[str]] = {}
    for condition in dict.fromkeys(conditions):
        if condition != CLEAN:
            corruption, _, level = condition.partition("/")
            shown.setdefault(corruption, []).append(level)
    lists = (own_list("imagenet-c"), own_list("human"), world_list())
    order = list(dict.fromkeys(chain.from_iterable(lists)))
    cells: list[SweepCell] = []
    for corruption in sorted(shown, key=lambda name: (order.index(name) if name in order else len(order), name)):
        levels = shown[corruption]
        # Other packages' last: to look through all that is installed takes longer than a table does.
        entries = chain((known.get(corruption) for known in lists), (plugins()[0].get(name) for name in [corruption]))
        entry = next((entry for entry in entries if entry and set(levels) <= set(map(str, entry.levels))), None)
        places = {str(level): place for place, level in enumerate(entry.levels)} if entry else {}
        own: dict[str, Any] = {"family": entry.family, "ordered": entry.ordered} if entry else {}
        part = []
        for level in levels:
            place = places[level] if entry else float(level) if _NUMBER.fullmatch(level) else 0.0
            plain = entry is not None and level in map(str, entry.plain)
            named = f"{corruption}/{level}"
            part.append(SweepCell(condition=named, corruption=corruption, place=place, plain=plain, **own))
        cells += sorted(part, key=lambda cell: (cell.place, cell.condition))
    return tuple(cells)


def by_corruption(cells: Iterable[SweepCell]) -> dict[str, list[SweepCell]]:
    """Return the cells of each corruption, by its name; in the order of `cells_of`, where they lie together."""
    return {name: list(part) for name, part in groupby(cells, attrgetter("corruption"))}


class CellTable:
    """The trials of one observer, images [n] by cells [c], in any order. Column 0 of every array [n, c + 1] is the
    clean condition, which may be empty. Each trial has its position in `row` and `column`. For each name, `hits` and
    `counts` [n, c + 1] say whether it is true and whether it is defined. `of` [c + 1] are images of a condition, if it
    may have stopped early (else those shown); `thousand`: answers are ImageNet's 1,000 classes."""

    def __init__(self, trials: Trials) -> None:
        condition, response, category = (trials.coded(name) for name in ("condition", "response", "category"))
        stimulus = trials.coded("stimulus").in_order()
        self.trials = trials
        self.images, self.row = stimulus.words, stimulus.codes
        self.cells = cells_of(condition.used)
        self.place = {CLEAN: 0, **{cell.condition: at for at, cell in enumerate(self.cells, 1)}}
        self.column = np.array([self.place.get(label, -1) for label in condition.words.tolist()], int)[condition.codes]
        first = category.words[category.codes[:99]].tolist()
        self.thousand = bool(first) and all(re.fullmatch(r"n\d{8}", name) for name in first)

        def spread(values: Array, blank: int = 0) -> Array:
            table = np.full((len(self.images), len(self.cells) + 1), blank, dtype=values.dtype)
            table[self.row, self.column] = values
            return table

        shown = spread(np.ones(len(trials), dtype=bool))
        right16 = spread(_optional(trials, "right16", -1), -1)
        answers = spread(response.codes)
        both = np.zeros_like(shown)
        for at, (milder, stronger) in enumerate(zip(self.cells, self.cells[1:], strict=False), 2):
            if milder.corruption == stronger.corruption and milder.ordered:
                both[:, at] = shown[:, at - 1] & shown[:, at]
        same = both & (answers == np.roll(answers, 1, axis=1))
        top5 = spread(_optional(trials, "top5", 0) == 1)
        right = spread(alike(response, category))
        self.hits: dict[What, Flags] = {"right": right, "top5": top5, "right16": right16 == 1, "same": same}
        self.counts: dict[What, Flags] = {"right": shown, "top5": shown, "right16": right16 >= 0, "same": both}
        self.n = shown.sum(axis=0)
        self.of = self.n.copy()
        np.maximum.at(self.of, self.column, _optional(trials, "of", 0))
        self.clean = bool(shown[:, 0].any())
        self.no_clean = trials.missing.get(ROLE, "the images as they are were not shown")  # the reason, if so
        self.flags = stand_in_flags(trials.missing)  # of every score

    @cached_property
    def impaired(self) -> list[SweepCell]:
        """Return the cells that change the image."""
        return [cell for cell in self.cells if not cell.plain]

    @cached_property
    def seen(self) -> set[str]:
        """Return the conditions that the observer's recipe trained on."""
        return seen_conditions(self.trials.training, [cell.condition for cell in self.impaired])

    @cached_property
    def absent(self) -> dict[str, str]:
        """Return the corruptions that were planned and could not be shown, with the reason."""
        whole = (*STAND_INS, ROLE, SIZE_224)  # what is missing of the whole sweep, not of a corruption
        return {name: reason for name, reason in self.trials.missing.items() if name not in whole}

    def flags_of(self, cells: Sequence[SweepCell]) -> tuple[str, ...]:
        """Return the flags of a mean over some cells."""
        known = sum(cell.condition in self.seen for cell in cells)
        at = self.columns(cells)
        early = int((self.n[at] < self.of[at]).sum())
        return (
            *self.flags,
            *(f"without {name}" for name in self.absent),
            *([f"includes {known} seen cell{'s' * (known > 1)}"] if known else []),
            *([f"{early} of {len(cells)} cells stopped early"] if early else []),
        )

    def columns(self, cells: Iterable[SweepCell]) -> list[int]:
        """Return the positions of the cells."""
        return [self.place[cell.condition] for cell in cells]

    def weights(self, cells: Iterable[SweepCell]) -> Floats:
        """Return [c + 1] 1 for the cells, 0 for others."""
        return np.isin(np.arange(len(self.cells) + 1), self.columns(cells)).astype(float)

    def shares(self) -> Shares:
        """Return the shares of the data."""
        return {what: _share(self.hits[what].sum(axis=0)[None], self.counts[what].sum(axis=0)[None]) for what in _WHAT}

    def resampled(self) -> Shares:
        """Return shares of resamples: images drawn with replacement, each with all its cells (Efron 1979). Tables of as
        many images give the same draws, so an observer and its reference are resampled together."""
        n, rng = len(self.images), np.random.default_rng(SEED)
        hits, counts = (np.hstack([own[what] for what in _WHAT]).astype(np.float32) for own in (self.hits, self.counts))
        parts = []
        for start in range(0, RESAMPLES, step := max(1, AT_ONCE // max(1, n))):
            drawn = rng.integers(0, n, size=(min(step, RESAMPLES - start), n))
            weights = np.stack([np.bincount(images, minlength=n) for images in drawn]).astype(np.float32)
            parts.append(_share(weights @ hits, weights @ counts))  # whole numbers: exact below 2**24
        split = np.split(np.concatenate(parts), len(_WHAT), axis=1)
        return dict(zip(_WHAT, split, strict=True))


def _share(hits: Array, counts: Array) -> Floats:
    hits = hits.astype(float)
    return np.asarray(np.divide(hits, counts, out=np.full(hits.shape, np.nan), where=counts > 0))


def _optional(trials: Trials, name: str, blank: int) -> NDArray[np.integer[Any]]:
    """Return a column of whole numbers, `blank` where it is missing."""
    values = trials.columns.get(name, np.full(len(trials), np.nan))
    return np.where(np.isnan(values), blank, values).astype(np.int32)


# Which conditions a recipe trained on, from the tags of its card.

_TAGS = package_data("suites.corruption", "recipe_tags")
_TAG = re.compile(r"\s*([^()]+?)\s*(?:\((.*)\))?\s*")


def seen(tags: Sequence[str], trials: Trials) -> Array:
    """Return [n] bool: trials under a condition that such a recipe trained on: all levels, unless one is named."""
    known = seen_conditions(tags, trials.coded("condition").used) if len(trials) else set()
    return np.isin(trials["condition"], list(known)) if known else np.zeros(len(trials), dtype=bool)


def seen_conditions(tags: Sequence[str], conditions: Iterable[str]) -> set[str]:
    """Return those conditions that a recipe with these tags trained on; unimpaired ones are no corruptions."""
    wanted: set[str] = set()  # corruptions, families or conditions
    for match in filter(None, (_TAG.fullmatch(tag.lower()) for tag in tags)):
        kind, inside = match.groups()
        named = [part.strip() for part in (inside or "").split(",") if part.strip()]
        if kind == "noise":
            named = [name for part in named or ("noise",) for name in _TAGS["noises"].get(part, (part,))]
        elif kind != "corruption":
            named = _TAGS["recipes"].get(kind, (kind,))
        wanted |= set(map(_spelled, named))
    known = set()
    for cell in cells_of(conditions):
        names = {cell.condition, cell.corruption, *([cell.family] if cell.family else [])}
        if cell.corruption in PROTOCOLS["lists"][COMMON]:
            names.add(COMMON)
        if not cell.plain and wanted & set(map(_spelled, names)):
            known.add(cell.condition)
    return known


def _spelled(name: str) -> str:
    return name.lower().replace("_", "-")
