"""Numbers on recipes (epsilon, share of stylised images, parameters): the slope of each headline, over networks and
images, and what these networks cannot separate from it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

import numpy as np

from benchmark.leaderboard.board_model import CLEAN, Cell
from benchmark.leaderboard.lineage import STANDARD
from benchmark.leaderboard.links import Observed, correlation_cell
from benchmark.leaderboard.recipe_effects import HeadlineSample, inseparable
from benchmark.leaderboard.table import Table, Value, declared_table, number
from benchmark.stats.clusters import robust_interval
from benchmark.stats.network_samples import slope_over_networks
from benchmark.stats.rankings import correlation

SIZE = "log10-parameters"
#: Numbers of which a standard network has not 0 but another value, which its tags state or leave open.
WITHOUT_ZERO = ("epochs", "data", "images", "finetuned")
_TAG = re.compile(r"(?P<name>[^()+]+)\((?P<parts>[^()]*)\)")
_FEWEST = 2  # degrees of freedom of a slope


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
            slope = slope_over_networks(at, x, lines, sample.answers.values, sample.answers.images)
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
