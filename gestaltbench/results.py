"""Results of the Python API: tables in a terminal and in a notebook, and a tidy pandas table by `.frame()`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from benchmark.api.options import Names
from benchmark.cli.printing import safe_console
from benchmark.display import counted
from benchmark.failures import UsageError
from benchmark.leaderboard.forms import DATA, html, rendered, terminal
from benchmark.leaderboard.table import Table, records, table_of

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Record = Mapping[str, Any]
LIMIT = 50  # rows of a printed table between two dividers
STYLE = "<style>.gestaltbench tbody + tbody {border-top: 2px solid} .gestaltbench td {text-align: left}</style>"


@dataclass(frozen=True, repr=False, kw_only=True)
class Results(Sequence[T], Generic[T]):
    """The values of one call, such as boards, scores or comparisons."""

    title: str
    values: tuple[T, ...]
    tables: Callable[[Sequence[T]], Iterable[Table]]  # one row per number
    shown: Callable[[Sequence[T]], Iterable[Table]] | None = None  # as people read them, if that differs
    again: Callable[[Mapping[str, Any]], Results[T]] | None = None  # the same call with more filters

    def where(self, **filters: Names | None) -> Results[T]:
        """Return the same call with more filters: hide, kind, source, recipe, family, models."""
        if self.again is None:
            raise UsageError(f"{self.title}: filters need a leaderboard, which this result does not have.")
        return self.again(filters)

    def to(self, form: str) -> str:
        """Return the tables as "csv", "json", "markdown", "latex" or "html"."""
        draw = self.tables if form in DATA else self.shown or self.tables
        return "".join(rendered(draw(self.values), form))

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

    def __iter__(self) -> Iterator[T]:
        return iter(self.values)

    def __repr__(self) -> str:
        """Return the tables in the terminal's width, with 50 rows between two dividers."""
        console = safe_console()
        with console.capture() as text:
            if self.values:
                console.print(terminal((self.shown or self.tables)(self.values), console.width, LIMIT, ".frame()"))
        return f"{text.get()}<{self.title}; .frame() for pandas>"

    def _repr_html_(self) -> str:
        """Return the tables for a notebook; names are escaped."""
        if not self.values:
            return f"<p>{escape(self.title)}</p>"
        tables = "".join(map(html, (self.shown or self.tables)(self.values)))
        return f'<div class="gestaltbench">{STYLE}{tables}</div>'


def in_rows(values: Sequence[T], noun: str, row: Callable[[T], Record]) -> Results[T]:
    """Return values as one table with a row for each, titled such as "3 suites"."""
    return Results(
        title=counted(len(values), noun), values=tuple(values), tables=lambda values: [table_of(list(map(row, values)))]
    )
