"""How the suites hang together: every headline against every other, the field's questions first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.leaderboard.links import Contrast, Link, contrasts, observed
from benchmark.leaderboard.links_text import CAUTION, contrast_records, link_records, verdict
from benchmark.report.contents import Contents
from benchmark.report.drawn import Shown, put
from benchmark.report.figures.links import order_of, question_of, scatter, told
from benchmark.report.writing import Site, short, slug

LINKS = (
    "space",
    "x",
    "y",
    "x_metric",
    "y_metric",
    "coefficient",
    "value",
    "low",
    "high",
    "n",
    "families",
    "reason",
)
CONTRASTS = (
    "space",
    "recipe",
    "against",
    "variable",
    "metric",
    "value",
    "low",
    "high",
    "n",
    "pairs",
)


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
    recipes: Sequence[tuple[str, Sequence[tuple[str, str, int]]]]
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
        compared = contrasts(summary)
        if not found:
            continue
        data, other = (f"data/{name}-{slug(summary.space)}.csv" for name in ("links", "contrasts"))
        site.table(data, link_records(found, summary.space), LINKS)
        site.table(other, contrast_records(compared, summary.space), CONTRASTS)
        values = f"data/link-values-{slug(summary.space)}.csv"
        site.table(values, *_values(found))
        asked = sorted(found, key=order_of)
        pairs = [
            _pair(
                one,
                put(site, scatter(one, summary.space), inline=bool(question_of(one)), data=values),
            )
            for one in asked
        ]
        spaces.append(Space(summary.space, pairs, _by_recipe(compared), data, other))
    if spaces:
        site.page("links.html", "links.html", title="Links", spaces_=spaces, caution=CAUTION)


def _values(found: Sequence[Link]) -> tuple[list[dict[str, Any]], list[str]]:
    """(records, their fields): every network with its value of every variable, the numbers behind all scatter plots."""
    variables = {one.name: None for link in found for one in (link.x, link.y)}
    everybody = {one.name: one for link in found for one in link.observers}
    records = [
        {"observer": name, "family": one.lineage.family, "recipe": one.lineage.recipe}
        | {variable: one.values.get(variable) for variable in variables}
        for name, one in sorted(everybody.items())
    ]
    return records, ["observer", "family", "recipe", *variables]


def _pair(link: Link, figure: Shown) -> Pair:
    held = [value for value in link.without.values() if value is not None]
    return Pair(
        key=figure.name,
        question=question_of(link),
        verdict=verdict(link),
        x=link.x.title,
        y=link.y.title,
        spearman=told(link.spearman),
        pearson=told(link.pearson),
        partial=told(link.partial) if link.partial else "",
        left_out=f"{short(min(held))} to {short(max(held))}" if held else "",
        n=link.spearman.n,
        families=link.spearman.families,
        few=link.few,
        figure=figure,
    )


def _by_recipe(found: Sequence[Contrast]) -> list[tuple[str, list[tuple[str, str, int]]]]:
    """Recipe -> (variable, difference with interval, pairs)."""
    recipes: dict[str, list[tuple[str, str, int]]] = {}
    for one in found:
        ends = (
            "" if one.low is None or one.high is None else f" [{short(one.low)}, {short(one.high)}]"
        )
        row = (one.variable.title, f"{short(one.difference)}{ends}", len(one.pairs))
        recipes.setdefault(one.recipe, []).append(row)
    return list(recipes.items())
