"""Pairs of observers that a report compares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark import api
from benchmark.errors import BenchError
from benchmark.report.contents import Contents

if TYPE_CHECKING:
    from benchmark.stats.comparisons import Compared, DiscordantTrial

STANDARD = "standard"


@dataclass(frozen=True)
class Pair:
    """Two observers, tested against each other; discordant: the images that only one of them gets right."""

    compared: Compared
    discordant: Sequence[DiscordantTrial]


def pairs(contents: Contents, wanted: Sequence[tuple[str, str]], db: str) -> list[Pair]:
    """The wanted pairs (UnknownName where one is not known), or without any the usual ones that can be compared."""
    if wanted:
        return [compare(a, b, db) for a, b in wanted]
    found = []
    for a, b in usual(contents):
        try:
            found.append(compare(a, b, db))
        except BenchError:
            continue  # nothing in common: nobody asked for this pair
    return found


def compare(a: str, b: str, db: str) -> Pair:
    """Paired tests and discordant images of two observers."""
    found = api.compare(a, b, db=db)
    differing = [] if "people" in (a, b) else api.discordant(found.a, found.b, db=db)
    return Pair(found, differing)


def usual(contents: Contents) -> Iterator[tuple[str, str]]:
    """In each space the network that comes first against the best of the standard recipe, else against the last."""
    for summary in contents.summaries:
        ranked = [
            line
            for line in summary.lines
            if line.mean_rank is not None and line.kind != "reported"  # of whom there are no trials
        ]
        plain = [line for line in ranked[1:] if line.training == (STANDARD,)]
        if len(ranked) > 1:
            yield ranked[0].observer, (plain or ranked[-1:])[0].observer
