"""What is measured: metrics, and the scores that they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal

from benchmark.contracts.answers import Trials
from benchmark.contracts.shown import Array

Direction = Literal["higher", "lower", "none"]
#: A flag that begins so says that the number may not mean what it says: `bench rank --flagged-last` heeds it.
DISTRUST = "trust: "
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Score:
    """One number with its uncertainty. `value` None: undefined, and `reason` says why (never 0, never dropped).

    low, high: bounds of the interval at `level`; method: how the interval was made; n: trials that count;
    excluded: trials that do not; role: the stimulus role that it was measured on; flags: short warnings.
    """

    metric: str
    value: float | None
    reason: str = ""
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    method: str = ""
    n: int = 0
    excluded: int = 0
    condition: str = ""
    role: str = ""
    flags: tuple[str, ...] = ()


Ratio = Callable[[Trials], tuple[Array, Array]]
ClustersOf = Callable[[Trials], Mapping[str, Array]]


@dataclass(frozen=True)
class Metric:
    """A metric's definition, for tables and tests.

    ratio: where value = sum(numerator) / sum(denominator) over the trials of `role`: a function
    Trials -> (numerator [n], denominator [n]). Intervals, paired tests and rescoring derive from it.
    chance: what a uniform guesser gets; shown: whether the suite's default table has a column for it.
    clusters: what several stimuli share (factor -> level of each trial [n]): intervals are then about other shapes and
    textures. None: the label columns that end in "_exemplar" (`benchmark.stats.clusters`).
    bounds: the lowest and the highest value there is, where it has both: intervals over people stay within.
    span: the same where no interval is held to it (inf: no end; None: `bounds`); what is imported is held to either.
    clean: whether it is accuracy on images as they are: a summary shows it once for all suites.
    guard: whether a verdict on a new model looks at it beside the headline, as agreement alone says nothing of how many
    answers are right.
    parts: condition of the scores of single experiments, one a role, whose plain mean it is; "" where it is none.
    """

    name: str
    title: str
    definition: str
    direction: Direction = "higher"
    role: str = ""
    headline: bool = False
    chance: float | None = None
    shown: bool = True
    ratio: Ratio | None = None
    clusters: ClustersOf | None = None
    bounds: tuple[float, float] | None = None
    clean: bool = False
    span: tuple[float, float] | None = None
    guard: bool = False
    parts: str = ""

    def own(self, trials: Trials) -> Trials:
        """The trials that it is measured on."""
        return trials.of(self.role) if self.role and len(trials) else trials

    def outside(self, value: float) -> str:
        """Why no value of this metric can be so, in words; "" where it can."""
        low, high = self.span or self.bounds or (-inf, inf)
        if low - _ROUNDING <= value <= high + _ROUNDING:
            return ""
        ends = f"{low:g} or more" if high == inf else f"{low:g} to {high:g}"
        return f"'{self.name}' is {value:g}; it is {ends}"
