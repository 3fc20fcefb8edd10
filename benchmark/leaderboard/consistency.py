"""Error consistency of observers by experiment and condition: who errs on the same images.

Geirhos, Meding & Wichmann 2020 (NeurIPS); the formulas are in `benchmark.stats.agreement`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from benchmark.contracts import Trials
from benchmark.errors import BenchError, TrialsError, unknown_name
from benchmark.leaderboard.model import Board, Cell
from benchmark.leaderboard.table import NOTHING, Field, Table, Value, number
from benchmark.stats.agreement import Agreement, Matched, agreement, match, pairwise
from benchmark.stats.ranks import HUMAN_METRICS, HumanRank, human_likeness
from benchmark.stimuli.generated import shared_exemplars

#: experiment -> observer -> trials
Answered = Mapping[str, Mapping[str, Trials]]
ALL = "all trials"


@dataclass(frozen=True)
class Pair:
    """Two observers under one condition of one experiment (`ALL`: over several)."""

    experiment: str
    condition: str
    a: str
    b: str
    agreement: Agreement


def shared(answered: Answered, experiment: str | None = None) -> Answered:
    """The experiments that at least two observers answered, or the one that is asked for.

    Raises UnknownName where it is none of them, BenchError where there is none at all.
    """
    found = {role: who for role, who in sorted(answered.items()) if len(who) > 1}
    if experiment is not None and experiment not in found:
        raise unknown_name("experiment of two or more of these observers", experiment, found)
    if not found:
        raise BenchError("these observers answered no common experiment. `bench show NAME` lists what each has.")
    return found if experiment is None else {experiment: found[experiment]}


def pairs(answered: Answered) -> Iterator[Pair]:
    """Every pair of observers of every experiment, by condition."""
    for experiment, who in answered.items():
        for a, b in combinations(who, 2):
            for condition, found in by_condition(who[a], who[b]):
                yield Pair(experiment, condition, a, b, found)


def by_condition(a: Trials, b: Trials) -> Iterator[tuple[str, Agreement]]:
    """(condition, agreement) for each condition of one experiment, then (`ALL`, ...) where there are several."""
    found = matched([a, b])
    conditions = dict.fromkeys(found.condition.tolist())
    for condition in conditions:
        inside = found.condition == condition
        right, clusters = found.right[inside], shared_exemplars(a, found.stimulus[inside])
        yield condition, agreement(right[:, 0], right[:, 1], [*clusters.values()])
    if len(conditions) != 1:
        clusters = shared_exemplars(a, found.stimulus)
        yield ALL, agreement(found.right[:, 0], found.right[:, 1], [*clusters.values()])


def matched(observers: Sequence[Trials], *, every: bool = True) -> Matched:
    """As `stats.agreement.match`, of stored trials. TrialsError where one observer has two answers to one trial."""
    try:
        return match(observers, every=every)
    except ValueError as error:
        raise TrialsError(f"stored trials cannot be matched: {error}") from error


def pair_table(found: Iterable[Pair], title: str = "") -> Table:
    """Kappa of pairs under each condition, with the counts that it is made of."""
    fields = (
        Field("a"),
        Field("b"),
        Field("experiment", "experiment"),
        Field("condition", "condition"),
        Field("", "n", right=True),
        Field("both_right", "both right", right=True),
        Field("only_a", "only a", right=True),
        Field("only_b", "only b", right=True),
        Field("both_wrong", "both wrong", right=True),
        Field("observed"),
        Field("", "c_obs", right=True),
        Field("expected"),
        Field("", "c_exp", right=True),
        Field("kappa", "kappa"),
    )

    def values(pair: Pair) -> tuple[Value, ...]:
        one, counts = pair.agreement, pair.agreement.table
        shares = (one.observed, number(one.observed, 3), one.expected, number(one.expected, 3))
        numbers = (counts.n, counts.both, counts.only_a, counts.only_b, counts.neither)
        kappa = Cell(one.kappa, one.low, one.high, counts.n, (), one.reason, one)
        return pair.a, pair.b, pair.experiment, pair.condition, *numbers, *shares, kappa

    return Table(
        title,
        fields=fields,
        rows=tuple(map(values, found)),
        intervals="[low, high]: 95 % interval; other images, or other shapes and textures where images share them.",
        origin=("method",),
    )


def comparison_of(a: str, b: str, answered: Answered) -> Table:
    """Two observers by experiment and condition; experiments without a common image are named below."""
    found = list(pairs({role: {a: who[a], b: who[b]} for role, who in answered.items()}))
    common = {pair.experiment for pair in found if pair.agreement.table.n}
    apart = [role for role in answered if role not in common]
    notes = [f"no image in common: {', '.join(apart)}"] if apart else []
    table = pair_table(
        (pair for pair in found if pair.experiment in common), f"Error consistency of a = {a} and b = {b}"
    )
    return replace(table, notes=(*notes, *_made_again(answered.values())))


def kappa_table(role: str, who: Mapping[str, Trials]) -> Table:
    """Kappa of all pairs on the images that both of a pair answered, all conditions together."""
    names = sorted(who)
    found = matched([who[name] for name in names], every=False)
    matrix = pairwise(found.right, found.present)

    def values(i: int) -> tuple[Value, ...]:
        cells = (
            "" if i == j else number(float(matrix.kappa[i, j]), 2) if matrix.n[i, j] else NOTHING
            for j in range(len(names))
        )
        return names[i], f"{i + 1} {names[i]}", *cells

    numbers = (Field(name, str(at), right=True) for at, name in enumerate(names, 1))
    return Table(
        f"Error consistency: {role}",
        fields=(Field("observer"), Field("", "observer"), *numbers),
        rows=tuple(values(i) for i in range(len(names))),
        notes=(f"all conditions together; {NOTHING}: no image in common", *_made_again([who])),
        splits=True,
    )


def likeness_table(board: Board) -> Table:
    """The two published rankings of a board's networks."""
    metrics = (*HUMAN_METRICS, "ood_accuracy")
    rows = {row.observer: {m: row.cells[m].value if m in row.cells else None for m in metrics} for row in board.rows}
    fields = (
        Field("observer", "observer"),
        Field("mean_rank", "mean rank", right=True),
        Field("place", "place", right=True),
        Field("accuracy_place", "place by OOD accuracy", right=True),
    )

    def values(place: HumanRank) -> tuple[Value, ...]:
        numbers = (place.mean_rank, place.place, place.accuracy_place)
        return place.name, *(NOTHING if v is None else f"{v:.3g}" for v in numbers)

    return Table(
        f"Human-likeness on {'; '.join(dict.fromkeys(board.sets.values()))}",
        fields=fields,
        rows=tuple(map(values, human_likeness(rows))),
        notes=("ranks hold among these networks only: another one can make two trade places",),
    )


def _made_again(answered: Iterable[Mapping[str, Trials]]) -> list[str]:
    """A warning where somebody saw images made again from their sources: same names, other pixels."""
    columns = [one.columns.get("made") for who in answered for one in who.values()]
    ways = {text.split()[0] for made in columns if made is not None for text in set(made) - {""}}
    saw = " and ".join(sorted(ways))  # "regenerated", "stylised"
    return [f"some observers saw {saw} images, not the published files"] if saw else []
