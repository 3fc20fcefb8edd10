"""Recipes on boards: means over networks, two recipes against each other, numbers on recipes, and claims. Networks and
images are both samples: one checkpoint of each says nothing about the recipes."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from functools import partial
from math import inf, pi, sqrt
from pathlib import Path
from statistics import stdev
from typing import Any, ClassVar, Literal

import numpy as np

from benchmark.contracts import Metric
from benchmark.display import counted, printable
from benchmark.failures import BenchError
from benchmark.leaderboard.board_model import CLEAN, Cell
from benchmark.leaderboard.comparison import better
from benchmark.leaderboard.lineage import STANDARD, UNSTATED
from benchmark.leaderboard.links import Observed, correlation_cell
from benchmark.leaderboard.table import Field, Table, Value, declared_table, number, p_value
from benchmark.stats import network_samples
from benchmark.stats.clusters import robust_interval
from benchmark.stats.comparisons import Comparison, SuiteComparison, adjust, adjusted, decided, undecided
from benchmark.stats.differences import detectable, power_of
from benchmark.stats.intervals import Floats
from benchmark.stats.rankings import correlation
from registry.documents import read_document, validated

PLURAL = {"recipe": "recipes", "family": "families", "architecture": "architectures"}
Networks = Sequence[Observed]
GroupedBy = Literal["recipe", "family", "architecture"]
#: Of two units alone, whose spread may be next to nothing by chance, an interval would cover as little as .90.
LEAST_PAIRS = 3
#: A second opinion disagrees if its difference, or its standard error, is off by more than this share.
ONE = "one network: its seed cannot be told from its {}"
SIZE = "log10-parameters"
#: Numbers of which a standard network has not 0 but another value, which its tags state or leave open.
WITHOUT_ZERO = ("epochs", "data", "images", "finetuned")
_TAG = re.compile(r"(?P<name>[^()+]+)\((?P<parts>[^()]*)\)")
_FEWEST = 2  # degrees of freedom of a slope
#: The claims of the papers behind this package.
PAPERS = Path(__file__).parent / "paper_claims.yaml"


@dataclass(frozen=True, kw_only=True)
class HeadlineSample:
    """A headline of the networks of one board, on the trials that all of them answered."""

    suite: str
    space: str
    metric: Metric
    networks: tuple[Observed, ...]
    answers: network_samples.NetworkAnswers
    over: str  # the population of its intervals

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
        """Return weights [units, networks]."""
        lines = [self.networks[i].lineage.line if by == "recipe" else "" for i in at]
        return _averaged(np.eye(len(self.networks))[[*at]], lines, at)

    def mean(self, at: Sequence[int], by: GroupedBy) -> Cell:
        """Return the mean over networks at these positions, with an interval over networks and images."""
        units = self.units(at, by)
        if len(units) < 2:
            return Cell(n=len(at), reason=ONE.format(by))
        if len(units) < LEAST_PAIRS:
            value = float(units.mean(axis=0) @ self.answers.values)
            return Cell(value=value, n=len(at), flags=("two alone: no interval",))
        found = network_samples.over_networks([(1.0, units)], self.answers.values, self.answers.images)
        low, high = robust_interval(found.value, found.spread, self.answers.limits)
        return Cell(value=found.value, low=low, high=high, n=len(at), source=found)


def _averaged(rows: Floats, lines: Sequence[str], alone: Sequence[int]) -> Floats:
    """Return the mean of the rows of each line of architectures, or of each key of `alone` if there is one line."""
    # Networks of one line are nearly one observation of a recipe.
    keys: Sequence[object] = lines if len(set(lines)) > 1 else alone
    return np.array([rows[[other == key for other in keys]].mean(axis=0) for key in dict.fromkeys(keys)])


def recipe_table(samples: Sequence[HeadlineSample], by: GroupedBy = "recipe") -> Table:
    """Return means of recipes (or families, architectures) in each headline; below, spreads within and between them."""
    groups = [sample.groups(by) for sample in samples]
    rows: list[tuple[Value, ...]] = []
    for name in dict.fromkeys(name for own in groups for name in own):
        size = max(len(own.get(name, ())) for own in groups)
        own = (s.mean(at[name], by) if name in at else Cell() for s, at in zip(samples, groups, strict=True))
        rows.append((name, size, *own))
    rows.sort(key=lambda row: -(row[2].value if isinstance(row[2], Cell) and row[2].value is not None else -inf))
    within: list[float | None] = []
    between: list[float | None] = []
    for sample, held in zip(samples, groups, strict=True):
        several = [sample.answers.values[at] for at in held.values() if len(at) > 1]
        squares = sum(float(((part - part.mean()) ** 2).sum()) for part in several)
        within.append(sqrt(squares / sum(len(part) - 1 for part in several)) if several else None)
        between.append(stdev(float(part.mean()) for part in several) if len(several) > 1 else None)
    units = dict.fromkeys(sample.over for sample in samples)
    each = "; ".join(f"over {unit}: {', '.join(s.title for s in samples if s.over == unit)}" for unit in units)
    about = (Field(f"{s.suite}.{s.metric.name}", s.title, s.metric.definition, right=True) for s in samples)
    note = "Last rows: standard deviation of single networks around the mean of their own, and of the means."
    if by == "recipe":
        unstated = sum(network.lineage.recipe == UNSTATED for network in samples[0].networks)
        note += " Lines of architectures count once each."
        note += f" {counted(unstated, 'network')} without a stated recipe." * bool(unstated)
    facts, every = {"space": samples[0].space, "by": by}, PLURAL[by]
    last = ((f"between networks of a {by}", None, *within), (f"between {every}", None, *between))
    table = declared_table("means", (*rows, *last), [note], (), about, facts, **facts, every=every, over=each)
    return replace(table, dividers=(len(rows),))


@dataclass(frozen=True, kw_only=True, eq=False)
class RecipeDifference:
    """Recipe A minus recipe B in one headline."""

    sample: HeadlineSample
    row: SuiteComparison  # the test, one of a family
    estimate: network_samples.NetworkSample | None  # None: a recipe has one network alone
    a: tuple[str, ...]  # networks
    b: tuple[str, ...]
    unit: str  # "3 pairs by seed", "3 + 5 networks"
    flags: tuple[str, ...]  # what these networks cannot tell from the recipe
    sides: tuple[str, ...] = ()  # names of A and B


def compared_recipes(samples: Iterable[HeadlineSample], sides: Mapping[str, frozenset[str]]) -> list[RecipeDifference]:
    """Test two sets of recipes (name -> recipes) in each headline, as one family."""
    rows = []
    for sample in samples:
        groups = sample.groups("recipe")
        a, b = ([i for name, at in groups.items() if name in own for i in at] for own in sides.values())
        if a and b:
            rows.append(_difference(sample, a, b))
    family = adjusted([row.row for row in rows])
    return [replace(row, row=test, sides=tuple(sides)) for row, test in zip(rows, family, strict=True)]


def _difference(sample: HeadlineSample, a: Sequence[int], b: Sequence[int]) -> RecipeDifference:
    names, answers = [network.name for network in sample.networks], sample.answers
    pairs, units, unit = _paired(sample.networks, a, b)
    if paired := len(pairs) == min(len(a), len(b)) and len(units) >= LEAST_PAIRS:
        a, b = [i for i, _ in pairs], [*dict.fromkeys(j for _, j in pairs)]
        groups = [(1.0, units)]
    else:
        groups = [(1.0, sample.units(a)), (-1.0, sample.units(b))]
        sizes = [(len(own), len(at)) for (_, own), at in zip(groups, (a, b), strict=True)]
        unit = " + ".join(f"{k} {'lines' if k < n else 'networks'}" for k, n in sizes)
    means = [float(answers.values[[*at]].mean()) for at in (a, b)]
    start, estimate = Comparison(metric=sample.metric.name, a=means[0], b=means[1], n=answers.n), None
    if min(len(own) for _, own in groups) < 2:
        test = undecided(start, ONE.format("recipe"))
    else:
        low, high = answers.limits or (-inf, inf)
        estimate = replace(network_samples.over_networks(groups, answers.values, answers.images), limit=high - low)
        start = replace(start, difference=estimate.value)
        test = decided(start, estimate.test, f"t test over {unit}, and images")
    return RecipeDifference(
        sample=sample,
        row=SuiteComparison(suite=sample.suite, metric=sample.metric, comparison=test),
        estimate=estimate,
        a=tuple(names[i] for i in a),
        b=tuple(names[i] for i in b),
        unit=unit,
        flags=tuple(inseparable(sample.networks, a, b, paired=paired)),
    )


def _paired(networks: Networks, a: Sequence[int], b: Sequence[int]) -> tuple[list[tuple[int, int]], Floats, str]:
    """Return pairs alike in source, architecture and seed, their weights [units, networks], and a name for them."""
    # Of several partners that of the same series ("resnet50_l2_eps0" for "resnet50_l2_eps3"), then the plain one.
    each, lineages, pairs = np.eye(len(networks)), [network.lineage for network in networks], []
    for i in a:
        own = lineages[i]
        alike = [
            (other.series != own.series, len(other.series.replace(STANDARD, "")), networks[j].name, j) for j in b
            if (other := lineages[j]).source == own.source
            and ((other.architecture, other.seed) == (own.architecture, own.seed)
                 or own.architecture == networks[j].name.partition(" (")[0])  # ViT-B-16: no sixteenth seed
        ]  # fmt: skip
        pairs += [(i, min(alike)[-1])] if alike else []
    rows = np.array([each[i] - each[j] for i, j in pairs])
    units = _averaged(rows, [networks[i].lineage.line for i, _ in pairs], [j for _, j in pairs])
    kinds = {what: {getattr(lineages[i], what) for i, _ in pairs} for what in ("architecture", "seed")}
    by = next((what for what, known in kinds.items() if len(known) > 1), "source")
    return pairs, units, f"{len(units)} pairs by {by}"


def inseparable(networks: Networks, a: Sequence[int], b: Sequence[int], *, paired: bool) -> Iterator[str]:
    """Yield what the two sides differ in besides the recipe, or what all share and the result is thus limited to."""
    for what, name in (("architecture", "line"), ("source", "source")):
        first, second = ({getattr(networks[i].lineage, name) or "own runs" for i in side} for side in (a, b))
        if not paired and first != second:
            shared = what if first & second else f"no {what} in common"
            yield f"{shared}: {_listed(first)} against {_listed(second)}"
        elif len(first) == 1 and what == "architecture":
            yield f"every network is {_listed(first)}: nothing is known of other architectures"


def _listed(names: Iterable[str]) -> str:
    few = sorted(names)
    return printable(", ".join(few[:3]) + (f" and {len(few) - 3} more" if len(few) > 3 else ""))


def recipe_comparison_table(rows: Sequence[RecipeDifference]) -> Table:
    """Return the differences of two recipes, the parts of their variance, and what seeds alone would make of them."""

    def values(one: RecipeDifference) -> tuple[Value, ...]:
        test, estimate, share, parts = one.row.comparison, one.estimate, None, ""
        if estimate and estimate.value:
            # The mean absolute difference of two networks, one of each recipe, if the recipes were equal.
            share = sqrt(2 / pi * sum(estimate.single)) / abs(estimate.value)
        if estimate and (total := estimate.spread.value):
            each = (estimate.networks, estimate.images, estimate.interaction)
            parts = " / ".join(f"{100 * part / total:.0f}" for part in each) + " %"
        cell = Cell(test.difference, test.low, test.high, n=test.n, reason=test.reason, flags=one.flags, source=test)
        names = (one.sample.suite, one.sample.metric.name, one.sample.space, one.row.title)
        tested = (one.unit, better(one.row), test.p_holm, p_value(test.p_holm))
        return (*names, cell, *tested, share, f"{100 * share:.0f} %" if share else "", parts, test.a, test.b)

    notes = []
    for side in ("a", "b"):
        names = dict.fromkeys(name for one in rows for name in getattr(one, side))
        notes.append(f"{side.upper()}: {counted(len(names), 'network')}, {_listed(names)}.")
    if fixed := [one.row.title for one in rows if one.sample.answers.images is network_samples.fixed_images]:
        notes.append(f"Only over networks, on these images: {', '.join(fixed)}.")
    a, b = rows[0].sides
    return declared_table("recipes", map(values, rows), notes, a=a, b=b)


def recipe_power_table(
    rows: Mapping[RecipeDifference, float | None], *, detect: float, power: float, training: float = 0.0
) -> Table:
    """Return what each comparison detects now, and how many networks a recipe, or images, a difference of `detect`
    needs. `rows` have the hours to evaluate a network on these images (None: unknown), `training` the hours to train
    one."""

    def values(one: RecipeDifference) -> tuple[Value, ...]:
        found, n, each = one.estimate, one.sample.answers.n, rows[one]
        who = (one.sample.suite, one.row.title, one.unit)
        if found is None or not found.test.se:
            return (*who, None, n, one.row.comparison.reason or "nothing varies", *[None] * 5)
        now = min(found.units)
        units = next((k for k in range(2, network_samples.MANY) if power_of(found.planned(k), detect) >= power), None)
        times = next((t for t in network_samples.TIMES if power_of(found.planned(now, t), detect) >= power), None)
        # Hours are of both recipes.
        train = "" if units is None or each is None else f"{2 * max(0, units - now) * (each + training):.2g}"
        answer = "" if times is None or each is None else f"{2 * now * max(0.0, times - 1) * each:.2g}"
        sees, chance = detectable(found.planned(now), power), power_of(found.planned(now), detect)
        wanted = (units or "no number", train, f"{times * n:,.0f}" if times else "no number", answer)
        return (*who, now, n, number(sees), number(chance, 2), *wanted)

    trained = f" and to train each in {training:g}" if training else "; --train-hours adds training"
    return declared_table("recipe_power", map(values, rows), detect=detect, power=power, training=trained)


def doses_of(networks: Networks) -> dict[str, dict[int, float]]:
    """Return number -> position of a network -> its value: the numbers in tags, and the parameters. A standard network
    of a line and source in which others have a treatment's number has 0 of it."""
    found: dict[str, dict[int, float]] = {}
    for at, network in enumerate(networks):
        for tag in _TAG.finditer(network.lineage.recipe):
            *words, last = (part.strip() for part in tag["parts"].split(","))
            try:
                found.setdefault("-".join([tag["name"].strip(), *words]), {})[at] = float(Fraction(last))
            except (ValueError, ZeroDivisionError):
                continue
        if SIZE in network.values:
            found.setdefault(SIZE, {})[at] = network.values[SIZE]
    for name, levels in found.items():
        if name != SIZE and not name.startswith(WITHOUT_ZERO):
            treated = {(networks[at].lineage.line, networks[at].lineage.source) for at in levels}
            for at, network in enumerate(networks):
                if network.lineage.recipe == STANDARD and (network.lineage.line, network.lineage.source) in treated:
                    levels[at] = 0.0
    return {name: dict(sorted(levels.items())) for name, levels in found.items() if len({*levels.values()}) > 1}


