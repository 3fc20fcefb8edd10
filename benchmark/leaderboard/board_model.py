"""The values of ranked tables: cells, rows, columns, boards."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, NamedTuple

from benchmark.contracts import Direction
from benchmark.contracts.suite import is_guessing
from benchmark.store.rows import ScoreRow, StimuliNote

#: Of a column in which no observer has a number.
NOBODY = "no observer has a value"
#: The suite of scores that others publish without trials, and the kind of their observers.
REPORTED: Final = "reported"
#: The accuracy on images as they are, as a column of a summary.
CLEAN = "clean"
Notes = Mapping[str, StimuliNote]  # stimulus sets by digest


class Rank(NamedTuple):
    """A rank, or a mean of ranks, and the range that the data do not rule out. None: not ranked."""

    rank: float | None = None
    low: float | None = None
    high: float | None = None


class Cell(NamedTuple):
    """One number of a table."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0  # trials behind the value
    flags: tuple[str, ...] = ()
    reason: str = ""  # why a value is missing
    source: Any = None  # a stored score or a test
    rank: Rank = Rank()


class Row(NamedTuple):
    """One observer of a board or a summary."""

    observer: str
    kind: str  # the observer's, or "group" (a mean over people), "reference" (not an observer), "chance"
    cells: Mapping[str, Cell]  # by metric; in a summary by suite, and `CLEAN`
    training: tuple[str, ...] = ()
    note: str = ""  # origin of the numbers, or why the row is not ranked
    rank: float | None = None  # None: not ranked; in a summary the mean over its suites
    rank_low: float | None = None  # ranks not ruled out by the data
    rank_high: float | None = None

    @property
    def place(self) -> Rank:
        """The rank with its range."""
        return Rank(rank=self.rank, low=self.rank_low, high=self.rank_high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A metric as a column."""

    metric: str
    title: str
    direction: Direction
    chance: float | None = None
    role: str = ""  # of the stimuli: a key of `Board.sets`
    bounds: tuple[float, float] | None = None  # of the metric's values
    clean: bool = False  # the metric is an accuracy on clean images
    definition: str = ""
    parts: str = ""  # condition of the scores that it is a mean of
    experiments: frozenset[str] = frozenset()  # published experiments whose answers it may use
    average: str = ""  # "1 of 17 experiments", if this holds for every row; part of the title
    over: str = ""  # population of the intervals ("images and people"); "" if unknown
    questions: Mapping[str, str] = field(default_factory=dict)  # of a headline about other suites
    suite: str = ""  # in a summary
    stimuli: str = ""  # in a summary


@dataclass(frozen=True, kw_only=True)
class Board:
    """Observers that can be ranked together: one suite, one label space, the same stimuli."""

    suite: str
    version: int  # of the suite
    space: str
    title: str
    sets: Mapping[str, str]  # role -> stimuli in words
    columns: tuple[Column, ...]  # the first one ranks
    rows: tuple[Row, ...]  # ranked in order, then without a value
    references: tuple[Row, ...] = ()  # means over people, people, ideal and untrained observers, chance
    notes: tuple[str, ...] = ()
    by: str = ""  # the metric that ranks
    digest: str = ""  # of that metric's stimuli
    digests: Mapping[str, str] = field(default_factory=dict)  # role -> digest of its stimuli


def is_trusted(cell: Cell) -> bool:
    """Return whether a cell has a number, of an observer that does not guess."""
    return cell.value is not None and not is_guessing(cell.flags)


def cell_of(score: ScoreRow) -> Cell:
    """Return a stored score as a cell. A value that is not finite counts as missing."""
    if score.value is None or not isfinite(score.value):
        reason = score.reason or ("no value" if score.value is None else "not a finite number")
        return Cell(n=score.n, flags=score.flags, source=score, reason=reason)
    return Cell(value=score.value, low=score.low, high=score.high, n=score.n, flags=score.flags, source=score)


def title_under(title: str, condition: str, conditions: Collection[str]) -> str:
    """Return a metric's title under a condition. A title that names one of them, "robust linf 4/255", is "robust"."""
    named = next((name for name in conditions if name and title.endswith(f" {name}")), "")
    return title.removesuffix(f" {named}") if condition and named else title


def set_in_words(digest: str, sets: Notes) -> str:
    """Return a stimulus set in words: "cue-conflict 320 of 1280 images (a1b2c3d4)"."""
    if digest not in sets:
        return f"set {digest[:8]}" if digest else "no stimuli"
    known = sets[digest]
    of = f" of {known.whole}" if known.partial else ""
    return f"{known.name} {known.n}{of} images ({digest[:8]})"
