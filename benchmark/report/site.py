"""A report from beginning to end, and its pages of pairs."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

from benchmark import api
from benchmark.api.options import Db, Option
from benchmark.api.verdicts import verdict_in
from benchmark.contracts.declarations import package_data
from benchmark.display import published
from benchmark.failures import BenchError, UsageError
from benchmark.leaderboard.comparison import comparison_tables, test_table
from benchmark.leaderboard.forms import html
from benchmark.leaderboard.links import observed_networks
from benchmark.leaderboard.recipe_effects import recipe_table
from benchmark.leaderboard.verdict import OF_MACHINE
from benchmark.report.board_pages import leaderboard_page, links_page, measures_page, suite_pages, training_page
from benchmark.report.contents import OWN, Contents, featured, read_contents
from benchmark.report.figures import LINKS, TRAINING, PlacedFigure, every_figure, forest, put
from benchmark.report.image_pages import Pictures, stimulus_pages
from benchmark.report.observer_pages import observer_pages
from benchmark.report.single_page import one_page
from benchmark.report.writing import Site, open_site, slug
from benchmark.settings import Settings
from benchmark.stats.comparisons import Compared, DiscordantTrial
from benchmark.variables import read_settings
from benchmark.version import __version__
from registry.files import write_whole

STANDARD = "standard"
FOLDER = Path("report")
Pair = tuple[Compared, Sequence[DiscordantTrial]]  # tests of two observers, images that only one of them gets right
#: Images of a metric that a pair's page lists; the CSV has all.
MOST = 24


def build(
    settings: Settings, folder: Path, wanted: Sequence[tuple[str, str]] = (), *, shared: Mapping[str, Any] | None = None
) -> Site:
    """Write the report into a folder. wanted: pairs to compare (none: one a space); shared: context of every page."""
    contents, leaderboard = read_contents(settings), api.Selection(settings.db)
    compared: list[Pair] = []
    for a, b in wanted or usual(contents):
        with nullcontext() if wanted else suppress(BenchError):  # nobody asked for two that have nothing in common
            tests = api.compare(leaderboard, a, b)
            compared.append((tests, [] if "people" in (a, b) else api.discordant(leaderboard, tests.a, tests.b)))
    site = open_site(settings, folder, {**page_context(contents), **(shared or {})})
    pictures, figures = Pictures(site), defaultdict[str, list[PlacedFigure]](list)
    for suite, figure in every_figure(contents):
        if suite not in (LINKS, TRAINING):
            figures[suite].append(put(site, figure))
    leaderboard_page(site, contents)
    suite_pages(site, contents, figures)
    partners = pair_pages(site, contents, compared, pictures)
    without = OF_MACHINE if shared else ()  # on a shared board nobody checks a network's input or runs a suite
    own = featured(sorted(contents.own & contents.scores.keys()), OWN, contents.own)
    with leaderboard.reading() as store:
        said = {name: verdict_in(store, leaderboard, name).sentences for name in own}
    verdicts = {name: [(s.about, published(s.text)) for s in said[name] if s.about not in without] for name in own}
    observer_pages(site, contents, pictures, partners, verdicts)
    recipes = {samples[0].space: recipe_table(samples) for samples in api.recipes(leaderboard)}
    links_page(site, contents, recipes)
    measures_page(site, contents)
    training_page(site, contents)
    stimulus_pages(site, contents, pictures)
    site.kept = [
        "index.html",
        *(contents.page_of(suite.name) for suite in contents.suites),
        *(f"observers/{slug(name)}.html" for name in sorted(contents.own & contents.scores.keys())),
    ]
    return site


def report(
    out: Annotated[Path, Option("Write to this folder.", "--out", "-o", metavar="DIR", kind="new path")] = FOLDER,
    *,
    compare: Annotated[
        Sequence[str], Option("Add a page for this pair, or A,people (repeatable).", metavar="A,B")
    ] = (),
    single_file: Annotated[bool, Option("Write one HTML file: front page, suites, own networks.")] = False,
    db: Db = None,
) -> Site:
    """Write a leaderboard as pages that open from disk.

    They have tables, figures, observers, comparisons and stimuli, and need no connection and no JavaScript. No network
    is run."""
    pairs = []
    for text in compare:
        a, _, b = (name.strip() for name in text.partition(","))
        if not (a and b):
            raise BenchError(f"--compare: '{text}' is not a pair: expected A,B.")
        pairs.append((a, b))
    if not single_file:
        return build(read_settings(db), Path(out), pairs)
    out = Path(out).with_suffix(".html") if Path(out) == FOLDER else Path(out)
    if out.is_dir():
        raise UsageError(f"{out} is a folder: name a file for the single page with --out.")
    with tempfile.TemporaryDirectory() as folder:
        site = build(read_settings(db), Path(folder), pairs)
        text = one_page(site.folder, site.kept)
    write_whole(out, text.encode())
    return replace(site, folder=out, pages=1, written=len(text.encode()))


def page_context(contents: Contents) -> dict[str, Any]:
    """Return what every page shows: the menu, the leaderboard's name, the moment, the version."""
    networks = (observer for summary in contents.linked for observer in observed_networks(summary))
    return {
        "contents": contents,
        "linked": any(len(observer.values) > 1 for observer in networks),
        "more": (),  # pages of the menu beside those of every report: (path, title)
        "place": Path(contents.place).name if "://" not in contents.place else contents.place,
        "moment": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": __version__,
        "spaces": package_data("benchmark.report", "words")["spaces"],
    }


