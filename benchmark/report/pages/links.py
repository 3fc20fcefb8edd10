"""How the suites hang together: every headline against every other, the field's questions first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.leaderboard.links import (
    CAUTION,
    Contrasts,
    Link,
    contrast_records,
    contrasts,
    left_out_lines,
    link_records,
    observed,
    verdict,
)
from benchmark.leaderboard.summary import Summary
from benchmark.report.contents import Contents
from benchmark.report.drawn import Shown, put
from benchmark.report.figures.links import order_of, scatter, told
from benchmark.report.writing import Site, short, slug


@dataclass(frozen=True)
class Space:
    """A decision space as the page shows it: links with their figures, the field's questions first; contrasts; where
    the tables of both are."""

    name: str
    pairs: Sequence[tuple[Link, Shown | None]]
    contrasts: Contrasts
    left_out: Sequence[str]
    tables: Sequence[str]


def has_links(contents: Contents) -> bool:
    """Whether any two variables share an observer."""
    return any(len(one.values) > 1 for summary in contents.linked for one in observed(summary))


def links_page(site: Site, contents: Contents) -> None:
    """links.html, where any two headlines share an observer."""
    spaces = [_space(site, contents, one) for one in contents.linked if contents.links[one.space]]
    if spaces:
        shown = {"caution": CAUTION, "verdict": verdict, "told": told, "short": short}
        site.page("links.html", "links.html", title="Links", spaces_=spaces, **shown)


def _space(site: Site, contents: Contents, summary: Summary) -> Space:
    name, found = summary.space, contents.links[summary.space]
    compared = contrasts(summary, contents.cards)
    tables = [f"data/{table}-{slug(name)}.csv" for table in ("links", "contrasts", "link-values")]
    rows = (list(link_records(found, name)), list(contrast_records(compared, name)))
    for place, records in zip(tables[:2], rows, strict=True):
        site.table(place, records, list(records[0]) if records else [])
    site.table(tables[2], *_values(found))
    pairs = []
    for link in sorted(found, key=order_of):
        asked = bool(link.question)
        drawn = scatter(link, name) if link.observers else None
        pairs.append((link, put(site, drawn, inline=asked, data=tables[2]) if drawn else None))
    return Space(name, pairs, compared, list(left_out_lines(compared)), tables)


def _values(found: Sequence[Link]) -> tuple[list[dict[str, Any]], list[str]]:
    """(records, their fields): every network with its value of every variable, the numbers behind all scatter plots."""
    values: dict[str, dict[str, float]] = {}
    for link in found:
        for variable, numbers in ((link.x, link.xs), (link.y, link.ys)):
            names = (one.name for one in link.observers)
            values.setdefault(variable.name, {}).update(zip(names, numbers, strict=True))
    everybody = {one.name: one for link in found for one in link.observers}
    records = [
        {"observer": name, "family": one.lineage.family, "recipe": one.lineage.recipe}
        | {variable: held.get(name) for variable, held in values.items()}
        for name, one in sorted(everybody.items())
    ]
    return records, ["observer", "family", "recipe", *values]