def dose_table(samples: Iterable[HeadlineSample]) -> Table:
    """Return a row for each headline and number on recipes: slope, partial correlation, and what is not separated."""

    def values(sample: HeadlineSample, dose: str, levels: Mapping[int, float]) -> tuple[Value, ...]:
        at, x = [*levels], np.array([*levels.values()])
        networks = tuple(sample.networks[i] for i in at)
        lines, y = [network.lineage.line for network in networks], sample.answers.values[at]
        low, high = (np.flatnonzero(x == end).tolist() for end in (x.min(), x.max()))
        cell = Cell(n=len(at), flags=tuple(inseparable(networks, high, low, paired=False)))
        if all(len({d for d, other in zip(x, lines, strict=True) if other == own}) < 2 for own in lines):
            reason = "each line of architectures has one value: number and architecture are not separated"
            cell = cell._replace(reason=reason)
        elif len(at) - len(set(lines)) - 1 < _FEWEST:
            cell = cell._replace(reason=f"{len(at)} networks in {len(set(lines))} lines: too few for a slope")
        else:
            slope = network_samples.slope_over_networks(at, x, lines, sample.answers.values, sample.answers.images)
            start, end = robust_interval(slope.value, slope.spread)
            cell = cell._replace(value=slope.value, low=start, high=end, source=slope)
        held = {
            key: column
            for key in (CLEAN, SIZE)
            if key != dose and all(key in network.values for network in networks)
            and np.ptp(column := np.array([network.values[key] for network in networks]))
        }  # fmt: skip
        given = np.column_stack([*held.values()]) if held else None
        families = [network.lineage.family for network in networks]
        partial = correlation_cell(correlation(x, y, families, method="pearson", given=given))
        reach = " to ".join(number(end, 3) for end in (x.min(), x.max()))
        return (dose, sample.title, sample.space, len(at), reach, cell, partial, ", ".join(held))

    rows = (values(sample, *dose) for sample in samples for dose in doses_of(sample.networks).items())
    return declared_table("doses", rows)


