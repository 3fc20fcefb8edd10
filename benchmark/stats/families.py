"""Comparisons of two observers as two families of tests: the suites' headlines, and all the rest.

p values are adjusted within each family (Holm), and no hypothesis is in a family, or in both, twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmark.contracts import Metric
from benchmark.stats.comparisons import Comparison, adjust


@dataclass(frozen=True)
class SuiteComparison:
    """One comparison under its suite and metric."""

    suite: str
    metric: Metric
    comparison: Comparison

    @property
    def title(self) -> str:
        """The metric, and the condition where there is one, or over how many experiments it is."""
        average = f"({self.comparison.average})" if self.comparison.average else ""
        return f"{self.metric.title} {self.comparison.condition or average}".strip()


@dataclass(frozen=True)
class Compared:
    """Observer a against observer b ("people": as a group). headlines, secondary: two families, adjusted apart;
    left_out: tests that would be made twice, each with the one that stands for it; remarks: what the two differ in
    besides what they are (device, precision, seed); outdated: whose answers are not of today's card, and why."""

    a: str
    b: str
    headlines: tuple[SuiteComparison, ...]
    secondary: tuple[SuiteComparison, ...]
    left_out: tuple[tuple[SuiteComparison, SuiteComparison], ...] = ()
    remarks: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[SuiteComparison]:
        return iter((*self.headlines, *self.secondary))

    def __len__(self) -> int:
        return len(self.headlines) + len(self.secondary)


@dataclass(frozen=True)
class ComparedToEach:
    """Observer a against each of several, by the suites' headlines: one family of tests over all of them.

    rows: (the other observer, the comparison); alone: others with nothing in common; remarks, outdated: as of
    `Compared`, of any of them.
    """

    a: str
    rows: tuple[tuple[str, SuiteComparison], ...]
    alone: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()


@dataclass(frozen=True)
class DiscordantTrial:
    """A trial that only one of two observers gets right (or answers by shape, or withstands): `winner` "a" or "b".

    answer_a, answer_b: what each said, where the suite keeps answers.
    """

    suite: str
    metric: str
    condition: str
    stimulus: str
    category: str
    winner: str
    answer_a: str = ""
    answer_b: str = ""


def compared(
    a: str, b: str, rows: Sequence[SuiteComparison], remarks: Sequence[str] = ()
) -> Compared:
    """The two families of `rows`, which stand in the order of their suites."""
    first = [row for row in rows if _is_headline(row)]
    kept, left_out = _once([*first, *(row for row in rows if not _is_headline(row))])
    families = [[row for row in kept if _is_headline(row) is wanted] for wanted in (True, False)]
    headlines, secondary = (adjusted(family) for family in families)
    return Compared(a, b, headlines, secondary, tuple(left_out), tuple(remarks))


def compared_to_each(a: str, found: Sequence[Compared]) -> ComparedToEach:
    """The headlines of comparisons of `a` with several others, adjusted together."""
    named = [(one.b, row) for one in found for row in one.headlines]
    together = adjusted([row for _, row in named])
    return ComparedToEach(
        a,
        tuple((b, row) for (b, _), row in zip(named, together, strict=True)),
        tuple(one.b for one in found if not one.headlines),
        tuple(dict.fromkeys(remark for one in found for remark in one.remarks)),
    )


def _is_headline(row: SuiteComparison) -> bool:
    return row.metric.headline and not row.comparison.condition


def adjusted(rows: Sequence[SuiteComparison]) -> tuple[SuiteComparison, ...]:
    """The rows as one family of tests."""
    found = adjust([row.comparison for row in rows])
    return tuple(replace(row, comparison=one) for row, one in zip(rows, found, strict=True))


def _once(
    rows: Sequence[SuiteComparison],
) -> tuple[list[SuiteComparison], list[tuple[SuiteComparison, SuiteComparison]]]:
    """Rows to keep, and those left out, each with the row that stands for it.

    The same data up to sign and scale are one hypothesis; so is a metric of one name in two suites: the one with more
    trials stays, unless the other is a headline.
    """
    largest: dict[tuple[str, str, str], SuiteComparison] = {}
    for row in rows:
        held = largest.get(_name(row))
        if held is None or (row.comparison.n > held.comparison.n and not _is_headline(held)):
            largest[_name(row)] = row
    by_data: dict[str, SuiteComparison] = {}
    kept, left_out = [], []
    for row in rows:
        data = row.comparison.data
        stands = largest[_name(row)]
        if stands is row:
            stands = by_data.setdefault(data, row) if data else row
        if stands is row:
            kept.append(row)
        else:
            left_out.append((row, stands))
    return kept, left_out


def _name(row: SuiteComparison) -> tuple[str, str, str]:
    return row.metric.name, row.comparison.condition, row.suite.partition(":")[2]
