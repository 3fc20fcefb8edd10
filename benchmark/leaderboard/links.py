"""How the suites' headlines hang together over observers: correlations, and contrasts of recipes; as values, tables,
sentences and records.

Observers are no random sample of anything, and those of one family are nearly one: see `benchmark.stats.correlations`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import fsum
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.display import printable
from benchmark.leaderboard.board import UNTRAINED, distrusted
from benchmark.leaderboard.lineage import NETWORKS, NO_CARD, STANDARD, UNSTATED, Lineage, lineage
from benchmark.leaderboard.model import Cell, Column
from benchmark.leaderboard.summary import Summary
from benchmark.leaderboard.table import NOTHING, Field, Table, Value, estimate, number
from benchmark.stats import mean_interval
from benchmark.stats.correlations import FEW, Correlation, Method, correlation

if TYPE_CHECKING:
    from benchmark.store.rows import ScoreRow

#: The name of the variable that is held constant.
CLEAN = "clean"
CAUTION = (
    "Observers are no random sample: a correlation over them says how these hang together, not what makes what. "
    "Intervals leave out families (architecture line and recipe) as wholes, each row by itself."
)
SAME_ANSWERS = "both are made of the same answers"
NO_BASELINE = "no standard network of its source, architecture and seed"

Cards = Mapping[str, Mapping[str, Any]]  # observer -> its card as plain data
Values = Mapping[str, float]  # observer -> value
#: Variable -> observer -> experiment -> value, where a variable is a mean over experiments.
Parts = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True)
class Observed:
    """One observer and its numbers: variable -> value; without a number it has no entry.

    distrusted: the variables whose number carries a flag of distrust. They have no entry, either: a network that does
    not look would pull on every link.
    """

    name: str
    kind: str
    training: tuple[str, ...]
    lineage: Lineage
    values: Mapping[str, float]
    distrusted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Variable:
    """A headline, or the clean accuracy: name, what it is called on a page, the column."""

    name: str
    title: str
    column: Column


@dataclass(frozen=True)
class Link:
    """Two variables over the observers that have both. xs, ys: their values.

    spearman, pearson: of the two; partial: Spearman's with clean accuracy held constant (None: it is one of the two, or
    nobody has it); without: Spearman's with each family left out; distrusted: who takes no part, since one of its two
    numbers is not trusted.
    """

    x: Variable
    y: Variable
    observers: tuple[Observed, ...]
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    spearman: Correlation
    pearson: Correlation
    partial: Correlation | None
    without: Mapping[str, float | None]
    distrusted: tuple[str, ...] = ()

    @property
    def few(self) -> bool:
        """Whether there are too few observers to say anything."""
        return self.spearman.n < FEW

    @property
    def refused(self) -> bool:
        """Whether the two share answers, and nothing else is there to correlate."""
        return self.spearman.reason.startswith(SAME_ANSWERS)

    @property
    def question(self) -> str:
        """What one of the two suites asks of the other; "" where neither does."""
        ask = self.x.column.questions.get(self.y.name, "")
        return ask or self.y.column.questions.get(self.x.name, "")

    @property
    def range_without(self) -> tuple[float, float] | None:
        """The lowest and the highest correlation that is left when one family goes."""
        values = [value for value in self.without.values() if value is not None]
        return (min(values), max(values)) if values else None


@dataclass(frozen=True)
class Contrast:
    """A recipe minus the standard one, in one variable: the mean over families of the mean over their pairs, which are
    alike in architecture, seed and source.

    low, high: t interval over the families, None where there are fewer than two, or no spread; pairs: (with the
    recipe, its baseline).
    """

    recipe: str
    variable: Variable
    difference: float
    low: float | None
    high: float | None
    pairs: tuple[tuple[str, str], ...]
    families: int

    @property
    def named_pairs(self) -> list[str]:
        """ "A - B" for each pair."""
        return [f"{a} - {b}" for a, b in self.pairs]

    @property
    def baselines(self) -> tuple[str, ...]:
        """What the recipe is held against, by name."""
        return tuple(dict.fromkeys(base for _, base in self.pairs))


class Contrasts(NamedTuple):
    """rows: every recipe in every variable; left_out: observer -> why it stands in no pair."""

    rows: tuple[Contrast, ...]
    left_out: Mapping[str, str]


def variables(summary: Summary) -> tuple[Variable, ...]:
    """The headlines in their order, then clean accuracy. A published score, which is no suite's, has its own title."""
    heads = [
        Variable(
            head.suite,
            head.column.title if head.suite == head.column.metric else f"{head.suite} {head.column.title}",
            head.column,
        )
        for head in summary.headlines
    ]
    clean = [Variable(CLEAN, "clean accuracy", summary.clean.column)] if summary.clean else []
    return (*heads, *clean)


