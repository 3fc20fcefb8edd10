"""Error consistency of observers by experiment and condition (Geirhos, Meding & Wichmann 2020; Klein et al. 2025,
NeurIPS); the formulas are in `benchmark.stats.agreement`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np

from benchmark.contracts import Trials
from benchmark.failures import BenchError, unknown_name
from benchmark.leaderboard.board_model import Board, Cell
from benchmark.leaderboard.table import NOTHING, Field, Table, Value, declared_table, number, p_value
from benchmark.stats.agreement import Agreement, agreement, match, pairwise
from benchmark.stats.comparisons import holm
from benchmark.stimuli.image_names import shared_exemplars

#: experiment -> observer -> trials
ExperimentTrials = Mapping[str, Mapping[str, Trials]]
MEAN = "mean over conditions"
#: The three human metrics and whether a larger value ranks higher.
HUMAN_METRICS = {"accuracy_difference": False, "observed_consistency": True, "error_consistency": True}
ACCURACY = "ood_accuracy"
AVERAGED = "averaged"  # column: whether a trial's condition enters its experiment's averages
ALWAYS = "the more accurate one is always right, or always wrong: copying cannot be seen"


@dataclass(frozen=True, kw_only=True)
class ObserverPair:
    """Two observers under one condition of one experiment (`MEAN`: over several)."""

    experiment: str
    condition: str
    a: str
    b: str
    agreement: Agreement  # of their right and wrong answers


def shared(answered: ExperimentTrials, experiment: str | None = None) -> ExperimentTrials:
    """Return the experiments that at least two observers answered, or the named one."""
    common = {role: who for role, who in sorted(answered.items()) if len(who) > 1}
    if experiment is not None and experiment not in common:
        raise unknown_name("experiment of two or more of these observers", experiment, common)
    if not common:
        raise BenchError("these observers answered no common experiment. `bench show NAME` lists the trials of each.")
    return common if experiment is None else {experiment: common[experiment]}


def observer_pairs(answered: ExperimentTrials) -> Iterator[ObserverPair]:
    """Yield every pair of observers of every experiment, by condition, then (`MEAN`) over several conditions."""
    for experiment, who in answered.items():
        for a, b in combinations(who, 2):
            pair = partial(ObserverPair, experiment=experiment, a=a, b=b)
            table = match([who[a], who[b]])
            conditions = dict.fromkeys(table.condition.tolist())
            for condition in conditions:
                inside = table.condition == condition
                right, clusters = table.right[inside], shared_exemplars(who[a], table.stimulus[inside])
                yield pair(condition=condition, agreement=agreement(right[:, 0], right[:, 1], [*clusters.values()]))
            inside = np.isin(table.condition, _averaged([who[a], who[b]]))
            if len(conditions) != 1 and (inside.any() or not conditions):
                right, images = table.right[inside], table.stimulus[inside]
                factors = [*shared_exemplars(who[a], images).values()]
                if not factors and len(np.unique(images)) < len(images):  # the same image under several conditions
                    factors = [images]
                yield pair(
                    condition=MEAN,
                    agreement=agreement(right[:, 0], right[:, 1], factors, strata=table.condition[inside]),
                )


def _averaged(observers: Iterable[Trials]) -> list[str]:
    """Return the conditions that enter an experiment's averages; all of them if the trials have no such column."""
    kept = (own["condition"][own.columns.get(AVERAGED, np.ones(len(own), dtype=bool))] for own in observers)
    return [*{name for names in kept for name in names.tolist()}]


def agreement_table(compared: Iterable[ObserverPair], title: str = "") -> Table:
    """Return the kappa of pairs under each condition, with the counts that it is made of."""
    compared = list(compared)
    tested = [pair.agreement.p for pair in compared if pair.agreement.p is not None]
    adjusted = iter(holm(tested).tolist())

    def values(pair: ObserverPair) -> tuple[Value, ...]:
        one = pair.agreement
        kappa = Cell(one.kappa, one.low, one.high, n=one.n, reason=one.reason, source=one)
        ends = "" if one.least is None else f"{number(one.least, 2)} to {number(one.most, 2)}"
        p = None if one.p is None else next(adjusted)
        more = (one.least, one.most, ends, one.p, p, p_value(p), one.unbiased, number(one.unbiased))
        why = one.reason or (ALWAYS if pair.condition != MEAN else "the copy model is of one condition")
        reason = why if one.copied is None else ""
        copied = Cell(one.copied, one.copied_low, one.copied_high, n=one.n, reason=reason, source=one)
        counted = (one.n, one.both, one.only_a, one.only_b, one.neither)
        shares = (one.observed, number(one.observed, 3), one.expected, number(one.expected, 3))
        return (pair.a, pair.b, pair.experiment, pair.condition, kappa, *more, copied, *counted, *shares)

    return declared_table("agreement", map(values, compared), hidden=("a", "b") if title else (), title=title)


def comparison_of(a: str, b: str, answered: ExperimentTrials) -> Table:
    """Return two observers by experiment and condition; experiments without a common image are named below."""
    compared = list(observer_pairs({role: {a: who[a], b: who[b]} for role, who in answered.items()}))
    common = {pair.experiment for pair in compared if pair.agreement.n}
    apart = [role for role in answered if role not in common]
    notes = [f"no image in common: {', '.join(apart)}"] if apart else []
    shown = (pair for pair in compared if pair.experiment in common)
    table = agreement_table(shown, f"Error consistency of a = {a} and b = {b}")
    return replace(table, notes=(*table.notes, *notes))


def kappa_table(role: str, who: Mapping[str, Trials]) -> Table:
    """Return the kappa of all pairs on the images that both of a pair answered, the mean over conditions."""
    names = sorted(who)
    table = match([who[name] for name in names], every=False)
    kept = [table.condition == condition for condition in _averaged(who.values())]
    kappas = np.stack([pairwise(table.right[part], table.present[part]).kappa for part in kept])
    mean = np.ma.masked_invalid(kappas).mean(axis=0).filled(np.nan)
    shown = [[NOTHING if np.isnan(kappa) else number(kappa, 2) for kappa in row] for row in mean.tolist()]
    for i in range(len(names)):
        shown[i][i] = ""
    numbers = (Field(name, str(i + 1), right=True) for i, name in enumerate(names))
    rows = ((name, f"{i} {name}", *row) for i, (name, row) in enumerate(zip(names, shown, strict=True), 1))
    return declared_table("kappas", rows, columns=numbers, role=role)


def likeness_table(board: Board) -> Table:
    """Return the two published rankings of networks: by mean rank in three human metrics, and by OOD accuracy."""
    import pandas as pd

    metrics = (*HUMAN_METRICS, ACCURACY)
    cells = {row.observer: [row.cells[m].value if m in row.cells else None for m in metrics] for row in board.rows}
    values = pd.DataFrame.from_dict(cells, orient="index", columns=list(metrics), dtype=float).sort_index()
    signs = {metric: -1 if larger else 1 for metric, larger in HUMAN_METRICS.items()}
    mean = (values[list(signs)] * pd.Series(signs)).dropna().rank().mean(axis=1)
    columns = {"mean": mean, "place": mean.rank(), "accuracy": (-values[ACCURACY]).rank()}
    places = pd.DataFrame(columns, index=values.index).sort_values("mean", kind="stable")
    rows = ((row[0], *(NOTHING if pd.isna(v) else f"{v:.3g}" for v in row[1:])) for row in places.itertuples())
    return declared_table("likeness", rows, sets="; ".join(dict.fromkeys(board.sets.values())))
