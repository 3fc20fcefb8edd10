"""One CSV table of trials, read and checked. Every error names the file, the row and what was
expected."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import TrialsError
from benchmark.stimuli.names import GEIRHOS16, NO_ANSWER
from benchmark.stimuli.trial_columns import NOTHING, Unsaid, filled, read_header

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


def load(path: Path, unsaid: Unsaid = NOTHING) -> Table:
    """Read a table and check its form, categories and answers; unsaid: what its columns do not say.
    Raises TrialsError."""
    table = _parse(path, unsaid)
    columns = table.columns
    _expect(table, "category", _CATEGORIES, f"one of {', '.join(GEIRHOS16)}")
    _expect(table, "object_response", _ANSWERS, f"one of the 16 categories or '{NO_ANSWER}'")
    for name in ("subj", "imagename"):
        if "" in columns[name]:
            raise TrialsError(f"{table.where(columns[name].index(''))}: '{name}' is empty.")
    return table


def numbers(table: Table, name: str, index: Sequence[int], what: str) -> list[float]:
    """A column of numbers, NaN where there is none; what: what they are. Raises TrialsError on
    other text."""
    values = []
    for i in index:
        text = table.columns[name][i]
        try:
            values.append(
                float(text or "nan") if text.lower() not in {"na", "none"} else float("nan")
            )
        except ValueError:
            where = table.where(i)
            raise TrialsError(f"{where}: {name} is '{text}'; expected {what} or NaN.") from None
    return values


def _parse(path: Path, unsaid: Unsaid) -> Table:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip().lower() for name in next(reader, [])]
            names = read_header(path, header, unsaid)
            return _body(path, names, unsaid, ((reader.line_num, row) for row in reader))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrialsError(f"{path}: cannot be read as a CSV table ({error}).") from error


def _body(
    path: Path, names: list[str], unsaid: Unsaid, lines: Iterable[tuple[int, list[str]]]
) -> Table:
    rows: list[int] = []
    kept: list[list[str]] = []
    for number, row in lines:
        if not row:
            continue
        if len(row) != len(names):
            raise TrialsError(
                f"{path}, row {number}: {len(row)} fields; the header has {len(names)}."
            )
        rows.append(number)
        kept.append(row)
    if not rows:
        raise TrialsError(f"{path}: a header and no trials.")
    columns = {
        name: [text.strip() for text in values]
        for name, values in zip(names, zip(*kept, strict=True), strict=True)
    }
    return Table(path, filled(path, columns, rows, unsaid), rows)


def _expect(table: Table, name: str, allowed: frozenset[str], what: str) -> None:
    values = table.columns[name]
    if set(values) <= allowed:
        return
    i = next(i for i, value in enumerate(values) if value not in allowed)
    raise TrialsError(f"{table.where(i)}: {name} is '{values[i]}'; expected {what}.")
