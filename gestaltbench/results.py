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

    from benchmark.contracts import Suite
    from benchmark.engine.score_shards import RunReport
    from benchmark.leaderboard import Board
    from benchmark.leaderboard.model import Cell
    from benchmark.leaderboard.provenance import Provenance
    from benchmark.leaderboard.summary import Summary
    from benchmark.leaderboard.transfer import Claim, Matrix
    from benchmark.stats.comparisons import SuiteComparison
    from benchmark.stimuli.catalogue import Entry
    from registry.cards import ModelCard


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


# The rows of tidy tables: what each value of a verb is in plain numbers and words.


def run_records(report: RunReport) -> Iterator[Record]:
    """The counts of a run, then one row per model and suite that failed or does not apply."""
    for status, n in sorted(report.counts.items()):
        yield {"what": status, "count": n, "reason": ""}
    for status, found in (("failed", report.failed), ("not applicable", report.skipped)):
        for name, reason in found.items():
            yield {"what": f"{status}: {name}", "count": 1, "reason": reason}


def comparison_record(
    headlines: Sequence[SuiteComparison], row: SuiteComparison
) -> Iterator[Record]:
    """One paired test. headlines: those of the first family."""
    from dataclasses import asdict, replace

    numbers = asdict(replace(row.comparison, test=None))
    shown = {name: value for name, value in numbers.items() if name not in ("test", "data")}
    yield {"suite": row.suite, "headline": any(row is one for one in headlines), **shown}


def provenance_records(found: Provenance) -> Iterator[Record]:
    """What is behind a number in one row, nested facts as JSON text."""
    import json

    from benchmark.leaderboard.provenance import provenance_record

    plain = provenance_record(found)
    nested = {name for name, one in plain.items() if isinstance(one, (dict, list))}
    yield {name: json.dumps(one) if name in nested else one for name, one in plain.items()}


def matrix_records(found: tuple[Matrix, list[Claim]]) -> Iterator[Record]:
    """One row per cell of a transfer matrix."""
    from benchmark.leaderboard.transfer_text import transfer_records

    yield from transfer_records(found[0])


def itself(record: Record) -> Iterator[Record]:
    """A record is its own row."""
    yield record


def board_heading(board: Board) -> str:
    """What stands over a board: its suite, stimuli and order."""
    from benchmark.leaderboard.formatting import caption

    return f"{board.title}: {caption(board)}"


def board_lines(board: Board) -> Iterator[Record]:
    """The rows of a board as people read them; flags of distrust stand beside the number that ranks."""
    from benchmark.leaderboard.formatting import estimate, rank_text

    for row in (*board.rows, *board.references):
        texts = {}
        for column in board.columns:
            cell = row.cells[column.metric]
            doubt = _doubt(cell) if column.metric == board.by else ""
            texts[column.title] = estimate(cell.value, cell.low, cell.high) + doubt
        yield {"rank": rank_text(row), "observer": row.observer, **texts}


def _doubt(cell: Cell) -> str:
    """ " (trust: ...)": the flags of distrust; "" where there are none."""
    from benchmark.contracts import DISTRUST

    told = [flag for flag in cell.flags if flag.startswith(DISTRUST)]
    return f" ({'; '.join(told)})" if told else ""


def summary_records(one: Summary) -> Iterator[Record]:
    """One row per observer and headline."""
    for section, lines in (("ranked", one.lines), ("reference", one.references)):
        for line in lines:
            head = {"space": one.space, "section": section, "observer": line.observer}
            head |= {"kind": line.kind, "training": "; ".join(line.training)}
            for headline, cell, rank in zip(one.headlines, line.cells, line.ranks, strict=True):
                values = {"value": cell.value, "low": cell.low, "high": cell.high, "n": cell.n}
                named = {"suite": headline.suite, "metric": headline.column.metric, "rank": rank}
                flags = {"flags": "; ".join(cell.flags), "reason": cell.reason}
                yield {**head, **named, **values, **flags, "set": headline.stimuli}


def summary_lines(one: Summary) -> Iterator[Record]:
    """The rows of a summary as people read them."""
    from benchmark.leaderboard.formatting import estimate

    for line in (*one.lines, *one.references):
        texts = {
            f"{headline.suite}: {headline.column.title}": (
                estimate(cell.value, cell.low, cell.high) + _doubt(cell)
            )
            for headline, cell in zip(one.headlines, line.cells, strict=True)
        }
        yield {"observer": line.observer, "training": ", ".join(line.training), **texts}


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
