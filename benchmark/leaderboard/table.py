"""The one model of tables, for terminal, export and report. A board, a summary, a comparison or a matrix becomes a
`Table` once, with its intervals, flags and notes. `benchmark.leaderboard.forms` writes any table in any form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from math import isfinite
from typing import Any

from benchmark.contracts.declarations import package_data
from benchmark.display import printable
from benchmark.leaderboard.board_model import Cell, Column, Rank

NOTHING = "-"
NOT_MEASURED, ELSEWHERE = "not measured", "not on this board"
PUBLISHED = "+"
BREAKS = 24  # characters beyond which a text of a plain list may break


#: A place in a table: a number with its interval, a rank, or something plain.
Value = Cell | Rank | str | int | float | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Field:
    """A column."""

    key: str = ""  # its name in data; "": not in data
    title: str = ""  # "": not shown
    help: str = ""  # its definition
    right: bool = False  # aligned right in a terminal
    breaks: int = 0  # characters after which a text may break; 0: never
    who: bool = False  # identifies the row, and is repeated in blocks below
    code: bool = False  # texts are names, in Markdown code
    said: str = ""  # a remark that the title includes
    facts: Mapping[str, Any] = field(default_factory=dict)  # of all its numbers, for data
    measure: Column | None = None  # its metric, for pages


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows with a value for each field."""

    title: str = ""
    caption: str = ""
    fields: tuple[Field, ...] = ()
    rows: tuple[tuple[Value, ...], ...] = ()
    dividers: tuple[int, ...] = ()  # indices of rows below a line
    notes: tuple[str, ...] = ()
    intervals: str = ""  # meaning of the brackets
    facts: Mapping[str, Any] = field(default_factory=dict)  # of the whole table, for data
    measure: str = "metric"  # name of a number's field in data
    origin: tuple[str, ...] = ()  # further attributes of cells and their sources in data
    digits: int | None = None  # decimals of all numbers and their intervals, in data, too; None: four and three

    @property
    def heading(self) -> str:
        """Title and caption in a line."""
        return f"{self.title}: {self.caption}" if self.caption else self.title

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """Columns in which some row has a number with an interval."""
        columns = range(len(self.fields))
        return tuple(at for at in columns if any(isinstance(row[at], Cell) for row in self.rows))

    @cached_property
    def visible(self) -> list[int]:
        """Visible columns: those with a title and a value."""
        empty: tuple[Value, ...] = (None, "", (), Rank())
        return [
            at
            for at, column in enumerate(self.fields)
            if column.title and (not self.rows or any(row[at] not in empty for row in self.rows))
        ]

    def cut(self, limit: int | None) -> tuple[Table, int]:
        """Return the table with so many rows between two dividers (None: all), and how many rows are left out."""
        rows: list[tuple[Value, ...]] = []
        dividers = []
        for start, end in zip((0, *self.dividers), (*self.dividers, len(self.rows)), strict=True):
            dividers.append(len(rows))
            rows += self.rows[start:end][:limit]
        return replace(self, rows=tuple(rows), dividers=tuple(dividers[1:])), len(self.rows) - len(rows)

    def named(self, name: str) -> list[int]:
        """Return the columns of that key or title; "*" fits any text."""
        known = ((column.key.lower(), column.title.lower()) for column in self.fields)
        return [at for at, texts in enumerate(known) if any(text and fnmatchcase(text, name.lower()) for text in texts)]

    def of_columns(self, names: Iterable[str]) -> Table | None:
        """Return the table with these columns in this order, names of rows first; None without one that is asked for.
        A column of n is that of the first number."""
        asked = [at for name in names for at in self.named(name)]
        if not asked:
            return None
        who = [at for at in self.named("observer") if at not in asked]
        order = list(dict.fromkeys([*who, *asked]))
        first = next((at for at in order if at in self.numbers), None)
        counted = [at for at in order if self.fields[at].title == "n" and first is not None]

        def values(row: tuple[Value, ...]) -> tuple[Value, ...]:
            head = row[first] if first is not None else None
            n = head.n or None if isinstance(head, Cell) else None
            return tuple(n if at in counted else row[at] for at in order)

        return replace(self, fields=tuple(self.fields[at] for at in order), rows=tuple(map(values, self.rows)))

    def shared(self, at: int) -> list[str]:
        """Remarks that every measured number of a column has; they appear once, below."""
        cells = [cell for row in self.rows if isinstance(cell := row[at], Cell)]
        remarked = [set(remarks(cell)) for cell in cells if cell.value is not None and cell.source is not None]
        common = set.intersection(*remarked) if len(remarked) > 1 else set()
        return sorted(common - {self.fields[at].said})

    def explained(self) -> Iterator[str]:
        """Return the definitions of the columns, a line each."""
        suite = self.facts.get("suite", "")
        return (f"{suite} {column.title}: {column.help}".strip() for column in self.fields if column.help)


