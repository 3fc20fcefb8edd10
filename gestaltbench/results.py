"""What the verbs give back: short in a console, a table in a notebook, a tidy pandas table by `.frame()`.

A result is a sequence of the program's own values (boards, scores, comparisons), so nothing that they hold is lost;
`.frame()` spreads them into one row per number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Record = Mapping[str, Any]


@dataclass(frozen=True, repr=False)
class Results(Sequence[T], Generic[T]):
    """Values of one verb. title: what they are, for a console; records: value -> rows of the tidy table;
    printed: the rows that a notebook shows, where they are not the tidy ones; heading: what stands over them."""

    title: str
    values: tuple[T, ...]
    records: Callable[[T], Iterable[Record]]
    printed: Callable[[T], Iterable[Record]] | None = None
    heading: Callable[[T], str] = lambda _value: ""

    def frame(self) -> pd.DataFrame:
        """One row per number (per trial, per model), with its interval, n, method and provenance where it has them.

        Tuples become text joined by "; "; a missing number is NaN, and its row says why.
        """
        import pandas as pd

        return pd.DataFrame([_flat(record) for one in self.values for record in self.records(one)])

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
        return f"<{self.title}; .frame() for the table>"

    def _repr_html_(self) -> str:
        """The table of a notebook: every name as text, never as markup."""
        import pandas as pd

        if not self.values:
            return f"<p>{escape(self.title)}</p>"
        if self.printed is None:
            return self.frame().to_html(escape=True, index=False, na_rep="")
        parts = []
        for one in self.values:
            heading = self.heading(one)
            parts += [f"<p>{escape(heading)}</p>"] if heading else []
            table = pd.DataFrame([_flat(record) for record in self.printed(one)])
            parts.append(table.to_html(escape=True, index=False, na_rep=""))
        return "".join(parts)


def counted(n: int, noun: str, plural: str = "") -> str:
    """ "1 board", "3 boards"; plural: where an s is not enough."""
    return f"{n} {noun if n == 1 else plural or f'{noun}s'}"


def _flat(record: Record) -> dict[str, Any]:
    return {name: _plain(value) for name, value in record.items()}


def _plain(value: Any) -> Any:
    return "; ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
