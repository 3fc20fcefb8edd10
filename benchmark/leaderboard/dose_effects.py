"""Numbers on recipes (epsilon, share of stylised images, parameters): the slope of each headline, over networks and
images, and what these networks cannot separate from it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from benchmark.leaderboard.board_model import CLEAN, Cell
from benchmark.leaderboard.lineage import STANDARD
from benchmark.leaderboard.links import Observed, correlation_cell
from benchmark.leaderboard.recipe_effects import HeadlineSample, inseparable, line_of
from benchmark.leaderboard.table import Field, Table, counts, number
from benchmark.stats.clusters import t_interval
from benchmark.stats.network_samples import NetworkSample, slope_over_networks
from benchmark.stats.rankings import Correlation, correlation

SIZE = "log10-parameters"
#: Numbers of which a standard network has not 0 but another value, which its tags state or leave open.
WITHOUT_ZERO = ("epochs", "data", "images", "finetuned")
_TAG = re.compile(r"(?P<name>[^()+]+)\((?P<parts>[^()]*)\)")
_FEWEST = 2  # degrees of freedom of a slope


@dataclass(frozen=True, kw_only=True)
class DoseEffect:
    """A headline against a number on the recipes of its networks."""

    dose: str  # "adversarial-linf"
    sample: HeadlineSample
    doses: tuple[float, ...]  # of the networks that have one
    slope: NetworkSample | None  # of the headline, per unit of the dose; None: for the `reason`
    partial: Correlation  # given clean accuracy and size
    given: tuple[str, ...] = ()  # what is held constant
    inseparable: tuple[str, ...] = ()
    reason: str = ""


def doses_of(networks: Sequence[Observed]) -> dict[str, dict[int, float]]:
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
            treated = {(line_of(networks[at]), networks[at].lineage.source) for at in levels}
            for at, network in enumerate(networks):
                if network.lineage.recipe == STANDARD and (line_of(network), network.lineage.source) in treated:
                    levels[at] = 0.0
    return {name: dict(sorted(levels.items())) for name, levels in found.items() if len({*levels.values()}) > 1}


def dose_effects(samples: Iterable[HeadlineSample]) -> Iterator[DoseEffect]:
    """Yield each headline against each number on recipes."""
    for sample in samples:
        for name, levels in doses_of(sample.networks).items():
            yield _effect(sample, name, levels)


def _effect(sample: HeadlineSample, dose: str, levels: Mapping[int, float]) -> DoseEffect:
    at, x = [*levels], np.array([*levels.values()])
    networks = tuple(sample.networks[i] for i in at)
    lines, y = [line_of(network) for network in networks], sample.answers.values[at]
    slope, reason = None, ""
    if all(len({d for d, other in zip(x, lines, strict=True) if other == own}) < 2 for own in lines):
        reason = "each line of architectures has one value: number and architecture are not separated"
    elif len(at) - len(set(lines)) - 1 < _FEWEST:
        reason = f"{len(at)} networks in {len(set(lines))} lines: too few for a slope"
    else:
        slope = slope_over_networks(at, x, lines, sample.answers.values, sample.answers.images)
    held = {
        key: column
        for key in (CLEAN, SIZE)
        if key != dose and all(key in network.values for network in networks)
        and np.ptp(column := np.array([network.values[key] for network in networks]))
    }  # fmt: skip
    given = np.column_stack([*held.values()]) if held else None
    families = [network.lineage.family for network in networks]
    low, high = (np.flatnonzero(x == end).tolist() for end in (x.min(), x.max()))
    return DoseEffect(
        dose=dose,
        sample=sample,
        doses=tuple(x.tolist()),
        slope=slope,
        partial=correlation(x, y, families, method="pearson", given=given),
        given=tuple(held),
        inseparable=tuple(inseparable(networks, high, low, paired=False)),
        reason=reason,
    )


def dose_table(effects: Sequence[DoseEffect]) -> Table:
    """Return a row for each headline and number: slope, partial correlation, and what is not separated."""
    rows = []
    for one in effects:
        cell = Cell(n=len(one.doses), reason=one.reason, flags=one.inseparable)
        if one.slope is not None:
            ends = t_interval(one.slope.value, one.slope.spread)
            cell = Cell(one.slope.value, *ends, n=len(one.doses), flags=one.inseparable, source=one.slope)
        reach = " to ".join(number(end, 3) for end in (min(one.doses), max(one.doses)))
        names = (one.dose, one.sample.title, one.sample.space, len(one.doses), reach)
        rows.append((*names, cell, correlation_cell(one.partial), ", ".join(one.given)))
    return Table(
        title="Doses of recipes",
        caption="slope of each headline per unit of the number, within lines of architectures",
        fields=(
            *(Field("dose", "number", who=True, breaks=16), Field("metric", "metric", who=True, breaks=18)),
            *(Field("space"), *counts("networks"), Field("range", "from - to"), Field("slope", "slope")),
            *(Field("partial", "partial r"), Field("given", "given", breaks=10)),
        ),
        rows=tuple(rows),
        notes=("partial r: Pearson's, of number and headline, given these; interval over families.",),
        intervals="[low, high]: 95 % interval over networks and images.",
        measure="coefficient",
        origin=("networks", "images", "interaction", "df"),
    )
