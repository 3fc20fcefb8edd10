"""A report from beginning to end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmark.report.comparisons import compare, pairs
from benchmark.report.contents import Contents, read_contents
from benchmark.report.drawn import Shown, put
from benchmark.report.figures.every import LINKS, every_figure
from benchmark.report.figures.training import NAME as TRAINING
from benchmark.report.gallery import galleries
from benchmark.report.pages.compare import compare_page, compare_pages, page_of
from benchmark.report.pages.explorer import explorer
from benchmark.report.pages.leaderboard import leaderboard
from benchmark.report.pages.links import has_links, links_page
from benchmark.report.pages.observers import observer_pages
from benchmark.report.pages.suites import reported_page, suite_pages
from benchmark.report.pages.training import training_page
from benchmark.report.thumbnails import thumbnails
from benchmark.report.writing import Site, open_site, slug
from benchmark.settings import Settings
from benchmark.version import __version__

SPACES = {
    "geirhos16": "Photographs, 16 categories",
    "world16": "The built-in world, 16 categories",
    "imagenet1k": "ImageNet, 1,000 classes",
}


def build(
    settings: Settings, folder: Path, wanted: Sequence[tuple[str, str]] = (), *, live: bool = False
) -> Site:
    """Write the report of a leaderboard into a folder.

    wanted: pairs to compare (none: one for each space); live: for a server, which makes other pairs. Raises BenchError
    where the leaderboard is empty, the folder holds something else, or the extra is missing.
    """
    contents = read_contents(settings)
    compared = pairs(contents, wanted, settings.db)
    site = open_site(folder, {**_shared(contents), "live": live})
    by_suite = together(
        (suite, put(site, one))
        for suite, one in every_figure(contents)
        if suite not in (LINKS, TRAINING)
    )
    leaderboard(site, contents)
    suite_pages(site, contents, by_suite, galleries(site, contents.observers, settings))
    reported_page(site, contents, by_suite)
    pictures, credits = thumbnails(site, contents.answers, settings)
    observer_pages(site, contents, pictures)
    compare_pages(site, compared, pictures, sorted(contents.scores), live=live)
    links_page(site, contents)
    training_page(site, contents)
    explorer(site, contents, pictures, credits)
    return site


def together(drawn: Iterable[tuple[str, Shown]]) -> dict[str, list[Shown]]:
    """Figures by suite, in the order in which they come."""
    by_suite: dict[str, list[Shown]] = {}
    for suite, one in drawn:
        by_suite.setdefault(suite, []).append(one)
    return by_suite


def add_pair(settings: Settings, folder: Path, a: str, b: str) -> str:
    """One more comparison in a report that is there; its page. Raises BenchError where the two cannot be compared."""
    pair = compare(a, b, settings.db)
    page = page_of(pair)
    if not (folder / page).is_file():
        site = Site(folder, {**_shared(read_contents(settings)), "live": True})
        compare_page(site, page, pair, {})
    return page


def _shared(contents: Contents) -> dict[str, Any]:
    """What every page shows: the menu, and where the numbers come from."""
    pages = {"index.html": "Leaderboard"}
    pages |= {f"suites/{slug(suite.name)}.html": suite.name for suite in contents.suites}
    if has_links(contents):
        pages["links.html"] = "Links"
    if contents.curves:
        pages["training.html"] = "Training"
    if contents.reported:
        pages["reported.html"] = "Reported"
    pages["compare.html"] = "Compare"
    if contents.answers:
        pages["stimuli.html"] = "Stimuli"
    return {
        "menu": [{"path": path, "title": title} for path, title in pages.items()],
        "place": Path(contents.place).name if "://" not in contents.place else contents.place,
        "moment": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": __version__,
        "spaces": SPACES,
    }