def declared_table(
    name: str,
    rows: Iterable[tuple[Value, ...]],
    notes: Iterable[str] = (),
    hidden: Sequence[str] = (),
    columns: Iterable[Field] = (),
    facts: Mapping[str, Any] | None = None,
    **words: Any,
) -> Table:
    """Return a table of `tables.yaml` with these rows, and these notes below its own. Its texts may name `words`; an
    empty entry among its fields is the place of `columns`, and data alone have the columns with a key in `hidden`."""
    plain, fields = package_data("benchmark.leaderboard", "tables")[name], list[Field]()
    for each in plain["fields"]:
        texts = {part: each.get(part, "").format_map(words) for part in ("key", "title")}
        texts |= {"title": ""} if texts["key"] in hidden else {}
        fields += [Field(**{**each, **texts})] if each else columns
    title, caption, intervals = (plain.get(part, "").format_map(words) for part in ("title", "caption", "intervals"))
    return Table(
        title=title,
        caption=caption,
        intervals=intervals,
        fields=tuple(fields),
        rows=tuple(rows),
        notes=(*(note.format_map(words) for note in plain.get("notes", ())), *notes),
        measure=plain.get("measure", "metric"),
        origin=plain.get("origin", ()),
        facts=facts or {},
    )


def table_of(records: Sequence[Mapping[str, Any]], title: str = "") -> Table:
    """Return plain records of the same names as a table."""
    names = tuple(records[0]) if records else ()
    rows = tuple(tuple(tuple(map(str, v)) if isinstance(v, list) else v for v in record.values()) for record in records)
    fields = (Field(name, name, breaks=BREAKS if at else 0, who=not at) for at, name in enumerate(names))
    return Table(title=title, fields=tuple(fields), rows=rows)


def number(value: float | None, digits: int = 4) -> str:
    """Return a value for people: `digits` decimals, fewer above 10; "-" for None."""
    if value is None:
        return NOTHING
    size = abs(value)
    return decimals(value, digits if size < 10 else max(0, digits - 2) if size < 1000 else 0)


def decimals(value: float, digits: int) -> str:
    """Return a value with so many decimals, never "-0.00"."""
    text = f"{value:.{digits}f}"
    return text[1:] if text[0] == "-" and float(text) == 0 else text


def format_interval(value: float | None, low: float | None, high: float | None, digits: int | None = None) -> str:
    """Return "value [low, high]", the bounds with one decimal less; with `digits` decimals, all have so many."""
    shown = [number(value), number(low, 3), number(high, 3)]
    if digits is not None:
        shown = [NOTHING if end is None else decimals(end, digits) for end in (value, low, high)]
    return shown[0] + ("" if None in (value, low, high) else f" [{shown[1]}, {shown[2]}]")