def observed(summary: Summary, cards: Cards = NO_CARD) -> tuple[Observed, ...]:
    """The networks of a summary, trained ones; people and ideal observers take no part."""
    names = [variable.name for variable in variables(summary)]
    networks = []
    for line in summary.lines:
        if line.kind not in NETWORKS or UNTRAINED in line.training:
            continue
        cells = dict(zip(names, (*line.cells, line.clean), strict=False))
        odd = {name for name, cell in cells.items() if distrusted(cell)}
        values = {name: cell.value for name, cell in cells.items() if cell.value is not None and name not in odd}
        origin = lineage(line.observer, line.training, cards.get(line.observer, NO_CARD))
        networks.append(Observed(line.observer, line.kind, line.training, origin, values, frozenset(odd)))
    return tuple(networks)


def parts_of(summary: Summary, rows: Iterable[ScoreRow]) -> Parts:
    """The single experiments of the headlines that are means over them, each on the images that most answered."""
    asked = {(head.suite, head.column.metric, head.column.parts) for head in summary.headlines if head.column.parts}
    found: dict[tuple[str, str], dict[str, dict[str, float]]] = defaultdict(dict)
    for row in rows:
        part = (row.suite, row.metric, row.condition) in asked and row.space == summary.space
        if part and row.value is not None:
            found[row.suite, row.role].setdefault(row.stimuli, {})[row.observer] = row.value
    parts: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for (suite, role), sets in found.items():
        for name, value in max(sets.values(), key=len).items():
            parts[suite][name][role] = value
    return parts


def links(
    summary: Summary,
    cards: Cards = NO_CARD,
    parts: Parts = NO_CARD,
    *,
    method: Method = "spearman",
    level: float = 0.95,
) -> tuple[Link, ...]:
    """Every headline against every other, then each against clean accuracy.

    Two variables are never correlated over the same answers: what is a mean over experiments (`parts`) is taken without
    those that the other one is made of; where nothing is left, the reason stands for the number. cards: by observer,
    for what they say of its family; method: what the partial correlation and the leaving out of families are made of.
    """
    people = observed(summary, cards)
    clean = {one.name: one.values[CLEAN] for one in people if CLEAN in one.values}
    return tuple(
        _link(people, a, b, clean, method, level)
        for x, y in combinations(variables(summary), 2)
        for a, b in _apart(people, x, y, parts)
    )


Side = tuple[Variable, Values, str]  # a variable, its values, why it has none


def _apart(people: Sequence[Observed], x: Variable, y: Variable, parts: Parts) -> Iterator[tuple[Side, Side]]:
    """The two, made of different answers: as they are, or one of them without what they share."""
    sides = [(one, {who.name: who.values[one.name] for who in people if one.name in who.values}, "") for one in (x, y)]
    shared = x.column.experiments & y.column.experiments
    if not shared:
        yield sides[0], sides[1]
        return
    at = 0 if x.column.parts else 1
    names = {who.name for who in people if sides[at][0].name not in who.distrusted}
    own = {name: one for name, one in parts.get(sides[at][0].name, {}).items() if name in names}
    others = list(_without(sides[at][0], own, shared))
    reason = f"{SAME_ANSWERS} ({', '.join(sorted(shared))})"
    for other in others or [(sides[at][0], {}, reason)]:
        yield (other, sides[1]) if at == 0 else (sides[0], other)


def _without(variable: Variable, own: Mapping[str, Mapping[str, float]], shared: frozenset[str]) -> Iterator[Side]:
    """The mean over other experiments, the same of every observer: those that most have, and the most that any has."""
    rest = {name: {role: value for role, value in part.items() if role not in shared} for name, part in own.items()}
    held = Counter(frozenset(part) for part in rest.values() if part)
    size = {roles: sum(n for more, n in held.items() if roles <= more) for roles in held}
    order = sorted(held, key=sorted)
    for roles in dict.fromkeys(
        max(order, key=key) for key in (lambda r: (size[r], len(r)), lambda r: (len(r), size[r])) if order
    ):
        values = {
            name: fsum(part[role] for role in roles) / len(roles) for name, part in rest.items() if roles <= part.keys()
        }
        total = len(variable.column.experiments)
        of = f"{len(roles)} of {total} experiments, without {', '.join(sorted(shared))}"
        title = f"{variable.title.partition(' (')[0]} ({of})"
        yield replace(variable, name=f"{variable.name}, {len(roles)}", title=title), values, ""


