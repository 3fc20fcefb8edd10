"""What a ranked table is made of, and what it is made from. Plain values; no drawing here."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, NamedTuple

from benchmark.contracts import Direction
from benchmark.contracts.suite import IMAGES
from benchmark.store.rows import ScoreRow, StimuliNote

#: Of a column in which no observer has a number.
NOBODY = "nobody has a value here"
#: The suite of scores that others publish without trials, and the kind of their observers.
REPORTED: Final = "reported"
_CLUSTERED, _FACTOR = re.compile(r"clustered \((.+)\)"), re.compile(r"\d+ (\S+)")
#: The accuracy on images as they are, as a column of a summary.
CLEAN = "clean"


class Cell(NamedTuple):
    """One number of a table. value None: `reason` says why. source: what it was made from, a stored score say; rank:
    (rank, lowest, highest) among others; sign: how it stands to a baseline."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    flags: tuple[str, ...] = ()
    reason: str = ""
    source: Any = None
    rank: tuple[float | None, float | None, float | None] | None = None
    sign: str = ""


class Row(NamedTuple):
    """One observer. rank None: not ranked; `note` says why, or where the numbers come from. rank_low, rank_high: the
    ranks that the data do not rule out; in a summary the three are means over the suites in which it is ranked. kind:
    the observer's, or "group" (a mean over people), "reference" (no observer) or "chance". cells: by metric name (in a
    summary by suite, and `CLEAN`), one for every column."""

    rank: float | None
    rank_low: float | None
    rank_high: float | None
    observer: str
    kind: str
    training: tuple[str, ...]
    cells: Mapping[str, Cell]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A metric as a column; role: the stimuli that it is measured on (a key of `Board.sets`); bounds, clean, definition
    and parts: the metric's; experiments: published experiments whose answers it may be made of; average: over how many
    of them every row is ("1 of 17 experiments"; the title says it), "" where it is no average; over: what its intervals
    are about others of ("images and people"), "" where only its publisher knows; questions:
    of a headline what its suite asks of others; suite, stimuli: in a summary, where it is from."""

    metric: str
    title: str
    direction: Direction
    chance: float | None = None
    role: str = ""
    bounds: tuple[float, float] | None = None
    clean: bool = False
    definition: str = ""
    parts: str = ""
    experiments: frozenset[str] = frozenset()
    average: str = ""
    over: str = ""
    questions: Mapping[str, str] = field(default_factory=dict)
    suite: str = ""
    stimuli: str = ""


@dataclass(frozen=True, kw_only=True)
class Board:
    """Observers that can be ranked together: one suite, one decision space, the same stimuli. sets, digests: role ->
    its stimuli in words, and their digest; by: the metric that ranks, always the first column; digest: its stimuli;
    rows: ranked ones in order, then those without a value; references: means over groups of people, then people, ideal
    observers and untrained networks, then what the suite measures beside observers, then chance."""

    suite: str
    version: int
    space: str
    title: str
    sets: Mapping[str, str]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    references: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    by: str = ""
    digest: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)


def cell_of(score: ScoreRow) -> Cell:
    """A stored score as a cell. A value that is not finite is no value."""
    value = score.value
    if value is None or not isfinite(value):
        reason = score.reason or ("no value" if value is None else "not a finite number")
        return Cell(n=score.n, flags=score.flags, reason=reason, source=score)
    return Cell(value=value, low=score.low, high=score.high, n=score.n, flags=score.flags, reason="", source=score)


def sampled(over: str, cells: Iterable[Cell]) -> str:
    """What the intervals of a column are about others of: `over`, but where images share parts, as the methods say
    ("clustered (160 shapes x 48 textures)"), these."""
    if over != IMAGES:
        return over
    methods = (cell.source.method for cell in cells if cell.source is not None and cell.low is not None)
    shared = next(filter(None, map(_CLUSTERED.search, methods)), None)
    return " and ".join(_FACTOR.findall(shared[1])) if shared else over


def interval_sentence(columns: Iterable[Column], named: Callable[[Column], str]) -> str:
    """ "over images; shape bias: over shapes and textures": what most columns are about, then others by name."""
    units: dict[str, list[str]] = {}
    for column in columns:
        units.setdefault(column.over, []).append(named(column))
    most = max(units, key=lambda over: len(units[over]), default="")
    return "; ".join(
        [
            f"over {most}" if most else "as reported",
            *(f"{', '.join(units[over])}: over {over}" for over in units if over not in ("", most)),
        ]
    )


def title_under(title: str, condition: str, conditions: Collection[str]) -> str:
    """What a metric is called under a condition. A title that names one of them, "robust linf 4/255", is "robust"."""
    named = next((name for name in conditions if name and title.endswith(f" {name}")), "")
    return title.removesuffix(f" {named}") if condition and named else title


def describe(digest: str, sets: Mapping[str, StimuliNote]) -> str:
    """A stimulus set in words: "cue-conflict 320 of 1280 images (a1b2c3d4)"."""
    if digest not in sets:
        return f"set {digest[:8]}" if digest else "no stimuli"
    known = sets[digest]
    of = f" of {known.whole}" if is_partial(known) else ""
    return f"{known.name} {known.n}{of} images ({digest[:8]})"


def is_partial(known: StimuliNote) -> bool:
    """Whether the set is a part of the whole published one."""
    return known.whole is not None and known.n < known.whole
