"""Results of comparisons of two observers (value, interval, p, verdict), and families of them (Holm)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.contracts import Metric
from benchmark.stats.differences import Test


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One metric, observer a against observer b, on their common trials."""

    metric: str
    condition: str = ""
    a: float | None = None  # values on those trials; None: undefined, see `reason`
    b: float | None = None
    difference: float | None = None  # a - b, with its interval at `level`
    low: float | None = None
    high: float | None = None
    p: float | None = None  # two-sided, for no difference
    p_holm: float | None = None  # adjusted within a family (`adjust`)
    n: int = 0  # common trials that count for at least one of the two
    method: str = ""
    reason: str = ""  # why there is no test
    verdict: str = ""
    only_a: int = 0  # trials missing from the other
    only_b: int = 0
    level: float = 0.95  # of the interval
    discordant: tuple[int, int] | None = None  # trials on which only a, and only b, scores, for yes-or-no metrics
    same: bool = False  # whether both gave the same answer to every trial of either
    remark: str = ""  # a reason for a weaker test
    average: str = ""  # "3 of 17 experiments", if it is an average
    test: Test | None = field(default=None, repr=False)
    data: str = field(default="", repr=False)  # tested data, up to sign and scale: equal texts are one hypothesis


def decided(start: Comparison, test: Test, method: str, data: str = "") -> Comparison:
    """Return `start`, which has a difference, with the p and the interval of `test`, and the verdict."""
    low, high = test.interval(start.level)
    done = replace(start, low=low, high=high, p=test.p, method=method, test=test, data=data)
    return replace(done, verdict=_verdict(done))


def adjust(comparisons: Sequence[Comparison], level: float = 0.95) -> list[Comparison]:
    """Return the comparisons of one family with `p_holm`, and intervals and verdicts that depend on it. Each interval
    has the level at which Holm's procedure tests its row: 1 - (1 - level) / (rows left at its step), after the first
    retained row that row's level. So it excludes 0 exactly if p_holm < 1 - level."""
    at = [i for i, item in enumerate(comparisons) if item.p is not None]
    family = list(comparisons)
    pvalues = np.array([comparisons[i].p for i in at], dtype=float)
    order, left = np.argsort(pvalues, kind="stable"), np.arange(len(pvalues), 0, -1)
    stands = np.flatnonzero(pvalues[order] * left >= 1 - level)
    if len(stands):
        left[stands[0] :] = left[stands[0]]
    steps = np.empty_like(left)  # how many hypotheses were left when each was tested; those not reached: when it ended
    steps[order] = left
    for i, p, step in zip(at, holm(pvalues).tolist(), steps.tolist(), strict=True):
        item = replace(comparisons[i], p_holm=p, level=1 - (1 - level) / step)
        if item.test is not None:
            low, high = item.test.interval(item.level)
            item = replace(item, low=low, high=high)
        family[i] = replace(item, verdict=_verdict(item, level))
    return family


def holm(pvalues: ArrayLike) -> NDArray[np.float64]:
    """Return step-down adjusted p values [m], in the given order (Holm 1979, Scandinavian J. Statistics 6:65)."""
    p = np.asarray(pvalues, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, stepped)
    return adjusted


def undecided(comparison: Comparison, reason: str) -> Comparison:
    """Return the comparison without a test, with the reason as the verdict."""
    return replace(comparison, reason=reason, verdict=f"not compared: {reason}")


def _verdict(item: Comparison, level: float | None = None) -> str:
    """Return the outcome in words; rests on the adjusted p where there is one. level: of the family."""
    p = item.p if item.p_holm is None else item.p_holm
    if p is None or item.difference is None:
        return f"not compared: {item.reason}"
    if item.same:
        return f"no answer differs at n={item.n}"
    uncommon = item.only_a + item.only_b
    rest = f"; {uncommon} trials are not common" if uncommon else ""
    if p < 1 - (level or item.level) and item.difference != 0:
        return f"{'a' if item.difference > 0 else 'b'} is higher{rest}"
    if item.low is None or item.high is None:
        return f"inconclusive at n={item.n}: nothing differs{rest}"
    return f"inconclusive at n={item.n} (+- {(item.high - item.low) / 2:.2g}){rest}"


