"""Correlates the suites' headlines, or the measures of a cue, over observers. Observers are not a random sample, and
those of one family are nearly one observation: see `benchmark.stats.rankings`."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import inf
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from benchmark.contracts import Metric, Suite, distrust_flags
from benchmark.leaderboard.board import UNTRAINED
from benchmark.leaderboard.board_model import CLEAN, Board, Cell, Column
from benchmark.leaderboard.lineage import NETWORKS, NO_CARD, Lineage, lineage
from benchmark.leaderboard.summary import Summary, summaries, summary_table
from benchmark.leaderboard.table import NOTHING, Table, Value, declared_table, format_interval, number
from benchmark.stats.rankings import FEW, Correlation, correlation
from benchmark.stimuli.world.sets import SPACE
from benchmark.store.rows import ScoreRow

CAUTION = (
    "Observers are not a random sample: the correlation describes these observers, not cause and effect. "
    "Intervals leave out families (architecture line and recipe) as wholes, each row separately."
)
SAME_ANSWERS = "both are made of the same answers"
TEXTURE = "texture"
CUES = ("shape", TEXTURE)
PHOTOGRAPHS = "photographs"
NAMED = 3  # observers of each pair of measures that stand furthest apart

Cards = Mapping[str, Mapping[str, Any]]  # observer -> its card as plain data
Values = Mapping[str, float]  # observer -> value
#: Variable -> observer -> experiment -> value, where a variable is a mean over experiments.
Parts = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True, kw_only=True)
class Observed:
    """One observer and its numbers."""

    name: str
    kind: str
    lineage: Lineage  # its family and recipe
    values: Mapping[str, float]  # variable -> value; a missing or distrusted number has no entry
    # Variables whose number carries a flag of distrust: a network that ignores the images would pull on every link.
    distrusted: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Link:
    """Two variables over the observers that have both."""

    x: Column  # `suite`: its name (`CLEAN` of clean accuracy); `title`: on a page
    y: Column
    observers: tuple[Observed, ...]
    xs: tuple[float, ...]  # their values
    ys: tuple[float, ...]
    spearman: Correlation
    pearson: Correlation
    partial: Correlation | None = None  # given clean accuracy; None: it is one of the two, or no observer has it
    distrusted: tuple[str, ...] = ()  # observers left out because one of their two numbers is not trusted

    @property
    def refused(self) -> bool:
        """Whether the two share answers, and nothing else is there to correlate."""
        return self.spearman.reason.startswith(SAME_ANSWERS)

    @property
    def question(self) -> str:
        """What one of the two suites asks of the other; "" where neither does."""
        return self.x.questions.get(self.y.suite, "") or self.y.questions.get(self.x.suite, "")


def observed_networks(summary: Summary, cards: Cards = NO_CARD) -> tuple[Observed, ...]:
    """Return the trained networks of a summary, without people and ideal observers."""
    networks = []
    for line in summary.lines:
        if line.kind in NETWORKS and UNTRAINED not in line.training:
            odd = frozenset(name for name, cell in line.cells.items() if distrust_flags(cell.flags))
            rest = {name: cell.value for name, cell in line.cells.items() if name not in odd}
            values = {name: value for name, value in rest.items() if value is not None}
            origin = lineage(line.observer, line.training, cards.get(line.observer, NO_CARD))
            known = Observed(name=line.observer, kind=line.kind, lineage=origin, values=values, distrusted=odd)
            networks.append(known)
    return tuple(networks)


def experiment_values(summary: Summary, rows: Iterable[ScoreRow]) -> Parts:
    """Return the experiments of the headlines that are means over them, each on the images that most answered."""
    asked = {(head.suite, head.metric, head.parts) for head in summary.headlines if head.parts}
    values: dict[tuple[str, str], dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        part = (row.suite, row.metric, row.condition) in asked and row.space == summary.space
        if part and row.value is not None:
            values[row.suite, row.role][row.stimuli][row.observer] = row.value
    parts: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for (suite, role), sets in values.items():
        for name, value in max(sets.values(), key=len).items():
            parts[suite][name][role] = value
    return parts


def links(summary: Summary, cards: Cards = NO_CARD, parts: Parts = NO_CARD) -> tuple[Link, ...]:
    """Return every headline against every other, then each against clean accuracy.

    Two variables are never correlated over the same answers: a mean over experiments (`parts`) leaves out those behind
    the other variable. If none is left, the link has a reason instead of a number. cards: by observer, for its
    family."""
    networks, made, heads = observed_networks(summary, cards), [], summary.headlines
    # A published score has its own title, not a suite's.
    asked = [replace(h, title=h.title if h.suite == h.metric else f"{h.suite} {h.title}") for h in heads]
    asked += [replace(summary.clean, suite=CLEAN, title="clean accuracy")] if summary.clean else []
    for a, b in (pair for x, y in combinations(asked, 2) for pair in _sides(networks, x, y, parts)):
        x, y = a.variable, b.variable
        both = tuple(network for network in networks if network.name in a.values and network.name in b.values)
        xs, ys = (tuple(side.values[network.name] for network in both) for side in (a, b))
        odd = tuple(network.name for network in networks if not network.distrusted.isdisjoint((x.suite, y.suite)))
        spearman = pearson = Correlation(reason=a.reason or b.reason)
        given_clean = None
        if not spearman.reason:
            families = [network.lineage.family for network in both]
            spearman, pearson = (correlation(xs, ys, families, method=how) for how in ("spearman", "pearson"))
            rows = zip(both, xs, ys, families, strict=True)
            held = [(network.values[CLEAN], *rest) for network, *rest in rows if CLEAN in network.values]
            if held and CLEAN not in (x.suite, y.suite):
                given, first, second, of = zip(*held, strict=True)
                given_clean = correlation(first, second, of, method="spearman", given=given)
        link = Link(x=x, y=y, observers=both, xs=xs, ys=ys, distrusted=odd, spearman=spearman, pearson=pearson)
        made.append(replace(link, partial=given_clean))
    return tuple(made)


class Side(NamedTuple):
    """One of two that are correlated: a variable, its values by observer, why it has none."""

    variable: Column
    values: Values
    reason: str = ""


def _sides(networks: Sequence[Observed], x: Column, y: Column, parts: Parts) -> Iterator[tuple[Side, Side]]:
    """Yield the two, made of different answers. If they share experiments, one of them is its mean over other
    experiments, the same of every observer: those that most have, and the most that any has."""
    plain = [Side(v, {n.name: n.values[v.suite] for n in networks if v.suite in n.values}) for v in (x, y)]
    shared = x.experiments & y.experiments
    if not shared:
        yield plain[0], plain[1]
        return
    variable, fixed = (x, plain[1]) if x.parts else (y, plain[0])
    own = parts.get(variable.suite, {})
    trusted = own.keys() & {network.name for network in networks if variable.suite not in network.distrusted}
    rest = {name: {role: own[name][role] for role in own[name] if role not in shared} for name in trusted}
    sets = Counter(frozenset(part) for part in rest.values() if part)
    size = {roles: sum(n for more, n in sets.items() if roles <= more) for roles in sets}
    order = sorted(sets, key=sorted)
    keys = (lambda roles: (size[roles], len(roles)), lambda roles: (len(roles), size[roles]))
    without = ", ".join(sorted(shared))
    sides = []
    for roles in dict.fromkeys(max(order, key=key) for key in keys if order):
        values = {n: fmean(part[role] for role in roles) for n, part in rest.items() if roles <= part.keys()}
        of = f"{len(roles)} of {len(variable.experiments)} experiments, without {without}"
        title = f"{variable.title.partition(' (')[0]} ({of})"
        sides.append(Side(replace(variable, suite=f"{variable.suite}, {len(roles)}", title=title), values))
    for side in sides or [Side(variable, {}, f"{SAME_ANSWERS} ({without})")]:
        yield (side, fixed) if x.parts else (fixed, side)


def link_tables(links: Sequence[Link], space: str) -> list[Table]:
    """Return a sentence for each question whose two suites were measured, and every pair of headlines."""

    def words(found: Correlation) -> str:
        if found.value is None:
            return f"{NOTHING} ({found.reason})"
        text = format_interval(found.value, found.low, found.high)
        return f"{text} (n = {found.n} in {found.families} families{', ' if found.reason else ''}{found.reason})"

    notes = []
    for link in (link for link in by_question(links) if link.question):
        clean = f"; given clean accuracy {words(link.partial)}" if link.partial else ""
        notes.append(f"{link.question} {link_result(link)}: Spearman {words(link.spearman)}{clean}")
    if odd := sorted({name for link in links for name in link.distrusted}):
        notes.append(f"Left out where a number is not trusted (flags on the boards): {', '.join(odd)}")
    asked = Table(title=f"links between suites, {space}", notes=(*notes, CAUTION))
    return [asked, correlation_table(links, space)]


def by_question(links: Sequence[Link]) -> list[Link]:
    """Return the links that answer a suite's question, in the order of suites and their questions, then the others."""
    columns = {side.suite: side for link in links for side in (link.x, link.y)}
    questions = [text for column in columns.values() for text in column.questions.values()]
    return sorted(links, key=lambda link: (not link.question, link.question and questions.index(link.question)))


