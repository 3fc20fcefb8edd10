"""What the verbs give back: short in a console, a table in a notebook, a tidy pandas table by `.frame()`.

A result is a sequence of the program's own values (boards, scores, comparisons), so nothing that they hold is lost;
`.frame()` spreads them into one row per number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from benchmark.leaderboard.forms import html
from benchmark.leaderboard.table import Table, records, table_of

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.contracts import Suite
    from benchmark.engine.score_shards import RunReport
    from benchmark.leaderboard.provenance import Provenance
    from benchmark.stats.comparisons import SuiteComparison
    from benchmark.stimuli.catalogue import Entry
    from registry.cards import ModelCard


T = TypeVar("T")
Record = Mapping[str, Any]


@dataclass(frozen=True, repr=False)
class Results(Sequence[T], Generic[T]):
    """Values of one verb. title: what they are, for a console; tables: the values as tables."""

    title: str
    values: tuple[T, ...]
    tables: Callable[[Sequence[T]], Iterable[Table]]

    def frame(self) -> pd.DataFrame:
        """One row per number (per trial, per model), with its interval, n, method and provenance where it has them.

        Tuples become text joined by "; "; a missing number is NaN, and its row says why.
        """
        import pandas as pd

        return pd.DataFrame([_flat(one) for table in self.tables(self.values) for one in records(table)])

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
        """The tables of a notebook: every name as text, never as markup."""
        if not self.values:
            return f"<p>{escape(self.title)}</p>"
        return "".join(map(html, self.tables(self.values)))


def in_rows(record: Callable[[T], Iterable[Record]]) -> Callable[[Sequence[T]], list[Table]]:
    """A table of the rows that each value is in plain numbers and words."""
    return lambda values: [table_of([row for one in values for row in record(one)])]


def counted(n: int, noun: str, plural: str = "") -> str:
    """ "1 board", "3 boards"; plural: where an s is not enough."""
    return f"{n} {noun if n == 1 else plural or f'{noun}s'}"


def _flat(record: Record) -> dict[str, Any]:
    return {
        name: "; ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        for name, value in record.items()
    }


# The rows of tidy tables: what each value of a verb is in plain numbers and words.


def run_records(report: RunReport) -> Iterator[Record]:
    """The counts of a run, then one row per model and suite that failed or does not apply."""
    for status, n in sorted(report.counts.items()):
        yield {"what": status, "count": n, "reason": ""}
    for status, names in (("failed", report.failed), ("not applicable", report.skipped)):
        for name, reason in names.items():
            yield {"what": f"{status}: {name}", "count": 1, "reason": reason}


def comparison_record(headlines: Sequence[SuiteComparison], row: SuiteComparison) -> Iterator[Record]:
    """One paired test. headlines: those of the first family."""
    from dataclasses import asdict, replace

    numbers = asdict(replace(row.comparison, test=None))
    shown = {name: value for name, value in numbers.items() if name not in ("test", "data")}
    yield {"suite": row.suite, "headline": any(row is head for head in headlines), **shown}


def provenance_records(behind: Provenance) -> Iterator[Record]:
    """What is behind a number in one row, nested facts as JSON text."""
    import json

    from benchmark.leaderboard.provenance import provenance_record

    plain = provenance_record(behind)
    nested = {name for name, value in plain.items() if isinstance(value, (dict, list))}
    yield {name: json.dumps(value) if name in nested else value for name, value in plain.items()}


def itself(record: Record) -> Iterator[Record]:
    """A record is its own row."""
    yield record


def card_record(card: ModelCard) -> Iterator[Record]:
    """A card in one row."""
    plain: Mapping[str, Any] = card.model_dump(mode="json")
    shown = ("name", "source", "arch", "labels", "training", "weights", "sha256", "license")
    yield {name: plain.get(name) for name in shown}


def suite_record(suite: Suite) -> Iterator[Record]:
    """A suite in one row."""
    yield {
        "suite": suite.name,
        "version": suite.version,
        "headline": suite.headline.name,
        "needs": suite.needs,
        "variants": tuple(suite.variants),
        "summary": suite.summary,
    }


def set_record(settings: Any, entry: Entry) -> Iterator[Record]:
    """A stimulus set in one row."""
    from benchmark.stimuli.catalogue import locate

    yield {
        "set": entry.name,
        "on_disk": bool(locate(entry.name, settings)),
        "role": entry.role,
        "space": entry.space,
        "count": entry.count,
        "licence": entry.license,
        "what": entry.title,
    }
