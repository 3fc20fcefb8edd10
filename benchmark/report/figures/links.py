"""Two headlines against each other, a point for each network: do they hang together?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmark.leaderboard.links import QUESTIONS, Link, verdict
from benchmark.leaderboard.model import REPORTED
from benchmark.report.contents import Contents
from benchmark.report.figures.figure import Figure, Spec, axis, palette
from benchmark.report.writing import short, slug
from benchmark.stats.correlations import Correlation

#: Families that a legend names.
NAMED = 24
NAMES = ("observer", "family", "recipe", "x", "y")


def order_of(link: Link) -> int:
    """The questions in their order, then the rest."""
    texts = [text for text, _, _ in QUESTIONS]
    return texts.index(link.question) if link.question else len(texts)


def figures(contents: Contents) -> Iterator[Figure]:
    """One for each pair of headlines, and for each with clean accuracy."""
    for space, found in contents.links.items():
        yield from (scatter(link, space) for link in found if link.observers)


def scatter(link: Link, space: str) -> Figure:
    """One pair. The observers' names are in the marks' labels, which the report's script shows."""
    records: list[dict[str, Any]] = [
        {
            "observer": one.name,
            "family": one.lineage.family,
            "recipe": one.lineage.recipe,
            "x": x,
            "y": y,
        }
        for one, x, y in zip(link.observers, link.xs, link.ys, strict=True)
    ]
    records.sort(key=lambda one: (one["family"], one["observer"]))
    apart = link.observers and all(one.kind == REPORTED for one in link.observers)
    whose = f"Scores {space}, not measured here. " if apart else ""
    many = len({one.lineage.family for one in link.observers}) > NAMED
    unnamed = " Families are in the CSV: too many for a legend." if many else ""
    partial = f"; given clean accuracy {told(link.partial)}" if link.partial else ""
    return Figure(
        f"link-{slug(link.x.name)}-{slug(link.y.name)}-{slug(space)}",
        f"{link.x.title} and {link.y.title}",
        f"{whose}A point for each network, {link.spearman.n} in {link.spearman.families} families: {verdict(link)}. "
        f"Spearman {told(link.spearman)}; Pearson {told(link.pearson)}{partial}. "
        f"95 % intervals are over families.{unnamed}",
        _spec(link, records, filled=not apart),
        records,
        NAMES,
    )


def told(one: Correlation) -> str:
    """ ".80 [.21, .97]", or why there is no number."""
    if one.value is None:
        return one.reason
    return (
        short(one.value)
        if one.low is None or one.high is None
        else _with_ends(one.value, one.low, one.high)
    )


def _with_ends(value: float, low: float, high: float) -> str:
    return f"{short(value)} [{short(low)}, {short(high)}]"


def _spec(link: Link, records: list[dict[str, Any]], *, filled: bool) -> Spec:
    families = list(dict.fromkeys(str(one["family"]) for one in records))
    colour, shape = palette(families)
    legend = (
        {"title": None, "orient": "right", "labelLimit": 160} if len(families) <= NAMED else None
    )
    return {
        "data": {"values": records},
        "width": 250,
        "height": 220,
        "config": {"aria": True},
        "mark": {
            "type": "point",
            "filled": filled,
            "size": 50,
            "fillOpacity": 0.85 if filled else 0,
        },
        "encoding": {
            "x": _side("x", link.x.title),
            "y": _side("y", link.y.title),
            "color": {"field": "family", "type": "nominal", "scale": colour, "legend": legend},
            "shape": {"field": "family", "type": "nominal", "scale": shape, "legend": legend},
            "description": {"field": "observer"},
        },
    }


def _side(name: str, title: str) -> Spec:
    return {
        "field": name,
        "type": "quantitative",
        "scale": {"zero": False, "nice": True},
        "axis": axis(title, grid=True, tickCount=5),
    }
