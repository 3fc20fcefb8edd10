"""Maps and measures of other packages, found through the entry-point group `bench.saliency`.

An entry point names a `Map` or a `Measure`; its own name is the metric's. This module is imported where a leaderboard
is read, so a package that offers one must not import torch at module level."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from inspect import isfunction
from typing import Any

from benchmark.contracts import Array, Direction, Metric
from benchmark.errors import PluginError
from benchmark.identity import code_digest
from benchmark.third_party import load_each
from suites.saliency.config import added_column, columns_of
from suites.saliency.metrics import METRICS, mean_excess, mean_of

GROUP = "bench.saliency"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Map:
    """A way to make a map. make(forward, images, targets, seeds) -> [n, h, w], finite and >= 0, array or tensor.

    forward: [n, 3, h, w] tensor in [0,1] -> logits [n, classes], differentiable; images: a few at a time; targets: [n,
    classes] bool, the outputs of each image's category; seeds: [n] uint64, an image's own, for whatever is drawn. A map
    that is zero or not finite is excluded and counted, as the suite's own is."""

    title: str
    definition: str
    make: Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number per image of the suite's map. measure(maps [n, h, w], masks [n, h, w] bool) -> [n], NaN: undefined."""

    title: str
    definition: str
    measure: Callable[[Array, Array], Array]
    direction: Direction = "higher"
    chance: float | None = None


@dataclass(frozen=True, kw_only=True)
class AddedMaps:
    """What other packages add, by name. broken: name -> why it cannot be used."""

    maps: Mapping[str, Map]
    measures: Mapping[str, Measure]
    broken: Mapping[str, str]

    @property
    def signatures(self) -> tuple[tuple[str, str], ...]:
        """(name, digest of its code) of each: they are part of an image's identity."""
        code: dict[str, Callable[..., Any]] = {name: own.make for name, own in self.maps.items()}
        code |= {name: own.measure for name, own in self.measures.items()}
        return tuple((name, code_digest(function)) for name, function in sorted(code.items()))


def read_added(entries: Iterable[EntryPoint]) -> AddedMaps:
    """Load every entry point. One that cannot be used is reported with the reason and affects no other."""
    loaded, broken = load_each(entries, _load)
    maps = {name: own for name, own in loaded.items() if isinstance(own, Map)}
    measures = {name: own for name, own in loaded.items() if isinstance(own, Measure)}
    return AddedMaps(maps=maps, measures=measures, broken=broken)


def added_metrics(added: AddedMaps) -> tuple[Metric, ...]:
    """Return the metrics of other packages: two of each map, one of each measure, one without a value of each broken
    one."""
    metrics = []
    for name, own in added.maps.items():
        column, text = added_column(name), f"{own.definition}: AUC on the object"
        excess = f"{text} minus that on objects of other categories"
        auc = mean_of(columns_of(column)[0], masked=True)
        metrics += [
            Metric(
                name=f"{name}_object_auc_excess",
                title=own.title,
                definition=excess,
                chance=0.0,
                ratio=mean_excess(column),
            ),
            Metric(
                name=f"{name}_object_auc", title=f"{own.title} AUC", definition=text, chance=0.5, shown=False, ratio=auc
            ),
        ]
    for name, measure in added.measures.items():
        text, ratio = f"{measure.definition}, of |input gradient|", mean_of(added_column(name), masked=True)
        metrics.append(
            Metric(
                name=name,
                title=measure.title,
                definition=text,
                direction=measure.direction,
                chance=measure.chance,
                ratio=ratio,
            )
        )
    return (*metrics, *(Metric(name=name, title=name, definition=reason) for name, reason in added.broken.items()))


def _load(entry: EntryPoint) -> Map | Measure:
    if not _NAME.fullmatch(entry.name):
        raise PluginError("the name: expected small letters, digits and _")
    if entry.name in {metric.name for metric in METRICS}:
        raise PluginError("the name is that of a metric of the suite")
    loaded = entry.load()
    if not isinstance(loaded, (Map, Measure)):
        raise PluginError(f"expected a Map or a Measure of suites.saliency.map_plugins, got {type(loaded).__name__}")
    if not isfunction(loaded.make if isinstance(loaded, Map) else loaded.measure):
        raise PluginError("expected a plain function: its code is part of what a number depends on")
    return loaded


ADDED = read_added(entry_points(group=GROUP))