def _link(people: Sequence[Observed], a: Side, b: Side, clean: Values, method: Method, level: float) -> Link:
    (x, mine, why), (y, theirs, other) = a, b
    both = tuple(one for one in people if one.name in mine and one.name in theirs)
    xs = tuple(mine[one.name] for one in both)
    ys = tuple(theirs[one.name] for one in both)
    families = [one.lineage.family for one in both]
    odd = tuple(one.name for one in people if not one.distrusted.isdisjoint((x.name, y.name)))
    if reason := why or other:
        none = Correlation(None, None, None, 0, 0, reason)
        return Link(x, y, both, xs, ys, none, none, None, {}, odd)
    spearman = correlation(xs, ys, families, level=level)
    pearson = correlation(xs, ys, families, method="pearson", level=level)
    partial = None
    held = [at for at, one in enumerate(both) if one.name in clean]
    if held and CLEAN not in (x.name, y.name):
        partial = correlation(
            [xs[at] for at in held],
            [ys[at] for at in held],
            [families[at] for at in held],
            method=method,
            given=[clean[both[at].name] for at in held],
            level=level,
        )
    without = (spearman if method == "spearman" else pearson).without
    return Link(x, y, both, xs, ys, spearman, pearson, partial, without, odd)


def contrasts(summary: Summary, cards: Cards = NO_CARD, level: float = 0.95) -> Contrasts:
    """Each recipe against the standard one, in every variable that a pair has."""
    observers = observed(summary, cards)
    pairs = [(base, one) for one in observers if (base := _baseline(one, observers)) is not None]
    paired = {one.name for _, one in pairs}
    left_out = {
        one.name: "its recipe is not stated" if not one.training else NO_BASELINE
        for one in observers
        if one.name not in paired and one.lineage.recipe != STANDARD
    }
    recipes = dict.fromkeys(one.lineage.recipe for _, one in pairs)
    rows = (
        _contrast(name, variable, [p for p in pairs if p[1].lineage.recipe == name], level)
        for name in recipes
        for variable in variables(summary)
    )
    return Contrasts(tuple(row for row in rows if row is not None), left_out)


def _baseline(one: Observed, observers: Sequence[Observed]) -> Observed | None:
    """The standard network alike in source, architecture and seed: the series' own ("resnet50_l2_eps0" of
    "resnet50_l2_eps3"), else the one whose name says least of a recipe."""
    own = one.lineage
    if own.recipe in (STANDARD, UNSTATED):
        return None
    alike = [
        other
        for other in observers
        if other.lineage.recipe == STANDARD and other.lineage.source == own.source
        and ((other.lineage.architecture, other.lineage.seed) == (own.architecture, own.seed)
             or own.architecture == other.name.partition(" (")[0])  # ViT-B-16: no sixteenth seed
    ]  # fmt: skip
    return min(
        alike,
        key=lambda other: (
            other.lineage.series != own.series,
            len(other.lineage.series.replace(STANDARD, "")),
            other.name,
        ),
        default=None,
    )


def _contrast(
    name: str, variable: Variable, pairs: Sequence[tuple[Observed, Observed]], level: float
) -> Contrast | None:
    held = [(a, b) for a, b in pairs if variable.name in a.values and variable.name in b.values]
    if not held:
        return None
    # Two laboratories' copies of a network, or a recipe's depths, are nearly one pair: they are one family.
    families: dict[str, list[float]] = defaultdict(list)
    for a, b in held:
        families[b.lineage.family].append(b.values[variable.name] - a.values[variable.name])
    means = [fsum(part) / len(part) for part in families.values()]
    low = high = None
    if len(means) > 1:
        low, high = mean_interval(means, level)
        low, high = (None, None) if low == high else (low, high)
    pairs_ = tuple((b.name, a.name) for a, b in held)
    return Contrast(name, variable, fsum(means) / len(means), low, high, pairs_, len(means))


def link_tables(found: Sequence[Link], compared: Contrasts, space: str) -> list[Table]:
    """Answers to the field's questions, every pair of headlines, and the contrasts of recipes."""
    asked = Table(f"links between suites, {space}", notes=tuple(answers(found)))
    contrasted = compared.rows or compared.left_out
    return [asked, pair_table(found, space), *([contrast_table(compared, space)] * bool(contrasted))]


def answers(found: Sequence[Link]) -> Iterator[str]:
    """A sentence for each question whose two suites were measured."""
    for link in by_question(found):
        if link.question:
            partial = f"; given clean accuracy {_told(link.partial)}" if link.partial else ""
            yield f"{link.question} {verdict(link)}: Spearman {_told(link.spearman)}{partial}"
    if odd := sorted({name for link in found for name in link.distrusted}):
        yield f"Left out where a number is not trusted (flags on the boards): {', '.join(odd)}"
    yield CAUTION


