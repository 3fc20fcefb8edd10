"""Suites declared as data: a YAML file of the suite's package holds the texts and numbers, Python the functions."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from benchmark.contracts.suite import ClustersOf, Metric, Ratio, Suite, SuiteFigure

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def package_data(package: str, name: str) -> Any:
    """Read NAME.yaml of a package; lists become tuples."""
    text = files(package).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return _with_tuples(yaml.load(text, Loader=_LOADER))  # noqa: S506 - the loader is a safe one


def _with_tuples(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _with_tuples(value) for key, value in data.items()}
    return tuple(map(_with_tuples, data)) if isinstance(data, list) else data


def filled(declared: Mapping[str, Any], **words: Any) -> dict[str, Any]:
    """Return declared fields, their texts with these words filled in."""
    return {field: text.format(**words) if isinstance(text, str) else text for field, text in declared.items()}


def declared_metrics(
    declared: Mapping[str, Mapping[str, Any]], ratios: Mapping[str, Ratio], **common: Any
) -> tuple[Metric, ...]:
    """Return metrics declared as name -> fields. common: of all that state none. KeyError: a ratio of none."""
    if unknown := ratios.keys() - declared.keys():
        raise KeyError(f"no metric {sorted(unknown)} is declared")
    return tuple(Metric(name=name, ratio=ratios.get(name), **{**common, **own}) for name, own in declared.items())


def declared_suite(
    package: str, name: str, ratios: Mapping[str, Ratio], *, clusters: ClustersOf | None = None, **functions: Any
) -> Suite:
    """Return the suite that NAME.yaml of a package declares: fields of `Suite`, with `common` (fields of every metric).
    clusters: of every metric. functions: fields that are not text or numbers."""
    data = dict(package_data(package, name))
    metrics = declared_metrics(data.pop("metrics"), ratios, clusters=clusters, **data.pop("common", {}))
    figures = tuple(SuiteFigure(**figure) for figure in data.pop("figures", ()))
    return Suite(metrics=metrics, figures=figures, **data, **functions)
