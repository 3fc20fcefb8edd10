"""Correlates the suites' headlines over observers. Observers are not a random sample, and those
of one family are nearly one observation: see `benchmark.stats.rankings`."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import fsum
from typing import Any, NamedTuple

from benchmark.contracts import distrust_flags
from benchmark.leaderboard.board import UNTRAINED
from benchmark.leaderboard.board_model import CLEAN, Cell, Column
from benchmark.leaderboard.lineage import NETWORKS, NO_CARD, Lineage, lineage
from benchmark.leaderboard.summary import Summary
from benchmark.leaderboard.table import NOTHING, Table, Value, declared_table, format_interval, number
from benchmark.stats.rankings import FEW, Correlation, correlation
from benchmark.store.rows import ScoreRow

CAUTION = (
    "Observers are not a random sample: the correlation describes these observers, not cause and effect. "
    "Intervals leave out families (architecture line and recipe) as wholes, each row separately."
)
SAME_ANSWERS = "both are made of the same answers"

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


def variables(summary: Summary) -> tuple[Column, ...]:
    """Return the headlines in their order, then clean accuracy. A published score has its own title, not a suite's."""
    heads = summary.headlines
    named = (replace(h, title=h.title if h.suite == h.metric else f"{h.suite} {h.title}") for h in heads)
    clean = [replace(summary.clean, suite=CLEAN, title="clean accuracy")] if summary.clean else []
    return (*named, *clean)


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
    networks, made = observed_networks(summary, cards), []
    for a, b in (pair for x, y in combinations(variables(summary), 2) for pair in _sides(networks, x, y, parts)):
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
        values = {
            n: fsum(part[role] for role in roles) / len(roles) for n, part in rest.items() if roles <= part.keys()
        }
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


def correlation_table(links: Sequence[Link], space: str) -> Table:
    """Return every headline against every other: three coefficients, and how far one family moves the first."""

    def values(link: Link) -> tuple[Value, ...]:
        x, y, rank = link.x, link.y, link.spearman
        found = (rank, link.partial, link.pearson)
        left = [value for value in rank.without.values() if value is not None]
        without = f"{number(min(left), 2)} to {number(max(left), 2)}" if left else ""
        names = (x.suite, y.suite, x.metric, y.metric, x.title, y.title)
        return (*names, *map(correlation_cell, found), without, rank.n, rank.families)

    return replace(declared_table("links", map(values, links)), facts={"space": space})


def correlation_cell(one: Correlation | None) -> Value:
    """Return a coefficient as a cell, with its reason as a remark."""
    if one is None:
        return None
    flags = (one.reason,) if one.reason and one.value is not None else ()
    return Cell(value=one.value, low=one.low, high=one.high, n=one.n, flags=flags, reason=one.reason, source=one)
