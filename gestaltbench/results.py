"""Results of the Python API: tables in a terminal and in a notebook, and a tidy pandas table by `.frame()`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from benchmark.api.options import Names
from benchmark.cli.printing import safe_console
from benchmark.display import counted
from benchmark.failures import BenchError, UsageError
from benchmark.leaderboard import Board
from benchmark.leaderboard.board_tables import board_table
from benchmark.leaderboard.forms import DATA, html, rendered, terminal
from benchmark.leaderboard.table import Table, records
from benchmark.leaderboard.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Record = Mapping[str, Any]
LIMIT = 50  # rows of a printed table between two dividers
#: Rows between two dividers and tables in a notebook, which keeps them in its file.
CELL_ROWS, CELL_TABLES = 20, 5
STYLE = "<style>.gestaltbench tbody + tbody {border-top: 2px solid} .gestaltbench td {text-align: left}</style>"


@contextmanager
def python_errors(flags: Mapping[str, str] = MappingProxyType({})) -> Iterator[None]:
    """Name parameters in errors as Python does: "limit=" for "--limit". flags: those called otherwise -> parameter."""
    try:
        yield
    except BenchError as error:

        def named(word: re.Match[str]) -> str:
            text = word[0]  # a command in it stays as it is
            return text if text[0] == "`" else f"{flags.get(text, text[2:].replace('-', '_'))}="

        error.args = (re.sub("`[^`]*`|--[a-z-]+", named, str(error)),)
        raise


class Written(str):
    """A text that a notebook shows as it is, so that LaTeX is copied as LaTeX."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, repr=False, kw_only=True)
class Results(Sequence[T], Generic[T]):
    """The values of one call, such as boards, scores or comparisons."""

    title: str
    values: tuple[T, ...]
    tables: Callable[[Sequence[T]], Iterable[Table]]  # one row per number
    shown: Callable[[Sequence[T]], Iterable[Table]] | None = None  # as people read them, if that differs
    verdicts: tuple[Verdict, ...] = ()  # on the networks of a run
    again: Callable[[Mapping[str, Any]], Results[T]] | None = None  # the same call with more filters

    def where(self, **filters: Names | None) -> Results[T]:
        """Return the same call with more filters: hide, kind, source, recipe, family, models."""
        if self.again is None:
            raise UsageError(f"{self.title}: filters need a leaderboard, which this result does not have.")
        return self.again(filters)

    def to(self, form: str) -> str:
        """Return the tables as "csv", "json", "markdown", "latex" or "html"."""
        draw = self.tables if form in DATA else self.shown or self.tables
        return Written("".join(rendered(draw(self.values), form)))

    def frame(self) -> pd.DataFrame:
        """Return one row per number (trial, model, ...) with its interval, n, method and provenance.

        Tuples become text joined by "; "; a missing number is NaN, and its row has the reason."""
        import pandas as pd

        def plain(value: Any) -> Any:
            return "; ".join(map(str, value)) if isinstance(value, (list, tuple)) else value

        rows = (record for table in self.tables(self.values) for record in records(table))
        return pd.DataFrame([{name: plain(value) for name, value in row.items()} for row in rows])

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self.values[index]

    def __repr__(self) -> str:
        """Return the tables in the terminal's width, with 50 rows between two dividers."""
        found = "".join(f"{each}\n" for each in self.verdicts)
        tables = (self.shown or self.tables)(self.values) if self.values else ()
        return f"{_text(tables)}{found}<{self.title}; .frame() for pandas>"

    def _repr_html_(self) -> str:
        found = "".join(each._repr_html_() for each in self.verdicts)
        tables = list((self.shown or self.tables)(self.values)) if self.values else []
        return _in_cell(tables, found if tables else f"<p>{escape(self.title)}</p>{found}")


class RankedBoard(Board):
    """A board that shows itself as its table."""

    def __repr__(self) -> str:
        return f"{_text([board_table(self)])}<board of {self.suite}: .rows, .columns, .references>"

    def _repr_html_(self) -> str:
        return _in_cell([board_table(self)])


def _text(tables: Iterable[Table]) -> str:
    console = safe_console()
    with console.capture() as text:
        if drawn := list(tables):
            console.print(terminal(drawn, console.width, LIMIT, ".frame()"))
    return text.get()


def _in_cell(tables: Sequence[Table], before: str = "") -> str:
    """Return tables as HTML, cut to what is read in a notebook, with a line on what is left out."""
    parts, left = [], max(0, len(tables) - CELL_TABLES)
    for table in tables[:CELL_TABLES]:
        cut, rows = table.cut(CELL_ROWS)
        parts.append(html(cut) + (f"<p>... {counted(rows, 'more row')}</p>" if rows else ""))
        left += rows
    if left:
        tables_left = len(tables) - len(parts)
        more = f"... {counted(tables_left, 'more table')}. " if tables_left else ""
        parts.append(f'<p>{more}All of it: <code>.frame()</code>, or <code>.to("html")</code> of the whole result.</p>')
    return f'<div class="gestaltbench">{STYLE}{before}{"".join(parts)}</div>' if parts else before
