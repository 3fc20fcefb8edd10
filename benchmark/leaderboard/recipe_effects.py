"""Recipes on boards: means over networks, and two recipes against each other. Networks and images are both samples:
one checkpoint of each says nothing about the recipes."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, sqrt
from statistics import stdev
from typing import Literal

import numpy as np

from benchmark.contracts import Metric
from benchmark.display import counted, printable
from benchmark.leaderboard.board_model import Cell
from benchmark.leaderboard.board_tables import TEXT_MAX
from benchmark.leaderboard.comparison import better
from benchmark.leaderboard.lineage import STANDARD, UNSTATED
from benchmark.leaderboard.links import Observed
from benchmark.leaderboard.table import Field, Table, Value, counts, number, p_value
from benchmark.stats.clusters import Variance, bounded_interval, t_interval
from benchmark.stats.comparisons import Comparison, SuiteComparison, adjusted, decided, undecided
from benchmark.stats.differences import detectable, power_of
from benchmark.stats.intervals import Floats
from benchmark.stats.mixed_models import mixed_difference
from benchmark.stats.network_samples import Group, ImageVariance, NetworkSample, SampledRatio, over_networks

GroupedBy = Literal["recipe", "family", "architecture"]
#: Of two units alone, whose spread may be next to nothing by chance, an interval would cover as little as .90.
LEAST_PAIRS = 3
ONE = "one network: its seed cannot be told from its {}"


@dataclass(frozen=True, kw_only=True)
class HeadlineSample:
    """A headline of the networks of one board, on the trials that all of them answered."""

    suite: str
    space: str
    metric: Metric
    stimuli: str  # in words
    networks: tuple[Observed, ...]
    values: Floats  # [networks]
    images: ImageVariance
    over: str  # the population of its intervals
    n: int = 0  # trials
    limits: tuple[float, float] | None = None  # of its values
    answers: SampledRatio | None = None  # trials by networks, of a ratio

    @property
    def title(self) -> str:
        """The suite and the metric."""
        return f"{self.suite} {self.metric.title}"

    def groups(self, by: GroupedBy) -> dict[str, list[int]]:
        """Return recipe, family or architecture -> positions of its networks, without those that state no recipe."""
        found: dict[str, list[int]] = defaultdict(list)
        for at, network in enumerate(self.networks):
            found[getattr(network.lineage, by)].append(at)
        found.pop(UNSTATED, None)
        return found

    def units(self, at: Sequence[int], by: GroupedBy = "recipe") -> Floats:
        """Return weights [units, networks]. Networks of one line of architectures are nearly one observation of a
        recipe: if there are several lines, each counts once."""
        lines = [line_of(self.networks[i]) if by == "recipe" else "" for i in at]
        keys = lines if len(set(lines)) > 1 else [*map(str, at)]
        return _averaged(np.eye(len(self.networks))[[*at]], keys)

    def mean(self, at: Sequence[int], by: GroupedBy) -> Cell:
        """Return the mean over networks at these positions, with an interval over networks and images."""
        units = self.units(at, by)
        if len(units) < 2:
            return Cell(n=len(at), reason=ONE.format(by))
        if len(units) < LEAST_PAIRS:
            return Cell(value=float(units.mean(axis=0) @ self.values), n=len(at), flags=("two alone: no interval",))
        found = over_networks([(1.0, units)], self.values, self.images)
        spread = Variance(value=found.test.se**2, df=found.df)
        low, high = (
            bounded_interval(found.value, spread, self.limits) if self.limits else t_interval(found.value, spread)
        )
        return Cell(value=found.value, low=low, high=high, n=len(at), source=found)


def line_of(network: Observed) -> str:
    """Return the line of architectures of a network."""
    return network.lineage.family.partition("/")[0]


def _averaged(rows: Floats, keys: Sequence[str]) -> Floats:
    """Return the mean of the rows of each key."""
    return np.array([rows[[other == key for other in keys]].mean(axis=0) for key in dict.fromkeys(keys)])


def recipe_table(samples: Sequence[HeadlineSample], by: GroupedBy = "recipe") -> Table:
    """Return a row for each recipe (or family, or architecture) of a label space, a column for each headline; below,
    the spread between networks of one recipe beside that between recipes."""
    found = [(sample, sample.groups(by)) for sample in samples]
    sizes: dict[str, int] = defaultdict(int)
    for _, groups in found:
        for name, at in groups.items():
            sizes[name] = max(sizes[name], len(at))
    cells = {
        (name, sample.suite): sample.mean(groups[name], by) if name in groups else Cell()
        for sample, groups in found
        for name in sizes
    }
    first, unstated = samples[0].suite, sum(n.lineage.recipe == UNSTATED for n in samples[0].networks)
    order = sorted(sizes, key=lambda name: -(value if (value := cells[name, first].value) is not None else -1e9))
    rows: list[tuple[Value, ...]] = [
        (name, sizes[name], *(cells[name, sample.suite] for sample in samples)) for name in order
    ]
    within, between = zip(*(_spreads(sample, groups) for sample, groups in found), strict=True)
    units = dict.fromkeys(sample.over for sample in samples)
    each = "; ".join(f"over {unit}: {', '.join(s.title for s in samples if s.over == unit)}" for unit in units)
    spreads = ((f"between networks of a {by}", None, *within), (f"between {_plural(by)}", None, *between))
    about = (Field(f"{s.suite}.{s.metric.name}", s.title, s.metric.definition, right=True) for s in samples)
    return Table(
        title=f"{_plural(by)}, {samples[0].space}",
        caption="means over networks",
        fields=(Field(by, by, who=True, breaks=TEXT_MAX), Field("networks", "networks", right=True), *about),
        rows=(*rows, *spreads),
        dividers=(len(rows),),
        notes=(
            "Last rows: standard deviation of single networks around the mean of their own, and of the means. "
            "Several lines of architectures of a recipe count once each.",
            *(
                [f"{counted(unstated, 'network')} without a stated recipe: left out."]
                if unstated and by == "recipe"
                else []
            ),
        ),
        intervals=f"[low, high]: 95 % interval; {each}.",
        facts={"space": samples[0].space, "by": by},
        measure="column",
        origin=("networks", "images", "interaction", "df"),
    )


def _plural(by: str) -> str:
    return "families" if by == "family" else f"{by}s"


def _spreads(sample: HeadlineSample, groups: Mapping[str, Sequence[int]]) -> tuple[float | None, float | None]:
    """Return the standard deviation of networks within groups (pooled), and of the means of these groups."""
    several = [sample.values[at] for at in groups.values() if len(at) > 1]
    if not several:
        return None, None
    squares = sum(float(((part - part.mean()) ** 2).sum()) for part in several)
    means = [float(part.mean()) for part in several]
    return sqrt(squares / sum(len(part) - 1 for part in several)), stdev(means) if len(means) > 1 else None


@dataclass(frozen=True, kw_only=True)
class RecipeDifference:
    """Recipe A minus recipe B in one headline."""

    sample: HeadlineSample
    row: SuiteComparison  # the test, one of a family
    estimate: NetworkSample | None  # None: a recipe has one network alone
    a: tuple[str, ...]  # networks
    b: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...] = ()  # () for two samples
    unit: str = ""  # "3 pairs by seed", "3 and 5 networks"
    inseparable: tuple[str, ...] = ()  # what these networks cannot tell from the recipe
    remark: str = ""  # a second opinion that disagrees

    @property
    def share(self) -> float | None:
        """The share of the difference that two single networks would have if the recipes were equal."""
        value = self.estimate.value if self.estimate else 0.0
        return self.estimate.alone / abs(value) if self.estimate and value else None


@dataclass(frozen=True, kw_only=True)
class RecipeComparison:
    """Recipe A against recipe B: all headlines are one family of tests."""

    a: str
    b: str
    rows: tuple[RecipeDifference, ...]


def compared_recipes(
    samples: Iterable[HeadlineSample], sides: Mapping[str, frozenset[str]], *, mixed: bool = False
) -> RecipeComparison:
    """Return the difference of two sets of recipes in each headline. sides: name -> its recipes, of two; mixed: ask a
    mixed model, too."""
    a, b = sides
    rows = []
    for sample in samples:
        at = [
            [i for name, where in sample.groups("recipe").items() if name in sides[side] for i in where]
            for side in sides
        ]
        if all(at):
            rows.append(_difference(sample, *at))
    if mixed:
        rows = [replace(row, remark=_second_opinion(row)) for row in rows]
    family = adjusted([row.row for row in rows])
    return RecipeComparison(a=a, b=b, rows=tuple(replace(r, row=t) for r, t in zip(rows, family, strict=True)))


def _difference(sample: HeadlineSample, a: Sequence[int], b: Sequence[int]) -> RecipeDifference:
    names = [network.name for network in sample.networks]
    pairs = _pairs(sample.networks, a, b)
    lines = [line_of(sample.networks[i]) for i, _ in pairs]
    keys = lines if len(set(lines)) > 1 else [names[j] for _, j in pairs]
    if len({*keys}) < LEAST_PAIRS or len(pairs) < min(len(a), len(b)):
        pairs = []
    groups: list[Group]
    if pairs:
        single = np.eye(len(names))
        groups = [(1.0, _averaged(np.array([single[i] - single[j] for i, j in pairs]), keys))]
        a, b = [i for i, _ in pairs], [*dict.fromkeys(j for _, j in pairs)]
        own = [sample.networks[i].lineage for i in a]
        by = next((what for what in ("architecture", "seed") if len({getattr(one, what) for one in own}) > 1), "source")
        unit = f"{len(groups[0][1])} pairs by {by}"
    else:
        groups = [(1.0, sample.units(a)), (-1.0, sample.units(b))]
        kinds = [
            "lines" if len(units) < len(side) else "networks" for (_, units), side in zip(groups, (a, b), strict=True)
        ]
        unit = " + ".join(f"{len(units)} {kind}" for (_, units), kind in zip(groups, kinds, strict=True))
        unit = unit.replace(f" {kinds[1]} + ", " + ")  # "3 + 2 networks"
    means = [float(sample.values[[*at]].mean()) for at in (a, b)]
    start = Comparison(metric=sample.metric.name, a=means[0], b=means[1], n=sample.n)
    estimate = None
    if min(len(units) for _, units in groups) < 2:
        test = undecided(start, ONE.format("recipe"))
    else:
        ends = sample.limits or (-inf, inf)
        estimate = replace(over_networks(groups, sample.values, sample.images), limit=ends[1] - ends[0])
        start = replace(start, difference=estimate.value)
        test = decided(start, estimate.test, f"t test over {unit}, and images")
    return RecipeDifference(
        sample=sample,
        row=SuiteComparison(suite=sample.suite, metric=sample.metric, comparison=test),
        estimate=estimate,
        a=tuple(names[i] for i in a),
        b=tuple(names[i] for i in b),
        pairs=tuple((names[i], names[j]) for i, j in pairs),
        unit=unit,
        inseparable=tuple(inseparable(sample.networks, a, b, paired=bool(pairs))),
    )


def _second_opinion(one: RecipeDifference) -> str:
    """Return how a mixed model disagrees; "" if it does not, or the metric is no ratio."""
    answers, found = one.sample.answers, one.estimate
    if answers is None or found is None or not found.test.se:
        return ""
    names = np.array([network.name for network in one.sample.networks])
    at = np.isin(names, [*one.a, *one.b])
    second = mixed_difference(
        answers.num[:, at], answers.den[:, at], answers.factors, np.isin(names[at], one.a).astype(float)
    )
    return second.remark(found.value, found.test.se)


def _pairs(networks: Sequence[Observed], a: Sequence[int], b: Sequence[int]) -> list[tuple[int, int]]:
    """Return (a, b) of those alike in source, architecture and seed: of several that of the same series
    ("resnet50_l2_eps0" for "resnet50_l2_eps3"), then the one with the least about a recipe in its name."""
    found = []
    for i in a:
        own = networks[i].lineage

        def place(j: int) -> tuple[bool, int, str]:
            series = networks[j].lineage.series
            return series != own.series, len(series.replace(STANDARD, "")), networks[j].name  # noqa: B023

        alike = [
            j for j in b
            if (other := networks[j].lineage).source == own.source
            and ((other.architecture, other.seed) == (own.architecture, own.seed)
                 or own.architecture == networks[j].name.partition(" (")[0])  # ViT-B-16: no sixteenth seed
        ]  # fmt: skip
        if alike:
            found.append((i, min(alike, key=place)))
    return found


def inseparable(networks: Sequence[Observed], a: Sequence[int], b: Sequence[int], *, paired: bool) -> Iterator[str]:
    """Yield what the two sides differ in besides the recipe, or what all share and the result is thus limited to."""
    for what, of in (("architecture", line_of), ("source", lambda network: network.lineage.source or "own runs")):
        first, second = ({of(networks[i]) for i in side} for side in (a, b))
        if not paired and not first & second:
            yield f"no {what} in common: {_listed(first)} against {_listed(second)}"
        elif not paired and first != second:
            yield f"{what}: {_listed(first)} against {_listed(second)}"
        elif len(first) == 1 and what == "architecture":
            yield f"every network is {_listed(first)}: nothing is known of other architectures"


def _listed(names: Iterable[str]) -> str:
    few = sorted(names)
    return printable(", ".join(few[:3]) + (f" and {len(few) - 3} more" if len(few) > 3 else ""))


def recipe_comparison_table(found: RecipeComparison) -> Table:
    """Return the differences of two recipes, the parts of their variance, and what seeds alone would make of them."""

    def values(one: RecipeDifference) -> tuple[Value, ...]:
        test, estimate, share = one.row.comparison, one.estimate, one.share
        total = estimate.test.se**2 if estimate else 0.0
        shares = ""
        if estimate and total:
            parts = (estimate.networks, estimate.images, estimate.interaction)
            shares = " / ".join(f"{100 * part / total:.0f}" for part in parts) + " %"
        flags = (*one.inseparable, *([one.remark] if one.remark else []))
        cell = Cell(test.difference, test.low, test.high, n=test.n, reason=test.reason, flags=flags, source=test)
        names = (one.sample.suite, one.sample.metric.name, one.sample.space, one.row.title)
        tested = (one.unit, better(one.row), test.p_holm, p_value(test.p_holm))
        return (*names, cell, *tested, share, f"{100 * share:.0f} %" if share else "", shares, test.a, test.b)

    who = (Field("suite", "suite", who=True), Field("metric"), Field("space"))
    shown = (Field("title", "metric", breaks=10, who=True), Field("difference", "A - B"))
    over = (Field("unit", "over", breaks=9), Field("better", "better", breaks=12))
    tested = (Field("p_holm"), Field("", "p (Holm)"), Field("alone"), Field("", "seeds alone", right=True))
    parts = Field("", "variance: networks / images / both", right=True, breaks=24)
    return Table(
        title=f"A: {found.a}    B: {found.b}",
        caption="recipes, over networks and images",
        fields=(*who, *shown, *over, *tested, parts, Field("a", "A"), Field("b", "B")),
        rows=tuple(map(values, found.rows)),
        notes=tuple(_reading(found)),
        intervals="[low, high]: over networks and images; all rows are one family of tests (Holm), and an interval "
        "leaves out 0 exactly where p is below .05.",
        measure="number",
        origin=("level", "method", "p"),
    )


def _reading(found: RecipeComparison) -> Iterator[str]:
    said: dict[str, list[str]] = defaultdict(list)
    for one in found.rows:
        side = better(one.row).partition(" is higher")[0]
        if side in ("A", "B"):
            word = "higher" if one.sample.metric.direction == "none" else "better"
            said[f"{getattr(found, side.lower())} is {word}, over {one.unit}"].append(one.row.title)
        elif one.row.comparison.p is not None:
            said[f"Open, over {one.unit}"].append(one.row.title)
    yield from (
        f"{verdict}: {', '.join(said[verdict])}." for verdict in sorted(said, key=lambda v: v.startswith("Open"))
    )
    yield (
        "seeds alone: the mean difference of two networks, one of each recipe, were the recipes equal, as a share of A "
        "- B. Variance of A - B: between networks, between images, and of each network's own answers to images (both)."
    )
    for side in ("a", "b"):
        names = dict.fromkeys(name for one in found.rows for name in getattr(one, side))
        yield f"{side.upper()}: {counted(len(names), 'network')}, {_listed(names)}."
    if fixed := [
        one.row.title for one in found.rows if not one.estimate or not one.sample.over.endswith(("images", "people"))
    ]:
        yield f"Over networks alone, on these images: {', '.join(fixed)}."


@dataclass(frozen=True, kw_only=True)
class RecipePlan:
    """What a comparison of two recipes sees, and what it needs to see `detect` with this power."""

    row: RecipeDifference
    detect: float
    power: float
    hours: float | None  # to evaluate one network on these images; None: unknown here
    training: float = 0.0  # hours to train one network

    def values(self) -> tuple[Value, ...]:
        """Return the row of `recipe_power_table`."""
        one, found = self.row, self.row.estimate
        who = (one.sample.suite, one.row.title, one.unit)
        if found is None or not found.test.se:
            return (*who, None, one.sample.n, one.row.comparison.reason or "nothing varies", *[None] * 5)
        now, sides = min(found.units), 2
        units, times = (ask(self.detect, self.power) for ask in (found.units_needed, found.images_needed))
        more, images = max(0, (units or now) - now), max(0.0, (times or 1.0) - 1)
        cost = None if self.hours is None else self.hours + self.training
        hours = "" if cost is None or units is None else f"{sides * more * cost:.2g}"
        image_hours = "" if self.hours is None or times is None else f"{sides * now * images * self.hours:.2g}"
        smallest, chance = detectable(found.planned(now), self.power), power_of(found.planned(now), self.detect)
        texts = ("no number" if end is None else end for end in (units, times and f"{times * one.sample.n:,.0f}"))
        needed = [*zip(texts, (hours, image_hours), strict=True)]
        return (*who, now, one.sample.n, number(smallest), number(chance, 2), *needed[0], *needed[1])


def recipe_power_table(plans: Sequence[RecipePlan]) -> Table:
    """Return what each comparison sees now, and how many networks a recipe, or images, a difference needs."""
    detect, power = plans[0].detect, plans[0].power
    who = (Field("suite", "suite", who=True), Field("title", "metric", breaks=10, who=True), Field("unit", "over"))
    now = (Field("networks", "networks", right=True), Field("images", "n", right=True), *counts("sees", "chance"))
    wanted = (Field("needed", "networks needed", right=True, breaks=9), *counts("hours"))
    return Table(
        title="Power",
        caption=f"recipes, to see a difference of {detect:g}",
        fields=(*who, *now, *wanted, Field("n", "n needed", right=True), *counts("hours")),
        rows=tuple(plan.values() for plan in plans),
        notes=(
            f"sees: the smallest difference found with a chance of {power:g}; chance: of finding {detect:g}. networks "
            "needed: of each recipe, on these images; n needed: with these networks (no number: the other limits it).",
            "hours: of this machine for those that lack, to evaluate them"
            + (f" and to train each in {plans[0].training:g}" if plans[0].training else "; --train-hours adds training")
            + ". Two-sided 95 %, of one comparison; a family of several (Holm) needs more.",
        ),
    )
