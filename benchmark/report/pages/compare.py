"""Two observers against each other: a forest plot, the tests, the images on which they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from benchmark.leaderboard.comparison import better, comparison_details
from benchmark.leaderboard.formatting import p_value
from benchmark.report.comparisons import Pair
from benchmark.report.drawn import put
from benchmark.report.figures.forest import forest
from benchmark.report.thumbnails import Places
from benchmark.report.writing import Site, short, slug
from benchmark.stats.comparisons import SuiteComparison

#: Images of a metric that a page lists; the CSV has all.
MOST = 24
NAMES = ("suite", "metric", "condition", "stimulus", "category", "winner", "answer_a", "answer_b")


@dataclass(frozen=True)
class Test:
    """A row of the tables."""

    suite: str
    title: str
    a: str
    b: str
    difference: str
    p: str
    better: str
    n: int


def compare_pages(
    site: Site, pairs: Sequence[Pair], thumbnails: Places, names: Sequence[str], *, live: bool
) -> None:
    """compare.html, and compare/A-B.html for each pair. names: who can be
    compared; live: a server makes any other pair."""
    links = []
    by_image = {image: path for (_, image), path in thumbnails.items()}
    for pair in pairs:
        page = page_of(pair)
        links.append((f"{pair.compared.a} against {pair.compared.b}", page))
        compare_page(site, page, pair, by_image)
    site.page(
        "compare.html", "compare_index.html", title="Compare", links=links, live=live, names=names
    )


def page_of(pair: Pair) -> str:
    """Where the page of a pair is."""
    return "compare/" + slug(f"{pair.compared.a} {pair.compared.b}") + ".html"


def compare_page(site: Site, page: str, pair: Pair, thumbnails: Mapping[str, str]) -> None:
    """The page of one pair."""
    found = pair.compared
    drawn = forest(found)
    data = "data/discordant-" + slug(f"{found.a} {found.b}") + ".csv"
    site.table(
        data, [{name: getattr(one, name) for name in NAMES} for one in pair.discordant], NAMES
    )
    groups = []
    for (suite, metric), rows in groupby(pair.discordant, key=lambda one: (one.suite, one.metric)):
        mine = list(rows)
        halves = [[one for one in mine if one.winner == side] for side in ("a", "b")]
        groups.append((suite, metric, [(len(half), half[:MOST]) for half in halves]))
    site.page(
        page,
        "compare.html",
        title=f"{found.a} against {found.b}",
        a=found.a,
        b=found.b,
        pages={
            name: f"observers/{slug(name)}.html" for name in (found.a, found.b) if name != "people"
        },
        figure=put(site, drawn) if drawn else None,
        headlines=_tests(found.headlines),
        secondary=_tests(found.secondary),
        notes=comparison_details(found)[-1].lines,
        groups=groups,
        thumbnails=thumbnails,
        data=data,
    )


def _tests(rows: Sequence[SuiteComparison]) -> list[Test]:
    return [
        Test(
            suite=row.suite,
            title=row.title,
            a=short(one.a),
            b=short(one.b),
            difference=f"{short(one.difference)} {_interval(one.low, one.high)}".strip(),
            p=p_value(one.p_holm),
            better=better(row),
            n=one.n,
        )
        for row in rows
        if (one := row.comparison).difference is not None
    ]


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{short(low)}, {short(high)}]"
