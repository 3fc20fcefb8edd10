"""What the verbs give back: tables in a terminal and in a notebook, a tidy pandas table by `.frame()`.

A result is a sequence of the program's own values (boards, scores, comparisons), so nothing that they hold is lost;
`.frame()` spreads them into one row per number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from benchmark.api.options import Names
from benchmark.cli.printing import safe_console
from benchmark.display import counted
from benchmark.errors import UsageError
from benchmark.leaderboard.forms import DATA, html, terminal, written
from benchmark.leaderboard.table import Table, records, table_of

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Record = Mapping[str, Any]
LIMIT = 50  # rows of a printed table between two dividers
STYLE = "<style>.gestaltbench tbody + tbody {border-top: 2px solid} .gestaltbench td {text-align: left}</style>"


@dataclass(frozen=True, repr=False, kw_only=True)
class Results(Sequence[T], Generic[T]):
    """Values of one verb. title: what they are; tables: the values as tables; shown: as people read them, where that is
    another one; again: the same verb with more filters."""

    title: str
    values: tuple[T, ...]
    tables: Callable[[Sequence[T]], Iterable[Table]]
    shown: Callable[[Sequence[T]], Iterable[Table]] | None = None
    again: Callable[[Mapping[str, Any]], Results[T]] | None = None

    def where(self, **filters: Names | None) -> Results[T]:
        """The same verb, with filters besides: hide, kind, source, recipe, family, models."""
        if self.again is None:
            raise UsageError(f"{self.title}: no leaderboard is behind it that filters could choose from.")
        return self.again(filters)

    def to(self, form: str) -> str:
        """The tables as "csv", "json", "markdown", "latex" or "html": data have one row per number."""
        draw = self.tables if form in DATA else self.shown or self.tables
        return "".join(written(draw(self.values), form))

    def frame(self) -> pd.DataFrame:
        """Return one row per number (per trial, per model), with its interval, n, method and provenance where it has
        them.

        Tuples become text joined by "; "; a missing number is NaN, and its row says why."""
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
        """The tables as the terminal has room for them, 50 rows between two dividers."""
        console = safe_console()
        with console.capture() as text:
            if self.values:
                console.print(terminal((self.shown or self.tables)(self.values), console.width, LIMIT, ".frame()"))
        return f"{text.get()}<{self.title}; .frame() for pandas>"

    def _repr_html_(self) -> str:
        """Return the tables of a notebook: every name as text, never as markup."""
        if not self.values:
            return f"<p>{escape(self.title)}</p>"
        tables = "".join(map(html, (self.shown or self.tables)(self.values)))
        return f'<div class="gestaltbench">{STYLE}{tables}</div>'


def in_rows(values: Sequence[T], noun: str, row: Callable[[T], Record]) -> Results[T]:
    """Values as one table with a row for each, under a title such as "3 suites"."""
    return Results(
        title=counted(len(values), noun), values=tuple(values), tables=lambda values: [table_of(list(map(row, values)))]
    )
