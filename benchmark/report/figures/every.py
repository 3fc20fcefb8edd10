"""All figures of a leaderboard, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmark.errors import unknown_name
from benchmark.leaderboard import Board
from benchmark.report.contents import Contents
from benchmark.report.figures import (
    adversarial,
    consistency,
    corruption,
    cue_conflict,
    human_comparison,
    links,
    reported,
    saliency,
    training,
)
from benchmark.report.figures.chosen import Scene, scene
from benchmark.report.figures.dots import headline
from benchmark.report.figures.figure import Figure
from benchmark.report.figures.overview import overview
from benchmark.report.writing import slug

#: What stands for a suite where a figure is about two.
LINKS = "links"
#: The field's own figures of a suite; others have their headline drawn.
OF_SUITE: dict[str, Callable[[Scene], Iterator[Figure]]] = {
    "cue-conflict": cue_conflict.figures,
    "human-comparison": human_comparison.figures,
    "corruption": corruption.figures,
    "adversarial": adversarial.figures,
    "saliency": saliency.figures,
}


def every_figure(contents: Contents) -> Iterator[tuple[str, Figure]]:
    """(suite, "" for the leaderboard, `LINKS`, "training"; figure) for all that there is data for."""
    for summary in contents.summaries:
        yield "", overview(summary)
    largest: dict[tuple[str, str], Board] = {}
    for board in contents.boards:
        largest.setdefault((board.suite, board.space), board)
    for (suite, _), board in largest.items():
        of_suite = OF_SUITE.get(suite.partition(":")[0], headline)
        for one in of_suite(scene(contents, board)):
            yield suite, one if ":" not in suite else replace(one, name=f"{one.name}-{slug(suite)}")
    yield from reported.figures(contents)
    for one in links.figures(contents):
        yield LINKS, one
    for one in training.figures(contents):
        yield training.NAME, one
    for one in consistency.figures(contents.answers):
        yield consistency.SUITE, one


def find_figure(contents: Contents, name: str) -> Figure:
    """The figure of that name; UnknownName with close ones."""
    known = {one.name: one for _, one in every_figure(contents)}
    if name not in known:
        raise unknown_name("figure", name, known, "`bench plot` without a name lists them.")
    return known[name]