def link_result(link: Link) -> str:
    """Return the result of the rank correlation in a few words."""
    rank = link.spearman
    if rank.value is None:
        return "no number"
    if rank.n < FEW:
        return "too few observers to say"
    if rank.low is None or rank.high is None or rank.low <= 0 <= rank.high:
        return "inconclusive"
    ways = [-1 if side.direction == "lower" else 1 for side in (link.x, link.y)]
    return "they go together" if rank.value * ways[0] * ways[1] > 0 else "they go against each other"


def correlation_table(links: Sequence[Link], space: str, declared: str = "links") -> Table:
    """Return every headline against every other: three coefficients, and how far one family moves the first."""

    def values(link: Link) -> tuple[Value, ...]:
        x, y, rank = link.x, link.y, link.spearman
        found = (rank, link.partial, link.pearson)
        left = [value for value in rank.without.values() if value is not None]
        without = f"{number(min(left), 2)} to {number(max(left), 2)}" if left else ""
        names = (x.suite, y.suite, x.metric, y.metric, x.title, y.title)
        return (*names, *map(correlation_cell, found), without, rank.n, rank.families)

    return declared_table(declared, map(values, links), facts={"space": space})


def correlation_cell(one: Correlation | None) -> Value:
    """Return a coefficient as a cell, with its reason as a remark."""
    if one is None:
        return None
    flags = (one.reason,) if one.reason and one.value is not None else ()
    return Cell(value=one.value, low=one.low, high=one.high, n=one.n, flags=flags, reason=one.reason, source=one)