def usual(contents: Contents) -> Iterator[tuple[str, str]]:
    """Yield in each space the first network with the best of the standard recipe, or with the last network."""
    for summary in contents.summaries:  # of reported networks there are no trials
        ranked = [line for line in summary.lines if line.rank is not None and line.kind != "reported"]
        plain = [line for line in ranked[1:] if line.training == (STANDARD,)]
        if len(ranked) > 1:
            yield ranked[0].observer, (plain or ranked[-1:])[0].observer


def pair_pages(
    site: Site, contents: Contents, compared: Sequence[Pair], pictures: Pictures
) -> Mapping[str, Mapping[str, str]]:
    """Write the pages of pairs and their index. Returns observer -> other observer -> the page of both."""
    partners = defaultdict[str, dict[str, str]](dict)
    links: dict[str, str] = {}
    for pair in compared:
        a, b, page = pair[0].a, pair[0].b, pair_page(site, contents, pair, pictures)
        partners[a][b] = partners[b][a] = links[f"{a} against {b}"] = page
    site.page("compare.html", "compare_index.html", title="Compare", links=links.items())
    return partners


def pair_page(site: Site, contents: Contents, pair: Pair, pictures: Pictures) -> str:
    """Write compare/A-B.html and return its path. Images that most people get right come first."""
    tests, discordant = pair
    a, b, drawn = tests.a, tests.b, forest(tests)
    name = slug(f"{a} {b}")
    page, data = f"compare/{name}.html", f"data/discordant-{name}.csv"
    site.table(data, map(asdict, discordant), [field.name for field in fields(DiscordantTrial)])
    groups, shown = [], {}
    for (suite, metric), rows in groupby(discordant, key=lambda trial: (trial.suite, trial.metric)):
        sets, human = contents.shown_under(suite, metric)
        trials = sorted(rows, key=lambda trial: -human.get(trial.stimulus, (-1.0, ""))[0])
        halves = []
        for alone in ([trial for trial in trials if trial.winner == side] for side in ("a", "b")):
            first = {trial.stimulus: trial for trial in reversed(alone)}  # an image's other conditions come last
            halves.append(sorted(alone, key=lambda trial: first[trial.stimulus] is not trial))
        for trial in (trial for half in halves for trial in half[:MOST]):
            shown[trial] = pictures.of(sets, trial.stimulus)
        groups.append((suite, metric, [(len(half), half[:MOST]) for half in halves], human))
    tables = [html(test_table("", "", [("", row) for row in rows])) for rows in (tests.headlines, tests.secondary)]
    site.page(
        page,
        "compare.html",
        title=f"{a} against {b}",
        tests=tests,
        pages={name: f"observers/{slug(name)}.html" for name in (a, b) if name != "people"},
        figure=put(site, drawn) if drawn else None,
        tables=tables,
        notes=comparison_tables(tests)[-1].notes,
        groups=groups,
        pictures=shown,
        data=data,
    )
    return page
