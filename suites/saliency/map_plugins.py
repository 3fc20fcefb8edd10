"""Maps and measures of other packages: entry points of the group `bench.saliency`, each a `Map` or a `Measure` with the
metric's name. To read a leaderboard imports them, so such a package must not import torch at module level."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from inspect import isfunction
from typing import Any

from benchmark.contracts import Array, Direction, Metric, Ratio
from benchmark.contracts.declarations import declared_metrics
from benchmark.failures import PluginError, load_each
from benchmark.identity import code_digest
from suites.saliency.config import added_column, columns_of
from suites.saliency.metrics import METRICS, mean_excess, mean_of

GROUP = "bench.saliency"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Map:
    """A way to make a map. `make(forward, images, targets, seeds)` returns [n, h, w], finite and >= 0, array or tensor.
    A map that is zero or not finite is excluded and counted.

    `forward` maps a tensor [n, 3, h, w] in [0,1] to logits [n, classes], differentiably; `images` are a few at a time.
    `targets` [n, classes] bool are the outputs of each image's category; `seeds` [n] uint64 are for random numbers."""

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


def load_map(entry: EntryPoint) -> Map | Measure:
    """Return the map or measure of an entry point. Raises PluginError if it cannot be used."""
    if not _NAME.fullmatch(entry.name) or entry.name in {metric.name for metric in METRICS}:
        raise PluginError("the name: expected small letters, digits and _, and no metric of the suite")
    loaded = entry.load()
    if not isinstance(loaded, (Map, Measure)) or not isfunction(function_of(loaded)):
        raise PluginError("expected a Map or a Measure of suites.saliency.map_plugins with a plain function")
    return loaded


def function_of(own: Map | Measure) -> Callable[..., Any]:
    """Return the function, whose code is part of an image's identity."""
    return own.make if isinstance(own, Map) else own.measure


def added_metrics(added: Mapping[str, Map | Measure], broken: Mapping[str, str]) -> tuple[Metric, ...]:
    """Return the metrics of other packages: two of each map, one of each measure; one without value if broken."""
    declared: dict[str, dict[str, Any]] = {}
    ratios: dict[str, Ratio] = {}
    for name, own in added.items():
        column = added_column(name)
        if isinstance(own, Measure):
            text = f"{own.definition}, of |input gradient|"
            declared[name] = {"title": own.title, "definition": text, "chance": own.chance, "direction": own.direction}
            ratios[name] = mean_of(column)
            continue
        text, excess, auc = f"{own.definition}: AUC on the object", f"{name}_object_auc_excess", f"{name}_object_auc"
        minus = f"{text} minus that on objects of other categories"
        declared[excess] = {"title": own.title, "definition": minus, "chance": 0.0}
        declared[auc] = {"title": f"{own.title} AUC", "definition": text, "chance": 0.5, "shown": False}
        ratios |= {excess: mean_excess(column), auc: mean_of(columns_of(column)[0])}
    declared |= {name: {"title": name, "definition": reason} for name, reason in broken.items()}
    return declared_metrics(declared, ratios)


#: Maps and measures by name, and the reason for each that cannot be used.
ADDED, BROKEN = load_each(entry_points(group=GROUP), load_map)
SIGNATURES = tuple((name, code_digest(function_of(own))) for name, own in ADDED.items())
