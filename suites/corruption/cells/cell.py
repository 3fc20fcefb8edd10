"""Cells of a sweep: one corruption at one level, told from the name of a condition alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from benchmark.transforms.listing import Entries, Entry, own_list, parse, plugins

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
            cells = [
                _cell(corruption, level, places[level], entry, level in plain) for level in levels
            ]
            return sorted(cells, key=lambda cell: cell.place)
    cells = [_cell(corruption, level, _number(level)) for level in levels]
    return sorted(cells, key=lambda cell: (cell.place, cell.level))


def _cell(
    corruption: str, level: str, place: float, entry: Entry | None = None, plain: bool = False
) -> Cell:
    family, ordered = (entry.family, entry.ordered) if entry else ("", True)
    return Cell(f"{corruption}/{level}", corruption, level, family, place, ordered, plain)


def _number(level: str) -> float:
    try:
        return float(level)
    except ValueError:
        return 0.0
