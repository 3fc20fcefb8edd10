"""Every measure of how far answers depend on a cue, side by side, as links with a metric in the place of a suite."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import inf

import numpy as np

from benchmark.contracts import Metric, Suite
from benchmark.leaderboard.board_model import CLEAN, Board
from benchmark.leaderboard.links import Cards, Link, correlation_table, links
from benchmark.leaderboard.summary import Summary, summaries, summary_table
from benchmark.leaderboard.table import Table, Value, declared_table, number
from benchmark.stimuli.world.sets import SPACE

TEXTURE = "texture"
CUES = ("shape", TEXTURE)
PHOTOGRAPHS = "photographs"
NAMED = 3  # observers of each pair of measures that stand furthest apart
SHARED = (
    "Measures of one suite are read from the same answers: what is chance in these brings them closer together. A "
    "measure of texture goes against one of shape where both mean the same."
)


@dataclass(frozen=True, kw_only=True)
class CueMeasures:
    """The measures of one label space."""

    summary: Summary  # side by side
    links: tuple[Link, ...]  # every one against every other
    textures: frozenset[str]  # those whose high end is texture


def cue_boards(suites: Iterable[Suite], ranked: Callable[[Suite, str], Iterable[Board]]) -> list[tuple[Metric, Board]]:
    """Return every measure of shape or texture with its boards. ranked: those of a suite by a metric."""
    measures = ((suite, metric) for suite in suites for metric in suite.metrics if metric.cue in CUES)
    return [(metric, board) for suite, metric in measures for board in ranked(suite, metric.name)]


def measures_of(
    boards: Sequence[tuple[Metric, Board]], cards: Cards, shown: Collection[str] | None = None
) -> list[CueMeasures]:
    """Return the measures of the built-in world, and those of photographs, in any label space. `boards` belong to a
    metric with a `cue` and are ranked by it, `shown` has the observers that a filter keeps. Rows are ordered by the
    measure that most observers have, shown or not: means of ranks over measures of different observers would say
    little."""
    spaces: dict[tuple[str, str], set[str]] = {}
    for metric, board in boards:
        spaces.setdefault((board.suite, metric.name), set()).add(board.space)
    alone, textures = [], set()
    for metric, board in boards:
        photographs = spaces[board.suite, metric.name] - {SPACE}
        where = f", {board.space}" if len(photographs) > 1 and board.space in photographs else ""
        head, *others = board.columns
        name = f"{head.title} ({board.suite}{where})"
        textures |= {name} if metric.cue == TEXTURE else set()
        column = replace(head, metric=name, title=name, direction="none", experiments=frozenset(), parts="")
        space = board.space if board.space == SPACE else PHOTOGRAPHS
        columns = (column, *(other for other in others if other.clean))
        notes = tuple(note for note in board.notes if not note.endswith("not ranked"))  # nothing is ranked here
        alone.append(replace(board, space=space, suite=name, columns=columns, notes=notes))
    tables = [_ordered(table, shown) for table in summaries(alone)]
    return [
        CueMeasures(summary=table, links=links(table, cards), textures=frozenset(textures))
        for table in tables
        if table.headlines and (table.lines or table.references)
    ]


def _ordered(table: Summary, shown: Collection[str] | None) -> Summary:
    """Return the summary in the order of its first measure, without ranks, and with the rows of those shown."""

    def values(name: str) -> dict[str, float]:
        return {row.observer: v for row in table.lines if (v := row.cells[name].value) is not None}

    every = (*table.lines, *table.references)
    heads = [head for head in table.headlines if any(row.cells[head.suite].value is not None for row in every)]
    heads.sort(key=lambda head: -len(values(head.suite)))
    first = values(heads[0].suite) if heads else {}
    rows = sorted(table.lines, key=lambda row: (-first.get(row.observer, -inf), row.observer))
    lines = [row._replace(rank=None, rank_low=None, rank_high=None) for row in rows]
    beside = table.references
    if shown is not None:
        lines = [row for row in lines if row.observer in shown]
        beside = tuple(row for row in beside if row.observer in shown or (row.kind == "chance" and shown))
    empty = [f"no observer has a value: {head.suite}" for head in table.headlines if head not in heads]
    notes = (*table.notes, *empty)
    return replace(table, headlines=tuple(heads), lines=tuple(lines), references=beside, notes=notes)


def disagreement(link: Link, textures: frozenset[str]) -> tuple[float | None, list[tuple[str, float, float]]]:
    """Return the share of pairs of networks that two measures order differently, of those that neither ties, and the
    networks whose two ranks differ most, with both. textures: measures whose high end is texture; it is reversed."""
    from scipy.stats import rankdata

    xs, ys = (
        [-value if side.suite in textures else value for value in values]
        for side, values in ((link.x, link.xs), (link.y, link.ys))
    )
    signs = [(xs[i] - xs[j]) * (ys[i] - ys[j]) for i, j in combinations(range(len(xs)), 2)]
    decided = [sign < 0 for sign in signs if sign]
    ranks = (rankdata(-np.array(values)).tolist() for values in (xs, ys))
    each = [(network.name, x, y) for network, x, y in zip(link.observers, *ranks, strict=True) if x != y]
    each.sort(key=lambda row: (-abs(row[1] - row[2]), row[0]))
    return sum(decided) / len(decided) if decided else None, each[:NAMED]


def measure_tables(cue: CueMeasures) -> list[Table]:
    """Return the measures side by side, how they agree in rank, and where they do not."""
    space = cue.summary.space
    caption = f"ordered by {cue.summary.headlines[0].title}"
    side_by_side = replace(summary_table(cue.summary), title=f"measures of shape and texture, {space}", caption=caption)
    agreement = replace(correlation_table(cue.links, space), title="every measure against every other", notes=(SHARED,))
    rows: list[tuple[Value, ...]] = []
    for link in (link for link in cue.links if link.observers and link.y.suite != CLEAN):
        share, apart = disagreement(link, cue.textures)
        named = "; ".join(f"{name} ({x:g}, {y:g})" for name, x, y in apart)
        text = "" if share is None else number(share, 2)
        rows.append((link.x.title, link.y.title, len(link.observers), text, named))
    return [side_by_side, agreement, declared_table("disagreement", rows)]