def short_number(value: float | None, digits: int = 3) -> str:
    """Return a value for a sentence or a page: without the nought before the point, ".214" or "-.030"."""
    text = number(value, digits)
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def short_interval(value: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    """Return ".80 [.21, .97]"; ".80" without an interval."""
    ends = "" if low is None or high is None else f" [{short_number(low, digits)}, {short_number(high, digits)}]"
    return short_number(value, digits) + ends


def p_value(p: float | None) -> str:
    """Return a p value: four decimals, "<0.0001" below."""
    if p is None:
        return NOTHING
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def rank_text(rank: float | None, low: float | None, high: float | None) -> str:
    """Return "3 (2-5)", a mean of ranks "2.5 (1.5-3.5)", "1" if the range is one rank, or "" without a rank."""
    if rank is None:
        return ""
    own, best, worst = (f"{end:.1f}" if isinstance(end, float) else f"{end}" for end in (rank, low, high))
    return own if best == worst else f"{own} ({best}-{worst})"


def remarks(cell: Cell) -> list[str]:
    """Notes on a number: its flags, or the reason why it is missing."""
    missing = cell.value is None and cell.reason not in ("", NOT_MEASURED, ELSEWHERE)
    return [*cell.flags, *([cell.reason] if missing else [])]


def shown_texts(table: Table, footnotes: dict[str, int]) -> list[tuple[str, ...]]:
    """Return the columns that people are shown, as they read them; remarks become footnotes " *1", each with one
    number."""

    def text(value: Value, unsaid: Iterable[str]) -> str:
        if isinstance(value, Cell):
            said = [text for text in remarks(value) if text not in unsaid]
            marks = (f" *{footnotes.setdefault(text, len(footnotes) + 1)}" for text in said)
            return format_interval(value.value, value.low, value.high, table.digits) + "".join(marks)
        if isinstance(value, Rank):
            return rank_text(*value)
        if isinstance(value, float):
            return number(value)
        plain: Any = "" if value is None else value  # narrowed to no named tuple by now
        return printable(", ".join(map(str, plain)) if isinstance(plain, tuple) else str(plain))

    columns = []
    for at in table.visible:
        unsaid = {table.fields[at].said, *table.shared(at)}
        columns.append(tuple(text(row[at], unsaid) for row in table.rows))
    return columns


def records(table: Table) -> Iterator[dict[str, Any]]:
    """Yield a record for each number, with its interval and origin; for rows without numbers one for the row."""
    facts = {name: value for name, value in table.facts.items() if not isinstance(value, (Mapping, list))}
    blank = dict.fromkeys(name for column in table.fields for name in column.facts)
    for row in table.rows:
        plain = {**facts, **row_facts(table, row)}
        measured = [(column, cell) for column, cell in zip(table.fields, row, strict=True) if isinstance(cell, Cell)]
        if not measured:
            yield plain
        for column, cell in measured:
            named = {table.measure: column.key} if column.key else {}
            yield {**plain, **named, **blank, **column.facts, **cell_record(cell, table)}


def wide_records(table: Table) -> Iterator[dict[str, Any]]:
    """Yield a record for each row: value, interval, n, rank and remarks of each number in columns of their own."""
    for row in table.rows:
        plain = row_facts(table, row)
        for at in table.numbers:
            value, key = row[at], table.fields[at].key
            cell = value if isinstance(value, Cell) else Cell()
            said = [*cell.flags, *([cell.reason] if cell.reason else [])]
            ranked = {"_rank": cell.rank.rank} if "rank" in table.origin else {}
            parts = {"": cell.value, "_low": cell.low, "_high": cell.high, "_n": cell.n, **ranked, "_remarks": said}
            plain |= {key + part: number for part, number in parts.items()}
        yield {name: value for name, value in plain.items() if name}


def row_facts(table: Table, row: Sequence[Value]) -> dict[str, Any]:
    """Return a row's plain values by key; a rank with its range."""
    plain: dict[str, Any] = {}
    for at, (column, value) in enumerate(zip(table.fields, row, strict=True)):
        if isinstance(value, Rank):
            plain |= {column.key: value.rank, f"{column.key}_low": value.low, f"{column.key}_high": value.high}
        elif column.key and at not in table.numbers:
            plain[column.key] = list(value) if isinstance(value, tuple) else value
    return plain


def cell_record(cell: Cell, table: Table) -> dict[str, Any]:
    """Return the numbers of a table's cell and, from its source, how and when they were made."""
    ends = {"value": cell.value, "low": cell.low, "high": cell.high}
    if table.digits is not None:
        ends = {name: None if end is None else round(end, table.digits) for name, end in ends.items()}
    plain: dict[str, Any] = {**ends, "n": cell.n, "flags": list(cell.flags), "reason": cell.reason}
    for name in table.origin:
        if name == "rank":
            plain |= dict(zip(("rank", "rank_low", "rank_high"), cell.rank, strict=True))
        else:
            plain[name] = getattr(cell.source, name, None)
    return plain


def finite(data: Any) -> Any:
    """Return the same data with numbers that are not finite replaced by None."""
    if isinstance(data, float):
        return data if isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: finite(value) for key, value in data.items()}
    return [finite(value) for value in data] if isinstance(data, (list, tuple)) else data
