"""Scores of one observer against people: accuracy difference, observed and error consistency, ceiling.

Averages in the published order: conditions, then people, then experiments. Every value has resamples beside it
(images within conditions, people within experiments), so that the intervals of averages and of the fraction of the
ceiling come from the same draws.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from benchmark.contracts import Score, Trials
from benchmark.stats.intervals import Floats
from benchmark.stimuli.trials import PEOPLE
from suites.human_comparison.bootstrap import Draws, against_people, among_people, draw, interval
from suites.human_comparison.consistency import Tables, tabulate
from suites.human_comparison.metrics import AGREEMENT, KEPT, METRICS, margin_draws
from suites.human_comparison.metrics import NAME as MARGINS
from suites.human_comparison.score import METHOD as IMAGES
from suites.human_comparison.score import SILENT, counted, regenerated, roles_of, silent_roles

LIMITS = {m.name: limits for m in METRICS if (limits := m.span or m.bounds)}
METHOD = "bootstrap: images, people"  # images within conditions, people within experiments
CENTRED = METHOD + ", centred"
CEILING, FRACTION = "human_error_consistency", "ceiling_fraction"
ONE_PERSON = "one person only: no pair of people"
MANY = 10  # people: squares of fewer people's differences are too skewed for their interval
SIMULATED = "reference observers are simulated people (template readers), not people"


@dataclass(frozen=True)
class Averages:
    """One experiment's averages over kept conditions: metric -> [1 + B] (ceiling: None with one person); people: how
    many took part."""

    role: str
    values: Mapping[str, Floats | None]
    n: int
    excluded: int
    flags: tuple[str, ...]
    people: int


def compare(_config: None, trials: Trials, references: Mapping[str, Trials]) -> Sequence[Score]:
    """Scores per experiment and condition, per experiment (condition "kept"), and over experiments.

    references: name -> trials, never the observer's own. Only people who answered all images that the observer
    answered take part. Nothing to compare with: scores without value, with the reason.
    """
    return list(_compared(trials, references))


def _compared(trials: Trials, references: Mapping[str, Trials]) -> Iterator[Score]:
    averages, margins, reasons = [], [], []
    for role in silent_roles(trials):
        reasons.append(SILENT)
        yield Score("error_consistency", None, SILENT, condition=KEPT, role=role)
    for role in roles_of(trials):
        tables = tabulate(role, "", trials, references)
        flags = (
            *(() if any(name.startswith(PEOPLE) for name in references) else (SIMULATED,)),
            *regenerated(trials.of(role)),
            *_absent(tables),
        )
        if tables.reason:
            reasons.append(tables.reason)
            yield Score("error_consistency", None, tables.reason, condition=KEPT, role=role)
            continue
        draws = draw(tables)
        yield from _by_condition(tables, draws, flags)
        if draws.kept:
            averages.append(_average(tables, draws, flags))
            yield from _of_experiment(averages[-1])
            if (clear := margin_draws(trials.of(role), tables, draws)) is not None:
                margins.append(replace(averages[-1], values={MARGINS: clear}))
                blank = Score(MARGINS, None, n=margins[-1].n, condition=KEPT, role=role)
                blank = replace(blank, excluded=margins[-1].excluded, flags=flags)
                yield _over_images(valued(blank, clear))
    yield from _overall(averages, reasons)
    if margins:
        n, excluded = sum(one.n for one in margins), sum(one.excluded for one in margins)
        blank = Score(MARGINS, None, n=n, excluded=excluded, flags=counted(len(margins)))
        yield _over_images(valued(blank, _mean([one.values[MARGINS] for one in margins])))


def _over_images(score: Score) -> Score:
    """The score with its method: people are not drawn anew."""
    return replace(score, method=IMAGES) if score.method else score


def _by_condition(tables: Tables, draws: Draws, flags: tuple[str, ...]) -> Iterator[Score]:
    several = len(tables.observers) > 2
    for table in tables.tables:
        name = table.condition
        if not name:
            continue  # one condition only: the experiment's own score says it
        extra = flags if table.kept else (*flags, "not in the averages")
        blank = Score("", None, n=len(table.right), condition=name, role=tables.role, flags=extra)
        pairs = draws.by_condition[name]
        for metric in AGREEMENT:
            score = valued(replace(blank, metric=metric), against_people(pairs[metric], draws.people))
            yield skewed(score, len(tables.observers) - 1)
        ceiling = among_people(pairs["error_consistency"], draws.people) if several else None
        yield valued(replace(blank, metric=CEILING), ceiling)


def _average(tables: Tables, draws: Draws, flags: tuple[str, ...]) -> Averages:
    means = {metric: draws.mean(metric) for metric in AGREEMENT}
    values: dict[str, Floats | None] = {metric: against_people(mean, draws.people) for metric, mean in means.items()}
    several = len(tables.observers) > 2
    values[CEILING] = among_people(means["error_consistency"], draws.people) if several else None
    n = sum(len(table.right) for table in tables.tables if table.kept)
    total = sum(len(table.right) for table in tables.tables)
    return Averages(tables.role, values, n, total - n, flags, len(tables.observers) - 1)


def _of_experiment(found: Averages) -> Iterator[Score]:
    blank = Score("", None, n=found.n, excluded=found.excluded, condition=KEPT, role=found.role)
    for metric, values in (*found.values.items(), (FRACTION, share_of_ceiling(found.values))):
        score = valued(replace(blank, metric=metric, flags=found.flags), values)
        yield skewed(score, found.people)


def _overall(averages: Sequence[Averages], reasons: Sequence[str]) -> Iterator[Score]:
    if not averages:
        reason = reasons[0] if reasons else "no trial of a condition that enters the averages"
        yield from (Score(metric, None, reason) for metric in (*AGREEMENT, CEILING, FRACTION))
        return
    names = (*AGREEMENT, CEILING)
    means: dict[str, Floats | None] = {m: _mean([a.values[m] for a in averages]) for m in names}
    flags = (*counted(len(averages)), *dict.fromkeys(flag for a in averages for flag in a.flags))
    n, excluded = sum(a.n for a in averages), sum(a.excluded for a in averages)
    for metric, values in (*means.items(), (FRACTION, share_of_ceiling(means))):
        score = valued(Score(metric, None, n=n, excluded=excluded, flags=flags), values)
        yield skewed(score, sum(one.people for one in averages))


def skewed(score: Score, people: int) -> Score:
    """The score, and what its interval is worth where people are few."""
    if score.metric != "accuracy_difference" or not score.method or people >= MANY:
        return score
    flag = f"{people} people: an interval of squared differences, which are skewed, covers .86 to .98"
    return replace(score, flags=(*score.flags, flag))


def _mean(parts: Sequence[Floats | None]) -> Floats | None:
    there = [part for part in parts if part is not None]
    return np.mean(there, axis=0) if len(there) == len(parts) else None


def share_of_ceiling(values: Mapping[str, Floats | None]) -> Floats | None:
    """Error consistency over its ceiling; None where the ceiling is not above 0.

    Where nobody errs, both vary by the half images alone, which are the same for all pairs: their ratio would be 1
    without any spread, out of no information. Each is then held against the other's next resample.
    """
    own, ceiling = values["error_consistency"], values[CEILING]
    if own is None or ceiling is None or ceiling[0] <= 0:
        return None
    if np.allclose(own, ceiling, rtol=0, atol=1e-9):
        ceiling = np.concatenate([ceiling[:1], np.roll(ceiling[1:], 1)])
    found: Floats = np.full(len(own), np.nan)
    np.divide(own, ceiling, out=found, where=ceiling > 0)
    return found


def valued(score: Score, draws: Floats | None) -> Score:
    """`score` with the value draws[0] and the interval of the rest."""
    if draws is None:
        reason = ONE_PERSON if score.metric == CEILING else "no ceiling above 0"
        return replace(score, reason=reason)
    centred = score.metric == "accuracy_difference"
    bounds = interval(draws, score.level, centred=centred)
    if bounds is None:
        return replace(score, value=float(draws[0]), flags=(*score.flags, "no spread: no interval"))
    least, most = LIMITS.get(score.metric, (-inf, inf))
    low, high = max(least, bounds[0]), min(most, bounds[1])
    method = CENTRED if centred else METHOD
    return replace(score, value=float(draws[0]), low=low, high=high, method=method)


def _absent(tables: Tables) -> tuple[str, ...]:
    out = len(tables.left_out)
    return (f"{out} people did not see all images of {tables.role}",) if out else ()