def by_question(found: Sequence[Link]) -> list[Link]:
    """The links that answer a suite's question, in the order of suites and of their questions, then the others."""
    columns = {side.name: side.column for link in found for side in (link.x, link.y)}
    questions = [text for column in columns.values() for text in column.questions.values()]
    return sorted(found, key=lambda link: (not link.question, link.question and questions.index(link.question)))


def verdict(link: Link) -> str:
    """What the rank correlation says, in two or three words."""
    one = link.spearman
    if one.value is None:
        return "no number"
    if link.few:
        return "too few observers to say"
    if one.low is None or one.high is None or one.low <= 0 <= one.high:
        return "inconclusive"
    good = {"higher": 1, "lower": -1}
    same = one.value * good.get(link.x.column.direction, 1) * good.get(link.y.column.direction, 1)
    return "they go together" if same > 0 else "they go against each other"


def _told(one: Correlation) -> str:
    if one.value is None:
        return f"{NOTHING} ({one.reason})"
    of = f"n = {one.n} in {one.families} families{', ' if one.reason else ''}{one.reason}"
    return f"{estimate(one.value, one.low, one.high)} ({of})"


def pair_table(found: Sequence[Link], space: str) -> Table:
    """Every headline against every other: three coefficients, and how far one family moves the first."""
    fields = (
        Field("x"),
        Field("y"),
        Field("x_metric"),
        Field("y_metric"),
        Field("x_title", "x"),
        Field("y_title", "y"),
        Field("spearman", "Spearman"),
        Field("partial given clean", "given clean"),
        Field("pearson", "Pearson"),
        Field("", "one family left out"),
        Field("", "n", right=True),
        Field("", "families", right=True),
    )

    def values(link: Link) -> tuple[Value, ...]:
        x, y, span = link.x, link.y, link.range_without
        names = (x.name, y.name, x.column.metric, y.column.metric, x.title, y.title)
        cells = map(_cell, (link.spearman, link.partial, link.pearson))
        without = f"{number(span[0], 2)} to {number(span[1], 2)}" if span else ""
        return (*names, *cells, without, link.spearman.n, link.spearman.families)

    return Table(
        "every headline against every other",
        "95 % intervals",
        fields,
        tuple(map(values, found)),
        facts={"space": space},
        measure="coefficient",
        origin=("families", "method"),
    )


def _cell(one: Correlation | None) -> Value:
    """A coefficient as a cell; what limits it stands as a remark."""
    if one is None:
        return None
    flags = (one.reason,) if one.reason and one.value is not None else ()
    return Cell(one.value, one.low, one.high, one.n, flags, one.reason, one)


def contrast_table(found: Contrasts, space: str) -> Table:
    """A row for each recipe, a column for each variable, and who stands in no pair."""
    variables = {row.variable.name: row.variable for row in found.rows}
    cells: dict[str, dict[str, Contrast]] = defaultdict(dict)
    for row in found.rows:
        cells[row.recipe][row.variable.name] = row

    def values(recipe: str, part: Mapping[str, Contrast]) -> tuple[Value, ...]:
        most = max(part.values(), key=lambda row: len(row.pairs))
        more = f" and {len(most.baselines) - 2} more" if len(most.baselines) > 2 else ""
        named = ", ".join(most.baselines[:2]) + more
        held = (_difference(part.get(name)) for name in variables)
        return (recipe, most.baselines, named, *held, len(most.pairs), most.families)

    fields = (
        Field("recipe", "recipe"),
        Field("against"),
        Field("", "minus"),
        *(
            Field(one.name, one.title, one.column.definition, facts={"metric": one.column.metric})
            for one in variables.values()
        ),
        Field("", "pairs", right=True),
        Field("", "families", right=True),
    )
    return Table(
        "contrasts of recipes",
        "mean difference of pairs alike in source, architecture and seed, each family (architecture line) counting "
        "once; t interval over families",
        fields if found.rows else (),
        tuple(values(*item) for item in cells.items()),
        notes=tuple(left_out_lines(found)),
        facts={"space": space},
        measure="variable",
        origin=("families", "named_pairs"),
    )


def _difference(one: Contrast | None) -> Cell:
    if one is None:
        return Cell()
    flags = ("one family, or no spread: no interval",) if one.low is None else ()
    return Cell(one.difference, one.low, one.high, len(one.pairs), flags, "", one)


def left_out_lines(found: Contrasts) -> Iterator[str]:
    """Who stands in no contrast, a line for each reason."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for name, reason in found.left_out.items():
        reasons[reason].append(printable(name))
    for reason, names in reasons.items():
        yield f"left out, {reason}: {', '.join(names)}"
