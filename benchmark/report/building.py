"""A report from beginning to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmark.errors import unknown_name
from benchmark.leaderboard import Board
from benchmark.report.contents import Contents, read_contents
from benchmark.report.drawn import put
from benchmark.report.figures import (
    adversarial,
    corruption,
    cue_conflict,
    human_comparison,
    saliency,
)
from benchmark.report.figures.chosen import Scene, scene
from benchmark.report.figures.dots import headline
from benchmark.report.figures.figure import Figure
from benchmark.report.figures.overview import overview
from benchmark.report.pages.explorer import explorer
from benchmark.report.pages.leaderboard import leaderboard
from benchmark.report.pages.observers import observer_pages
from benchmark.report.pages.suites import suite_pages
from benchmark.report.thumbnails import thumbnails
from benchmark.report.writing import Site, open_site, slug
from benchmark.settings import Settings
from benchmark.version import __version__

#: The field's own figures of a suite; others have their headline drawn.
OF_SUITE: dict[str, Callable[[Scene], Iterator[Figure]]] = {
    "cue-conflict": cue_conflict.figures,
    "human-comparison": human_comparison.figures,
    "corruption": corruption.figures,
    "adversarial": adversarial.figures,
    "saliency": saliency.figures,
}
SPACES = {
    "geirhos16": "Photographs, 16 categories",
    "world16": "The built-in world, 16 categories",
    "imagenet1k": "ImageNet, 1,000 classes",
}


def build(settings: Settings, folder: Path) -> Site:
    """Write the report of a leaderboard into a folder. Raises BenchError where the leaderboard is empty, the folder
    holds something else, or the extra is missing."""
    contents = read_contents(settings)
    site = open_site(folder, _shared(contents))
    drawn = [(suite, put(site, one)) for suite, one in _figures(contents)]
    by_suite = {
        name: [shown for suite, shown in drawn if suite == name]
        for name in {suite for suite, _ in drawn}
    }
    leaderboard(site, contents)
    suite_pages(site, contents, by_suite)
    pictures, credits = thumbnails(site, contents.answers, settings)
    observer_pages(site, contents, pictures)
    explorer(site, contents, pictures, credits)
    return site


def figures(contents: Contents) -> list[Figure]:
    """Every figure that the leaderboard has data for."""
    return [one for _, one in _figures(contents)]


def find_figure(contents: Contents, name: str) -> Figure:
    """The figure of that name; UnknownName with close ones."""
    known = {one.name: one for one in figures(contents)}
    if name not in known:
        raise unknown_name("figure", name, known, "`bench plot` without a name lists them.")
    return known[name]


def _figures(contents: Contents) -> Iterator[tuple[str, Figure]]:
    """(suite, "" for the leaderboard; figure)."""
    for summary in contents.summaries:
        yield "", overview(summary)
    largest: dict[tuple[str, str], Board] = {}
    for board in contents.boards:
        largest.setdefault((board.suite, board.space), board)
    for (suite, _), board in largest.items():
        of_suite = OF_SUITE.get(suite.partition(":")[0], headline)
        for one in of_suite(scene(contents, board)):
            yield suite, one if ":" not in suite else replace(one, name=f"{one.name}-{slug(suite)}")


def _shared(contents: Contents) -> dict[str, Any]:
    """What every page shows: the menu, and where the numbers come from."""
    menu = [{"path": "index.html", "title": "Leaderboard", "suite": ""}]
    menu += [
        {"path": f"suites/{slug(suite.name)}.html", "title": suite.name}
        for suite in contents.suites
    ]
    return {
        "menu": menu,
        "place": Path(contents.place).name if "://" not in contents.place else contents.place,
        "moment": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": __version__,
        "spaces": SPACES,
    }