@dataclass(frozen=True, kw_only=True)
class CueMeasures:
    """Every measure of how far answers depend on a cue, in one label space."""

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
    alone, textures, made = [], set(), []
    for metric, board in boards:
        photographs = {b.space for m, b in boards if (b.suite, m.name) == (board.suite, metric.name)} - {SPACE}
        where = f", {board.space}" if len(photographs) > 1 and board.space in photographs else ""
        head, *others = board.columns
        name = f"{head.title} ({board.suite}{where})"
        textures |= {name} if metric.cue == TEXTURE else set()
        column = replace(head, metric=name, title=name, direction="none", experiments=frozenset(), parts="")
        space = board.space if board.space == SPACE else PHOTOGRAPHS
        columns = (column, *(other for other in others if other.clean))
        notes = tuple(note for note in board.notes if not note.endswith("not ranked"))  # nothing is ranked here
        alone.append(replace(board, space=space, suite=name, columns=columns, notes=notes))
    for table in summaries(alone):
        every = (*table.lines, *table.references)
        heads = [head for head in table.headlines if any(row.cells[head.suite].value is not None for row in every)]
        values = {head.suite: [(row.observer, row.cells[head.suite].value) for row in table.lines] for head in heads}
        known = {name: {who: value for who, value in own if value is not None} for name, own in values.items()}
        heads.sort(key=lambda head: -len(known[head.suite]))
        first = known[heads[0].suite] if heads else {}
        kept = [row for row in table.lines if shown is None or row.observer in shown]
        kept.sort(key=lambda row: (-first.get(row.observer, -inf), row.observer))
        lines = tuple(row._replace(rank=None, rank_low=None, rank_high=None) for row in kept)
        wanted = {*shown, "chance"} if shown else set()
        beside = tuple(row for row in table.references if shown is None or row.observer in wanted)
        empty = [f"no observer has a value: {head.suite}" for head in table.headlines if head not in heads]
        if heads and (lines or beside):
            notes = (*table.notes, *empty)
            table = replace(table, headlines=tuple(heads), lines=lines, references=beside, notes=notes)
            made.append(CueMeasures(summary=table, links=links(table, cards), textures=frozenset(textures)))
    return made


def disagreement(link: Link, textures: frozenset[str]) -> tuple[float | None, list[tuple[str, float, float]]]:
    """Return the share of pairs of networks that two measures order differently, of those that neither ties, and the
    networks whose two ranks differ most. Measures in `textures`, whose high end is texture, are reversed."""
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


def measure_tables(cues: Iterable[CueMeasures]) -> Iterator[Table]:
    """Yield the measures of each label space side by side, how they agree in rank, and where they do not."""
    for cue in cues:
        space, caption = cue.summary.space, f"ordered by {cue.summary.headlines[0].title}"
        title = f"measures of shape and texture, {space}"
        yield replace(summary_table(cue.summary), title=title, caption=caption)
        yield correlation_table(cue.links, space, "measures")
        rows: list[tuple[Value, ...]] = []
        for link in (link for link in cue.links if link.observers and link.y.suite != CLEAN):
            share, apart = disagreement(link, cue.textures)
            named = "; ".join(f"{name} ({x:g}, {y:g})" for name, x, y in apart)
            text = "" if share is None else number(share, 2)
            rows.append((link.x.title, link.y.title, len(link.observers), text, named))
        yield declared_table("disagreement", rows)
