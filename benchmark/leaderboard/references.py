"""Rows to hold the ranked ones against: the mean over people, people, simulated people, ideal observers, untrained
networks, what a suite measures beside its observers, chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.leaderboard.index import Index
from benchmark.leaderboard.model import Cell, Column, Row, cell_of
from benchmark.stats import mean_interval

#: Most trials over fewest, among people whose mean is shown.
ALIKE = 1.5


#: A network with this recipe tag was never trained: it is held against the others, not ranked among them.
UNTRAINED = "untrained"


def reference_rows(
    rows: Sequence[Row], columns: Sequence[Column], beside: Sequence[Row] = (), *, mean: bool = True
) -> tuple[Row, ...]:
    """`rows` (people, real and simulated, ideal observers, untrained networks) with group rows before, `beside` and
    chance after them.

    mean: whether a mean over people says anything. Where they are scored as a group it does not: what each agrees to
    with the others is made of the same pairs, and no t interval covers it.
    """
    people = [row for row in rows if row.kind == "human"]
    shown = mean and len(people) > 1 and _comparable(people, columns)
    group = [people_row(people, columns)] if shown else []
    return (*group, *rows, *beside, *chance_row(columns))


def rows_beside(
    index: Index, names: Mapping[str, str], columns: Sequence[Column], digests: Mapping[str, str]
) -> list[Row]:
    """One row for each condition that is no observer's own (condition -> name), on the board's stimuli.

    digests: role -> stimuli. A condition that was not measured on any of them has no row.
    """
    rows = []
    for condition, name in names.items():
        scores = index.references.get(condition, {})
        found = {c.metric: scores.get((c.metric, digests[c.role])) for c in columns}
        if any(score is not None for score in found.values()):
            cells = {metric: cell_of(score) if score else Cell() for metric, score in found.items()}
            rows.append(Row(None, None, None, name, "reference", (), cells))
    return rows


def _comparable(people: Sequence[Row], columns: Sequence[Column]) -> bool:
    """Whether all answered about as much: a mean over people of whom some saw one experiment and some all is none."""
    heads = [row.cells[columns[0].metric] for row in people]
    sizes = [cell.source.n + cell.source.excluded for cell in heads if cell.source]
    return not sizes or max(sizes) <= ALIKE * min(sizes)


def people_row(people: Sequence[Row], columns: Sequence[Column]) -> Row:
    """The mean over people with an interval over persons (k >= 2)."""
    cells = {
        column.metric: _mean([row.cells[column.metric] for row in people], column.bounds)
        for column in columns
    }
    return Row(None, None, None, f"people (mean of {len(people)})", "group", (), cells)


def chance_row(columns: Sequence[Column]) -> tuple[Row, ...]:
    """What a uniform guesser gets; nothing where no column states it."""
    if all(column.chance is None for column in columns):
        return ()
    cells = {column.metric: Cell(column.chance) for column in columns}
    return (Row(None, None, None, "chance", "chance", (), cells),)


def _mean(cells: Sequence[Cell], bounds: tuple[float, float] | None) -> Cell:
    values = [cell.value for cell in cells if cell.value is not None]
    if not values:
        return Cell(reason=next((cell.reason for cell in cells if cell.reason), "not measured"))
    flags = []
    if len(values) < len(cells):
        flags.append(f"mean of {len(values)} of {len(cells)} people")
    low = high = None
    if len(values) > 1:
        low, high = mean_interval(values, bounds=bounds)
        if low == high:  # all alike: that says nothing about others
            low = high = None
            flags.append("no spread: no interval")
    n = sum(cell.n for cell in cells if cell.value is not None)
    return Cell(sum(values) / len(values), low, high, n, tuple(flags))
