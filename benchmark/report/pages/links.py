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
from benchmark.report.contents import Contents
from benchmark.report.drawn import Shown, put
from benchmark.report.figures.links import order_of, scatter, told
from benchmark.report.writing import Site, short, slug


@dataclass(frozen=True)
class Pair:
    """A row of the table, and its figure. left_out: the range of Spearman's with one family left out."""

    key: str
    question: str
    verdict: str
    x: str
    y: str
    spearman: str
    pearson: str
    partial: str
    left_out: str
    n: int
    families: int
    few: bool
    figure: Shown | None


@dataclass(frozen=True)
class Space:
    """A decision space as the page shows it."""

    name: str
    pairs: Sequence[Pair]
    recipes: Sequence[tuple[str, Sequence[tuple[str, str, str, int, int]]]]
    left_out: Sequence[str]
    data: str
    contrasts: str


def has_links(contents: Contents) -> bool:
    """Whether any two variables share an observer."""
    return any(len(one.values) > 1 for summary in contents.linked for one in observed(summary))


def links_page(site: Site, contents: Contents) -> None:
    """links.html, where any two headlines share an observer."""
    spaces = []
    for summary in contents.linked:
        found = contents.links[summary.space]
        compared = contrasts(summary, contents.cards)
        if not found:
            continue
        data, other = (f"data/{name}-{slug(summary.space)}.csv" for name in ("links", "contrasts"))
        for place, rows in (
            (data, link_records(found, summary.space)),
            (other, contrast_records(compared, summary.space)),
        ):
            records = list(rows)
            site.table(place, records, list(records[0]) if records else [])
        values = f"data/link-values-{slug(summary.space)}.csv"
        site.table(values, *_values(found))
        asked = sorted(found, key=order_of)
        pairs = [
            _pair(
                one,
                put(site, scatter(one, summary.space), inline=bool(one.question), data=values)
                if one.observers
                else None,
            )
            for one in asked
        ]
        left_out = list(left_out_lines(compared))
        recipes = _by_recipe(compared)
        spaces.append(Space(summary.space, pairs, recipes, left_out, data, other))
    if spaces:
        site.page("links.html", "links.html", title="Links", spaces_=spaces, caution=CAUTION)


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


def _pair(link: Link, figure: Shown | None) -> Pair:
    span = link.range_without
    return Pair(
        key=figure.name if figure else "",
        question=link.question,
        verdict=verdict(link),
        x=link.x.title,
        y=link.y.title,
        spearman=told(link.spearman),
        pearson=told(link.pearson),
        partial=told(link.partial) if link.partial else "",
        left_out=f"{short(span[0])} to {short(span[1])}" if span else "",
        n=link.spearman.n,
        families=link.spearman.families,
        few=link.few,
        figure=figure,
    )


def _by_recipe(found: Contrasts) -> list[tuple[str, list[tuple[str, str, str, int, int]]]]:
    """Recipe -> (variable, baselines, difference with interval, pairs, families)."""
    recipes: dict[str, list[tuple[str, str, str, int, int]]] = {}
    for one in found.rows:
        ends = (
            "" if one.low is None or one.high is None else f" [{short(one.low)}, {short(one.high)}]"
        )
        difference = f"{short(one.difference)}{ends}"
        row = (
            one.variable.title,
            ", ".join(one.baselines),
            difference,
            len(one.pairs),
            one.families,
        )
        recipes.setdefault(one.recipe, []).append(row)
    return list(recipes.items())
