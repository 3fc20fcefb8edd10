"""A suite's headline as a strip: networks as dots between chance and people, or the best possible value."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median_low
from typing import NamedTuple

from benchmark.display import counted
from benchmark.leaderboard.board_model import Cell, Column, Row, is_trusted
from benchmark.leaderboard.reference_scores import is_reference
from benchmark.leaderboard.summary import Summary
from benchmark.leaderboard.table import short_interval, short_number
from benchmark.report.contents import Contents, PeopleScore, people_among
from benchmark.report.drawing import short_names

STANDARD = ("standard",)
EDGE = 0.02  # share of a strip that is left free at each end
#: Of labels: letters, and the share of a strip that a letter takes on a phone.
LONGEST, LETTER = 28, 0.022


class Scale(NamedTuple):
    """The values at the left, worse end and at the right end."""

    worst: float
    best: float

    def at(self, value: float) -> float:
        """Return the share of the strip from the left."""
        share = (value - self.worst) / ((self.best - self.worst) or 1.0)
        return EDGE + (1 - 2 * EDGE) * min(1.0, max(0.0, share))

    def span(self, cell: Cell) -> tuple[float, float]:
        """Return both ends of an interval from the left; without an interval, the value twice."""
        ends = (cell.value if end is None else end for end in (cell.low, cell.high))
        left, right = sorted(self.at(end or 0.0) for end in ends)
        return left, right


@dataclass(frozen=True, kw_only=True)
class Dot:
    """An observer on a strip."""

    line: Row
    cell: Cell
    at: float  # share of the strip from the left
    span: tuple[float, float]  # of its interval
    own: bool  # it is labelled
    label: str  # its name without its source, where that is distinct
    level: int = 0  # row of its label, the lowest first
    start: float = 0.0  # where its label begins

    @property
    def reference(self) -> bool:
        """Whether it comes with the package."""
        return is_reference(self.cell)

    @property
    def name(self) -> str:
        """The name, cut to the length of a label."""
        return self.label if len(self.label) <= LONGEST else f"{self.label[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"

    @property
    def text(self) -> str:
        """Value and interval."""
        return short_interval(*self.cell[:3]) + " (reference)" * self.reference


@dataclass(frozen=True, kw_only=True)
class Strip:
    """A headline over the networks of a label space."""

    head: Column
    page: str  # of the suite
    sentence: str
    people: PeopleScore | None
    band: tuple[float, float] | None  # of people
    chance: float | None
    scale: Scale
    goal: str  # what the right end is
    dots: tuple[Dot, ...]

    @property
    def told(self) -> str:
        """The strip in words, for those who do not see it."""
        values = [dot.cell.value or 0.0 for dot in self.dots if not dot.reference]
        others = len(self.dots) - len(values)
        ends = f"from {short_number(min(values))} to {short_number(max(values))}"
        who = f"; {self.people.called} {short_number(self.people.cell.value)}" if self.people else ""
        mine = "".join(f"; {dot.line.observer} {dot.text}" for dot in self.dots if dot.own)
        beside = f"; hollow: {counted(others, 'reference score')}" if others else ""
        return f"{counted(len(values), 'network')} {ends}{beside}{who}{mine}"


def strips_of(contents: Contents, summary: Summary, own: Collection[str]) -> Iterator[Strip]:
    """Yield a strip for each headline with a value. own: those that are labelled, with reference observers."""
    for i, head in enumerate(summary.headlines):
        lines = (*summary.lines, *(line for line in summary.references if line.observer in own))
        held = {line.observer: line for line in lines if is_trusted(line.cells[head.suite])}
        if not held:
            continue
        people, board = contents.people_at(summary, i), contents.references.get((head.suite, summary.space))
        if board is not None:  # with the scores that come with the package
            ranked = (r._replace(cells={head.suite: r.cells[board.by]._replace(rank=r.place)}) for r in board.rows)
            held |= {row.observer: row for row in ranked if is_trusted(row.cells[head.suite])}
            who = ((row.observer, row.kind, row.cells[board.by]) for row in board.references)
            if people is None and (theirs := people_among(who, head.bounds, pooled=True)):
                people = theirs._replace(called=f"{theirs.called} (reference)")
        shown = [*held.values()]
        values = [line.cells[head.suite].value or 0.0 for line in shown]
        top, goal = _goal(head, people, values)
        chance = [] if head.chance is None else [head.chance]
        ends = (max, min) if head.direction == "lower" else (min, max)
        scale = Scale(worst=ends[0](*chance, *values, top), best=ends[1](*chance, *values, top))
        short = short_names(line.observer for line in shown)
        dots = []
        for line in shown:
            cell, name = line.cells[head.suite], line.observer
            at, span = scale.at(cell.value or 0.0), scale.span(cell)
            dots.append(Dot(line=line, cell=cell, at=at, span=span, own=name in own, label=short[name]))
        yield Strip(
            head=head,
            page=contents.page_of(head.suite),
            sentence=in_words(contents, head, people, shown),
            people=people,
            band=scale.span(people.cell) if people else None,
            chance=scale.at(chance[0]) if chance else None,
            scale=scale,
            goal=goal,
            dots=tuple(levelled(dots)),
        )


def _goal(head: Column, people: PeopleScore | None, values: Sequence[float]) -> tuple[float, str]:
    if people is not None and people.cell.value is not None:
        return people.cell.value, f"{people.called} {short_number(people.cell.value)}"
    lower = head.direction == "lower"
    if head.bounds is None or head.direction == "none":
        most = min(values) if lower else max(values)
        return most, f"{'lowest' if lower else 'highest'} {short_number(most)}"
    best = head.bounds[0 if lower else 1]
    return best, f"best possible {short_number(best)}"


def levelled(dots: Sequence[Dot], letter: float = LETTER) -> Iterator[Dot]:
    """Yield the dots, own ones last, with labels that cover none other. letter: the share of the strip of a letter."""
    free: list[float] = []  # where each row is free from
    yield from (dot for dot in dots if not dot.own)
    for dot in sorted((dot for dot in dots if dot.own), key=lambda dot: dot.at):
        width = letter * len(dot.name)
        left = dot.at if dot.at < 0.5 else dot.at - width
        left = max(0.0, min(left, 1 - width))
        level = next((row for row, end in enumerate(free) if end <= left), len(free))
        free[level : level + 1] = [left + width]
        yield replace(dot, level=level, start=left)


def in_words(contents: Contents, head: Column, people: PeopleScore | None, lines: Sequence[Row]) -> str:
    """Return the headline as a sentence without terms: people, the best network, the median standard one."""
    metric = next(suite.headline for suite in contents.suites if suite.name == head.suite)
    values = {line.observer: line.cells[head.suite].value or 0.0 for line in lines if line.kind != "ideal"}
    plain = sorted(values[line.observer] for line in lines if line.training == STANDARD and line.observer in values)
    if not values:
        return ""
    goal = people.cell.value if people else None
    best = (min if head.direction == "lower" else max)(values.values())
    if head.direction == "none" and goal is not None:
        best = min(values.values(), key=lambda value: abs(value - goal))
    named = [(people.called, goal)] if people is not None and goal is not None else []
    usual = [("a standard one", median_low(plain))] if plain and len(values) > 1 else []
    named += [("the best network", best), *usual]
    if not metric.plain or not all(0 <= value <= 1 for _, value in named):
        said = ", ".join(f"{who} {short_number(value)}" for who, value in named)
        return f"{head.title[:1].upper()}{head.title[1:]}: {said}."
    (who, first), *others = named
    start = "The best networks" if goal is None else f"{who[:1].upper()}{who[1:]}"
    before = "in " if "in {}" in metric.plain else ""
    rest = (f"{who} {before}{100 * value:.0f}" for who, value in others)
    told = metric.plain.format(f"{100 * first:.0f}")
    return f"{', '.join([f'{start} {told}', *rest])}."
