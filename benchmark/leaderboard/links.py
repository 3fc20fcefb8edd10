"""How the suites' headlines hang together over observers: correlations, and contrasts of recipes.

Observers are no random sample of anything, and those of one family are nearly one: see `benchmark.stats.correlations`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from benchmark.leaderboard.lineage import NETWORKS, NO_CARD, STANDARD, Lineage, lineage
from benchmark.leaderboard.model import Column
from benchmark.leaderboard.references import UNTRAINED
from benchmark.leaderboard.summary import Headline, Line, Summary
from benchmark.stats import mean_interval
from benchmark.stats.correlations import FEW, Correlation, Method, correlation, without_each

#: The name of the variable that is held constant.
CLEAN = "clean"

Cards = Mapping[str, Mapping[str, Any]]  # observer -> its card as plain data


@dataclass(frozen=True)
class Observed:
    """One observer and its numbers: variable -> value; without a number it has no entry."""

    name: str
    kind: str
    training: tuple[str, ...]
    lineage: Lineage
    values: Mapping[str, float]


@dataclass(frozen=True)
class Variable:
    """A headline, or the clean accuracy: name, what it is called on a page, the column."""

    name: str
    title: str
    column: Column


@dataclass(frozen=True)
class Link:
    """Two variables over the observers that have both.

    spearman, pearson: of the two; partial: Spearman's with clean accuracy held constant (None: it is one of the two, or
    nobody has it); without: Spearman's with each family left out.
    """

    x: Variable
    y: Variable
    observers: tuple[Observed, ...]
    spearman: Correlation
    pearson: Correlation
    partial: Correlation | None
    without: Mapping[str, float | None]

    @property
    def few(self) -> bool:
        """Whether there are too few observers to say anything."""
        return self.spearman.n < FEW


@dataclass(frozen=True)
class Contrast:
    """A recipe minus the standard one, in one variable: the mean over pairs alike in architecture, seed and source.

    low, high: t interval over the pairs, None where there are fewer than two, or no spread.
    """

    recipe: str
    variable: Variable
    difference: float
    low: float | None
    high: float | None
    pairs: tuple[tuple[str, str], ...]


def variables(summary: Summary) -> tuple[Variable, ...]:
    """The headlines in their order, then clean accuracy."""
    made = [Variable(one.suite, _title(one), one.column) for one in summary.headlines]
    if summary.clean:
        made.append(Variable(CLEAN, "clean accuracy", summary.clean.column))
    return tuple(made)


def observed(summary: Summary, cards: Cards = NO_CARD) -> tuple[Observed, ...]:
    """The networks of a summary, trained ones; people and ideal observers take no part."""
    return tuple(
        Observed(
            line.observer,
            line.kind,
            line.training,
            lineage(line.observer, line.training, cards.get(line.observer, NO_CARD)),
            dict(_values(line, summary.headlines)),
        )
        for line in summary.lines
        if line.kind in NETWORKS and UNTRAINED not in line.training
    )


def links(
    summary: Summary,
    cards: Cards = NO_CARD,
    *,
    method: Method = "spearman",
    resamples: int = 2000,
    level: float = 0.95,
) -> tuple[Link, ...]:
    """Every headline against every other, then each against clean accuracy. cards: by observer, for what they say of
    its family; method: what the partial correlation and the leaving out of families are made of."""
    people = observed(summary, cards)
    return tuple(
        _link(x, y, people, method, resamples, level)
        for x, y in combinations(variables(summary), 2)
    )


def contrasts(summary: Summary, level: float = 0.95) -> tuple[Contrast, ...]:
    """Each recipe against the standard one, in every variable that a pair has."""
    observers = observed(summary)
    pairs = list(_pairs(observers))
    recipes = dict.fromkeys(other.lineage.recipe for _, other in pairs)
    made = (
        _contrast(name, variable, [p for p in pairs if p[1].lineage.recipe == name], level)
        for name in recipes
        for variable in variables(summary)
    )
    return tuple(one for one in made if one is not None)


def _title(one: Headline) -> str:
    """What a headline is called; a published score, which is no suite's, by its own title."""
    own = one.suite == one.column.metric
    return one.column.title if own else f"{one.suite} {one.column.title}"


def _values(line: Line, headlines: Sequence[Headline]) -> Iterator[tuple[str, float]]:
    for one, cell in zip(headlines, line.cells, strict=True):
        if cell.value is not None:
            yield one.suite, cell.value
    if line.clean.value is not None:
        yield CLEAN, line.clean.value


def _link(
    x: Variable,
    y: Variable,
    observers: Sequence[Observed],
    method: Method,
    resamples: int,
    level: float,
) -> Link:
    both = tuple(one for one in observers if {x.name, y.name} <= set(one.values))
    a, b = ([one.values[name] for one in both] for name in (x.name, y.name))
    families = [one.lineage.family for one in both]
    spearman = correlation(a, b, families, resamples=resamples, level=level)
    pearson = correlation(a, b, families, method="pearson", resamples=resamples, level=level)
    partial = None
    held = [one for one in both if CLEAN in one.values]
    if held and CLEAN not in (x.name, y.name):
        partial = correlation(
            [one.values[x.name] for one in held],
            [one.values[y.name] for one in held],
            [one.lineage.family for one in held],
            method=method,
            given=[one.values[CLEAN] for one in held],
            resamples=resamples,
            level=level,
        )
    return Link(x, y, both, spearman, pearson, partial, without_each(a, b, families, method=method))


def _pairs(observers: Sequence[Observed]) -> Iterator[tuple[Observed, Observed]]:
    """(standard, other): alike in source, architecture and seed, the other of another recipe."""
    alike: dict[tuple[str, str, str], list[Observed]] = defaultdict(list)
    for one in observers:
        alike[one.lineage.source, one.lineage.architecture, one.lineage.seed].append(one)
    for group in alike.values():
        plain = [one for one in group if one.lineage.recipe == STANDARD]
        others = (one for one in group if one.lineage.recipe != STANDARD)
        yield from ((standard, other) for other in others for standard in plain[:1])


def _contrast(
    name: str, variable: Variable, pairs: Sequence[tuple[Observed, Observed]], level: float
) -> Contrast | None:
    held = [(a, b) for a, b in pairs if variable.name in a.values and variable.name in b.values]
    if not held:
        return None
    differences = [b.values[variable.name] - a.values[variable.name] for a, b in held]
    low = high = None
    if len(held) > 1:
        low, high = mean_interval(differences, level)
        low, high = (None, None) if low == high else (low, high)
    mean = sum(differences) / len(differences)
    return Contrast(name, variable, mean, low, high, tuple((b.name, a.name) for a, b in held))