@dataclass(frozen=True, kw_only=True)
class RecipeClaim:
    """Recipe `over` is higher (or lower) than recipe `under` by more than `margin`; the fields are those of a file."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    claim: str  # in words
    over: str
    under: str = "standard"
    suite: str
    metric: str | None = None  # default: the suite's headline
    direction: Literal["higher", "lower"] = "higher"
    margin: float = 0.0
    family: str = ""  # of tests; default: all claims of the file
    networks: int = 0  # of each recipe, as planned (`bench power --networks`)
    stated: date
    paper: str = ""


def read_claims(path: Path) -> list[RecipeClaim]:
    """Return the claims of a YAML file, a list of mappings. Raise BenchError for anything else."""
    rows: Any = read_document(path, "the file of claims", BenchError)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise BenchError(f"{path}: expected a list of claims, each with claim, over, suite and stated.")

    def wrong(at: int, text: str) -> BenchError:
        return BenchError(f"{path}, claim {at}: {text}.")

    return [validated(RecipeClaim, row, partial(wrong, at)) for at, row in enumerate(rows, 1)]


@dataclass(frozen=True, kw_only=True)
class TriedClaim:
    """A claim and what the networks of a leaderboard say to it."""

    claim: RecipeClaim
    found: RecipeDifference | None  # None: for the `reason`
    first: str = ""  # moment of the first of these trials; "" if some were published by others
    reason: str = ""
    test: Comparison | None = None  # of the difference beyond the margin, adjusted within its family

    @property
    def verdict(self) -> Literal["held", "refuted", "open"]:
        """Held beyond the margin, refuted if a difference of the margin is excluded, otherwise open."""
        test = self.test
        if test is None or test.p_holm is None or test.p_holm >= 0.05 or not test.difference:
            return "open"
        return "held" if test.difference > 0 else "refuted"

    @property
    def before(self) -> bool:
        """Whether it was stated on a day before any of the trials."""
        return self.claim.stated.isoformat() < self.first[:10]


def tried(rows: Sequence[TriedClaim]) -> list[TriedClaim]:
    """Return the claims with their tests, each family adjusted (Holm)."""
    families: dict[str, dict[int, Comparison]] = defaultdict(dict)
    for at, row in enumerate(rows):
        if row.found is not None and row.found.estimate is not None:
            # The difference in the direction of the claim, minus its margin.
            estimate, start = row.found.estimate, row.found.row.comparison
            value = (estimate.value if row.claim.direction == "higher" else -estimate.value) - row.claim.margin
            start = replace(start, difference=value, p_holm=None)
            families[row.claim.family][at] = decided(start, replace(estimate.test, difference=value), start.method)
    tests = {at: test for each in families.values() for at, test in zip(each, adjust([*each.values()]), strict=True)}
    return [replace(row, test=tests.get(at)) for at, row in enumerate(rows)]


def claims_table(rows: Sequence[TriedClaim]) -> Table:
    """Return each claim with its verdict, the difference and its unit, and when it was stated."""

    def values(row: TriedClaim) -> tuple[Value, ...]:
        claim, found, test = row.claim, row.found, row.test
        asked = f"{claim.over} {'>' if claim.direction == 'higher' else '<'} {claim.under}"
        asked += f" by {claim.margin:g}" if claim.margin else ""
        when = "before" if row.before else "after" if found else ""
        where, unit, cell = claim.suite, "", Cell(reason=found.row.comparison.reason if found else row.reason)
        if found and found.estimate and test:
            few = min(len(found.a), len(found.b)) < claim.networks
            flags = (*found.flags, *([f"planned for {claim.networks} networks of each recipe"] if few else []))
            low, high = found.estimate.test.interval(test.level)
            cell = Cell(found.estimate.value, low, high, n=found.sample.answers.n, flags=flags, source=test)
            where, unit = f"{found.sample.title} ({found.sample.space})", found.unit
        p = p_value(test.p_holm if test else None)
        return (claim.claim, row.verdict, asked, where, cell, unit, p, when, claim.paper)

    return declared_table("claims", map(values, rows))