# Two families of tests: the suites' headlines, and all other metrics. p values are adjusted within each (Holm), and no
# hypothesis is tested twice.


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Observer a against observer b ("people": as a group)."""

    a: str
    b: str
    headlines: tuple[SuiteComparison, ...]  # two families, adjusted separately
    secondary: tuple[SuiteComparison, ...]
    left_out: tuple[tuple[SuiteComparison, SuiteComparison], ...] = ()  # duplicates, each with its representative
    remarks: tuple[str, ...] = ()  # other differences between the two (device, precision, seed)
    outdated: tuple[str, ...] = ()  # observers whose answers are not of today's card, or not to be trusted

    def __iter__(self) -> Iterator[SuiteComparison]:
        return iter((*self.headlines, *self.secondary))

    def __len__(self) -> int:
        return len(self.headlines) + len(self.secondary)


@dataclass(frozen=True, kw_only=True)
class ComparedToEach:
    """Observer a against each of several, by the suites' headlines: one family of tests."""

    a: str
    rows: tuple[tuple[str, SuiteComparison], ...]  # (the other observer, the comparison)
    alone: tuple[str, ...] = ()  # others without common trials
    remarks: tuple[str, ...] = ()  # like `Compared`, for any of them
    outdated: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DiscordantTrial:
    """A trial that only one of two observers answers correctly (or by shape, or withstands): `winner` "a" or "b"."""

    suite: str
    metric: str
    condition: str
    stimulus: str
    category: str
    winner: str
    answer_a: str = ""  # the answers, if the suite stores them
    answer_b: str = ""


def compared(a: str, b: str, rows: Sequence[SuiteComparison], remarks: Sequence[str] = ()) -> Compared:
    """Return the two families of `rows`, which are in the order of their suites, and the duplicates, each with its
    representative. Equal data up to sign and scale are one hypothesis; so is a metric of one name in two suites."""
    rows = sorted(rows, key=lambda row: not _is_headline(row))
    largest: dict[tuple[str, str, str], SuiteComparison] = {}
    names = [(row.metric.name, row.comparison.condition, row.suite.partition(":")[2]) for row in rows]
    for name, row in zip(names, rows, strict=True):
        known = largest.setdefault(name, row)
        if row.comparison.n > known.comparison.n and not _is_headline(known):
            largest[name] = row
    by_data: dict[str, SuiteComparison] = {}
    kept, left_out = [], []
    for name, row in zip(names, rows, strict=True):
        data, stands = row.comparison.data, largest[name]
        if stands is row and data:
            stands = by_data.setdefault(data, row)
        if stands is row:
            kept.append(row)
        else:
            left_out.append((row, stands))
    headlines, secondary = (adjusted([row for row in kept if _is_headline(row) is head]) for head in (True, False))
    return Compared(a=a, b=b, headlines=headlines, secondary=secondary, left_out=(*left_out,), remarks=(*remarks,))


def compared_to_each(a: str, pairs: Sequence[Compared]) -> ComparedToEach:
    """Return the headlines of comparisons of `a` with several others, adjusted together."""
    named = [(pair.b, row) for pair in pairs for row in pair.headlines]
    together = adjusted([row for _, row in named])
    return ComparedToEach(
        a=a, rows=tuple((b, row) for (b, _), row in zip(named, together, strict=True)),
        alone=tuple(pair.b for pair in pairs if not pair.headlines),
        remarks=tuple(dict.fromkeys(remark for pair in pairs for remark in pair.remarks)),
    )  # fmt: skip


def _is_headline(row: SuiteComparison) -> bool:
    return row.metric.headline and not row.comparison.condition


def adjusted(rows: Sequence[SuiteComparison]) -> tuple[SuiteComparison, ...]:
    """Return the rows as one family of tests."""
    family = adjust([row.comparison for row in rows])
    return tuple(replace(row, comparison=comparison) for row, comparison in zip(rows, family, strict=True))
