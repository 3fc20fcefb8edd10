"""Which observers a figure shows, and their stored scores of single conditions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmark.leaderboard.model import Board
from benchmark.report.captions import PARENTHESIS
from benchmark.report.contents import Contents
from benchmark.stats import mean_interval
from benchmark.store import ScoreRow

PEOPLE = "people"
#: Lines and marks that can be told apart in one panel.
FEW = 7


@dataclass(frozen=True)
class Scene:
    """A board as figures see it. networks: its ranked ones that have trials here, in order; people: single
    ones."""

    contents: Contents
    board: Board
    networks: tuple[str, ...]
    people: tuple[str, ...]

    @property
    def key(self) -> str:
        """What the names of its figures end with."""
        return self.board.space

    def rows(self, observer: str, metric: str, role: str | None = None) -> list[ScoreRow]:
        """The observer's scores of a metric under single conditions, with a value, on this board's stimuli where it has
        several. role: only this one."""
        found = [
            row
            for row in self.contents.scores.get(observer, ())
            if row.suite == self.board.suite
            and row.space == self.board.space
            and row.metric == metric
            and row.condition
            and row.value is not None
            and (role is None or row.role == role)
        ]
        shown = set(self.board.digests.values())
        mine = [row for row in found if row.stimuli in shown]
        return mine or found

    def plain(self, observer: str, metric: str) -> ScoreRow | None:
        """The observer's score of a metric over all conditions, on this board."""
        held = {row.observer: row for row in (*self.board.rows, *self.board.references)}.get(
            observer
        )
        cell = held.cells.get(metric) if held else None
        return cell.source if cell else None


def scene(contents: Contents, board: Board) -> Scene:
    """The networks and people of a board."""
    valued = [
        row
        for row in board.rows
        if row.cells[board.by].value is not None and row.kind != "reported"
    ]
    people = tuple(row.observer for row in board.references if row.kind == "human")
    return Scene(contents, board, tuple(row.observer for row in valued), people)


def featured(names: Sequence[str], most: int = FEW) -> tuple[str, ...]:
    """At most so many, evenly spaced over the ranks, the first and the last among them."""
    if len(names) <= most:
        return tuple(names)
    return tuple(names[round(i * (len(names) - 1) / (most - 1))] for i in range(most))


def among(shown: Sequence[str], names: Sequence[str]) -> str:
    """ "7 of 40 networks, evenly spaced over the ranks. " where not all are shown."""
    if len(shown) == len(names):
        return ""
    return f"{len(shown)} of {len(names)} networks, evenly spaced over the ranks. "


def by_condition(
    rows: Sequence[Sequence[ScoreRow]],
) -> Iterator[tuple[str, float, float | None, float | None, int]]:
    """(condition, mean, low, high, people) over people, whose rows these are: t intervals over persons."""
    values: dict[str, list[float]] = {}
    for mine in rows:
        for row in mine:
            if row.value is not None:
                values.setdefault(row.condition, []).append(row.value)
    for condition, found in values.items():
        low, high = mean_interval(found, bounds=(0.0, 1.0)) if len(found) > 1 else (None, None)
        yield condition, sum(found) / len(found), low, high, len(found)


def sizes(records: Sequence[Mapping[str, object]]) -> str:
    """ "n 80" or "n 40 to 160" of the records' marks."""
    counts = sorted({n for one in records if isinstance(n := one.get("n"), int) and n})
    if not counts:
        return "n not stated"
    return f"n {counts[0]}" if len(counts) == 1 else f"n {counts[0]} to {counts[-1]}"


def methods(rows: Sequence[ScoreRow]) -> str:
    """ "95 % interval: wilson, clustered"."""
    found = dict.fromkeys(
        PARENTHESIS.sub("", row.method) for row in rows if row.method and row.low is not None
    )
    levels = sorted({row.level for row in rows if row.low is not None})
    if not levels:
        return "no interval"
    at = " or ".join(f"{100 * level:g} %" for level in levels)
    return f"{at} interval{': ' if found else ''}{', '.join(found)}"
