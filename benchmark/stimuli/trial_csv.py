"""One CSV table of trials, read and checked. Every error names the file, the row and what was
expected."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import TrialsError
from benchmark.stimuli.names import GEIRHOS16, NO_ANSWER

REQUIRED = ("subj", "object_response", "category", "condition", "imagename")
OPTIONAL = ("session", "trial", "rt")
_ANSWERS = frozenset((*GEIRHOS16, NO_ANSWER))
_CATEGORIES = frozenset(GEIRHOS16)


@dataclass(frozen=True)
class Table:
    """A table's columns as text, by lower-case name, and the row number of each trial (the header
    is row 1)."""

    path: Path
    columns: dict[str, list[str]]
    rows: list[int]

    def where(self, i: int) -> str:
        """ "FILE, row N" of trial i."""
        return f"{self.path}, row {self.rows[i]}"


def load(path: Path) -> Table:
    """Read a table and check its form, categories and answers. Raises TrialsError."""
    table = _parse(path)
    columns = table.columns
    _expect(table, "category", _CATEGORIES, f"one of {', '.join(GEIRHOS16)}")
    _expect(table, "object_response", _ANSWERS, f"one of the 16 categories or '{NO_ANSWER}'")
    for name in ("subj", "imagename"):
        if "" in columns[name]:
            raise TrialsError(f"{table.where(columns[name].index(''))}: '{name}' is empty.")
    return table


def seconds(table: Table, index: Sequence[int]) -> list[float]:
    """Reaction times, NaN where there is none. Raises TrialsError on other text."""
    times = []
    for i in index:
        text = table.columns["rt"][i]
        try:
            times.append(
                float(text or "nan") if text.lower() not in {"na", "none"} else float("nan")
            )
        except ValueError:
            where = table.where(i)
            raise TrialsError(f"{where}: rt is '{text}'; expected seconds or NaN.") from None
    return times


def _parse(path: Path) -> Table:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip().lower() for name in next(reader, [])]
            _check_header(path, header)
            return _body(path, header, ((reader.line_num, row) for row in reader))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrialsError(f"{path}: cannot be read as a CSV table ({error}).") from error


def _body(path: Path, header: list[str], lines: Iterable[tuple[int, list[str]]]) -> Table:
    rows: list[int] = []
    kept: list[list[str]] = []
    for number, row in lines:
        if not row:
            continue
        if len(row) != len(header):
            raise TrialsError(
                f"{path}, row {number}: {len(row)} fields; the header has {len(header)}."
            )
        rows.append(number)
        kept.append(row)
    if not rows:
        raise TrialsError(f"{path}: a header and no trials.")
    columns = {
        name: [text.strip() for text in values]
        for name, values in zip(header, zip(*kept, strict=True), strict=True)
    }
    columns.setdefault("session", ["1"] * len(rows))
    columns.setdefault("trial", [str(i + 1) for i in range(len(rows))])
    columns.setdefault("rt", [""] * len(rows))
    return Table(path, columns, rows)


def _check_header(path: Path, header: list[str]) -> None:
    for name in REQUIRED:
        if name not in header:
            raise TrialsError(
                f"{path}, row 1: no column '{name}'. Expected the columns {', '.join(REQUIRED)} "
                f"(and, if known, {', '.join(OPTIONAL)}); found: {', '.join(header) or 'nothing'}."
            )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise TrialsError(f"{path}, row 1: the column '{twice[0]}' is there twice.")


def _expect(table: Table, name: str, allowed: frozenset[str], what: str) -> None:
    values = table.columns[name]
    if set(values) <= allowed:
        return
    i = next(i for i, value in enumerate(values) if value not in allowed)
    raise TrialsError(f"{table.where(i)}: {name} is '{values[i]}'; expected {what}.")
