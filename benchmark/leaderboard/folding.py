"""A board of a hundred rows made readable: people as one row with its spread, and a choice of published networks.

Nothing is ranked anew: a row that stays keeps the rank that it has among all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmark.leaderboard.formatting import number
from benchmark.leaderboard.model import Board, Row

#: As many people and published networks as are shown one by one.
FEW_PEOPLE = 4
FEW_PUBLISHED = 12
PUBLISHED = ("published", "reported")


def fold(board: Board, families: Mapping[str, str]) -> Board:
    """The board with what is many folded away, and notes that say what. families: observer -> its family.

    Of published networks the best of each recipe and family stay, and the lowest of all; every other row stays.
    """
    rows, published = _choice(board.rows, families)
    references, people = _without_people(board)
    notes = tuple(line for line in (published, people) if line)
    return replace(board, rows=rows, references=references, notes=(*board.notes, *notes))


def _choice(rows: Sequence[Row], families: Mapping[str, str]) -> tuple[tuple[Row, ...], str]:
    published = [row for row in rows if row.kind in PUBLISHED]
    if len(published) <= FEW_PUBLISHED:
        return tuple(rows), ""
    best: dict[tuple[tuple[str, ...], str], str] = {}
    for row in published:  # in ranked order
        best.setdefault((row.training, families.get(row.observer, "")), row.observer)
    valued = [row for row in published if row.rank is not None] or published
    shown = {*best.values(), valued[-1].observer}
    kept = tuple(row for row in rows if row.kind not in PUBLISHED or row.observer in shown)
    hidden = len(rows) - len(kept)
    if not hidden:
        return kept, ""
    return kept, (
        f"{hidden} of {len(published)} published networks are folded away: the best of each recipe and family are "
        "shown, and the lowest (--all)"
    )


def _without_people(board: Board) -> tuple[tuple[Row, ...], str]:
    people = [row for row in board.references if row.kind == "human"]
    if len(people) <= FEW_PEOPLE or not any(row.kind == "group" for row in board.references):
        return board.references, ""
    kept = tuple(row for row in board.references if row.kind != "human")
    return kept, f"{len(people)} people are folded into one row (--all){_spread(people, board.by)}"


def _spread(people: Sequence[Row], metric: str) -> str:
    """From the lowest to the highest of them; "" where no two have a value."""
    values = [(row.cells[metric].value, row.observer) for row in people]
    found = sorted((value, name) for value, name in values if value is not None)
    if len(found) < 2:
        return ""
    (low, first), (high, last) = found[0], found[-1]
    return f": from {number(low)} ({first}) to {number(high)} ({last})"
