"""Scores of one observer against people, and of people with one another, averaged over conditions, then people, then
experiments. Every value has resamples, the same ones for averages and the share of the ceiling."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import inf

import numpy as np

from benchmark.contracts import Score, Trials
from benchmark.display import counted
from benchmark.stats.intervals import Floats
from benchmark.stats.ratios import correct
from benchmark.stimuli.experiments import Experiment
from suites.human_comparison import bootstrap
from suites.human_comparison.bootstrap import Crowd, ExperimentAnswers, ExperimentDraws, mean_of_people, pairs_among
from suites.human_comparison.metrics import AGREEMENT, BESIDE, KEPT, MARGINS, METRICS, kept, margin_draws
from suites.human_comparison.score import METHOD as IMAGES
from suites.human_comparison.score import SILENT, caveats, coverage_flag, roles_of, silent_roles
from suites.human_comparison.shown_experiments import BY_ROLE, REGIMES, UNDISTORTED, Observers, Shown, experiments_shown

LIMITS = {m.name: limits for m in METRICS if (limits := m.span or m.bounds)}
METHOD = "bootstrap: images, people"  # images within conditions, people within experiments
CEILING, FRACTION, OOD = "human_error_consistency", "ceiling_fraction", "ood_accuracy"
NO_VALUE = {
    CEILING: "one person only: no pair of people",
    "copy_probability": "the more accurate of two is always right, or always wrong: no copying to see",
    "margin_corrected": "people's answers are too few, or too noisy, to tell how noisy they are",
}
MANY = 10  # people: squares of fewer people's differences are too skewed for their interval
SIMULATED = "reference observers are simulated people (template readers), not people"
Values = Mapping[str, Floats | None]


@dataclass(frozen=True, kw_only=True)
class Averages:
    """One experiment's averages over kept conditions."""

    blank: Score  # with their n, role and flags
    values: Values  # metric -> [1 + B]; of the ceiling None with one person
    people: int  # how many took part


def people_scores(config: Experiment | None, trials: Trials, references: Observers) -> Sequence[Score]:
    """Return the scores by condition, by experiment ("kept") and over all. references: never the observer's own."""
    scores: list[Score] = []
    averages: list[Averages] = []
    answered_by_all: list[tuple[ExperimentAnswers, ExperimentDraws]] = []
    experiments = experiments_shown(config)
    reasons = dict.fromkeys(silent_roles(trials, experiments), SILENT)
    for role in roles_of(trials, experiments):
        if experiments[role].partial:
            own = {"": trials, **references}
            if (whole := _on_shared(experiments[role], own, [("", who) for who in sorted(references)])) is None:
                reasons[role] = "no person saw an image that this observer answered"
                continue
            among = _on_shared(experiments[role], own, list(combinations(sorted(references), 2)))
            values = {**whole.values, CEILING: among.values["error_consistency"] if among else None}
            averages.append(replace(whole, values={**values, FRACTION: share_of_ceiling(values)}))
            scores += scores_of(averages[-1])
            continue
        answers = bootstrap.answers_of(experiments[role], "", trials, references)
        if answers.reason:
            reasons[role] = answers.reason
            continue
        answered_by_all.append((answers, bootstrap.draw(answers)))
        parts = list(_experiment(experiments[role], trials.of(role), *answered_by_all[-1]))
        averages += (part for part in parts if part.blank.condition == KEPT)
        scores += (score for part in parts for score in scores_of(part))
    blank = Score(metric="error_consistency", value=None, condition=KEPT)
    scores += (replace(blank, reason=text, role=role) for role, text in reasons.items())
    if averages:
        whole = _overall(averages, (*AGREEMENT, *BESIDE, CEILING), len(experiments))
        scores += scores_of(replace(whole, values={**whole.values, FRACTION: share_of_ceiling(whole.values)}))
    else:
        reason = next(iter(reasons.values()), "no trial of a condition that enters the averages")
        scores += (Score(metric=metric, value=None, reason=reason) for metric in (*AGREEMENT, CEILING, FRACTION))
    if clear := [replace(part, blank=replace(part.blank, flags=())) for part in averages if MARGINS[0] in part.values]:
        scores += scores_of(_overall(clear, MARGINS, len(experiments)))
    return [*scores, *(score for regime in _regimes(experiments, answered_by_all) for score in scores_of(regime))]


def _experiment(
    experiment: Experiment, trials: Trials, answers: ExperimentAnswers, draws: ExperimentDraws
) -> Iterator[Averages]:
    """Yield the values of each condition (where there are several), and the averages over the kept ones, if any."""
    role, out, people = answers.role, answers.left_out, len(answers.observers) - 1
    seen = len(trials) - answers.unseen
    absent = {
        f"{out} people did not see all images of {role}": out,
        f"people answered {seen} of {len(trials)} images": answers.unseen,
    }
    absences = (text for text, number in absent.items() if number)
    simulated = () if bootstrap.sampled(answers.observers) else (SIMULATED,)
    flags = (*simulated, *caveats(trials, experiment), *absences)
    blank = Score(metric="", value=None, role=role, flags=flags)
    for part in answers.conditions:
        if part.condition:
            extra = flags if part.kept else (*flags, "not in the averages")
            own = replace(blank, n=len(part.right), condition=part.condition, flags=extra)
            pairs = draws.pairs[part.condition]
            values = _against_people({metric: pairs[metric] for metric in AGREEMENT}, draws.people)
            yield Averages(blank=own, values=values, people=people)
    if answers.kept:
        values = _against_people({metric: draws.mean(metric) for metric in (*AGREEMENT, *BESIDE)}, draws.people)
        values |= {FRACTION: share_of_ceiling(values), **margin_draws(trials, answers)}
        own = replace(blank, n=answers.n, excluded=len(trials) - answers.n, condition=KEPT)
        yield Averages(blank=own, values=values, people=people)


def _on_shared(experiment: Experiment, observers: Observers, pairs: Sequence[tuple[str, str]]) -> Averages | None:
    """Return the agreement of pairs of observers, each on the images that both saw: means over the kept conditions,
    then over pairs; None if no pair shares any. Without some pair there is no interval over people."""
    found: dict[tuple[str, str], tuple[ExperimentDraws, int]] = {}
    for a, b in pairs:
        own, other = observers[a].of(experiment.role), observers[b].of(experiment.role)
        answers = bootstrap.answers_of(experiment, a, own.where(np.isin(own.keys, other.keys)), {b: other})
        if answers.kept:
            found[a, b] = bootstrap.draw(answers), answers.n
    if not found:
        return None
    names, sizes = sorted({name for pair in pairs for name in pair}), [n for _, n in found.values()]
    values: dict[str, Floats | None] = {}
    for metric in (*AGREEMENT, *BESIDE):
        drawn = {pair: draws.mean(metric)[:, 0, 1] for pair, (draws, _) in found.items()}
        own_pairs = np.stack(list(drawn.values()), axis=1)
        if len(found) < len(pairs):
            values[metric] = np.full(len(own_pairs), own_pairs[0].mean())
        elif "" in names:
            values[metric] = mean_of_people(own_pairs, bootstrap.draw_people(experiment.role, len(found)))
        else:
            matrix = np.zeros((len(own_pairs), len(names), len(names)))
            for (a, b), each in drawn.items():
                matrix[:, names.index(a), names.index(b)] = matrix[:, names.index(b), names.index(a)] = each
            values[metric] = pairs_among(matrix, bootstrap.draw_people(experiment.role, len(names)))
    text = f"{len(found)} of {len(pairs)} pairs share images: {min(sizes)} to {max(sizes)} of them"
    blank = Score(metric="", value=None, n=sum(sizes), condition=KEPT, role=experiment.role, flags=(text,))
    return Averages(blank=blank, values=values, people=len(names))


def _regimes(experiments: Shown, parts: Sequence[tuple[ExperimentAnswers, ExperimentDraws]]) -> Iterator[Averages]:
    """Yield the conditions of all experiments by people's accuracy in them (Xu et al. 2026): means over the conditions
    of each regime, kept in the averages or not. Simulated people's undistorted accuracy is measured in the controls."""
    people = bootstrap.sampled(name for answers, _ in parts for name in answers.observers[1:])
    flags = () if people else (SIMULATED,)
    undistorted, regimes = UNDISTORTED, dict[str, list[tuple[Floats, Floats, int]]]()
    if flags or experiments is not BY_ROLE:
        conditions = [(part, experiments[answers.role]) for answers, _ in parts for part in answers.conditions]
        controls = [part.right[:, 1:].mean() for part, own in conditions if part.condition == own.control]
        undistorted = float(np.mean(controls)) if np.any(controls) else 1.0  # few images may all be wrong
    for answers, draws in parts:
        for part in answers.conditions:
            share = part.right[:, 1:].mean() / undistorted
            regime = next(name for name, least in REGIMES.items() if share >= least)
            kappa = mean_of_people(draws.pairs[part.condition]["error_consistency"][:, 0, 1:], draws.people)
            accuracy = draws.accuracy[part.condition][:, 0]
            regimes.setdefault(regime, []).append((kappa, accuracy, len(part.right)))
    for regime in filter(regimes.__contains__, REGIMES):
        kappas, accuracies, sizes = zip(*regimes[regime], strict=True)
        flags_of = (counted(len(sizes), "condition"), *flags)
        blank = Score(metric="", value=None, n=sum(sizes), condition=regime, flags=flags_of)
        values = {"regime_consistency": np.mean(kappas, axis=0), "regime_accuracy": np.mean(accuracies, axis=0)}
        yield Averages(blank=blank, values=values, people=MANY)


def _against_people(pairs: Mapping[str, Floats], crowd: Crowd) -> dict[str, Floats | None]:
    """Return the observer with each person, and people with one another."""
    values: dict[str, Floats | None] = {m: mean_of_people(draws[:, 0, 1:], crowd) for m, draws in pairs.items()}
    several = crowd[0].shape[1] > 1
    return {**values, CEILING: pairs_among(pairs["error_consistency"][:, 1:, 1:], crowd) if several else None}


def _overall(averages: Sequence[Averages], metrics: Sequence[str], of: int) -> Averages:
    """Return the mean over experiments; None where one of them has no value."""
    values: dict[str, Floats | None] = {}
    for metric in metrics:
        parts = [draws for part in averages if (draws := part.values[metric]) is not None]
        values[metric] = np.mean(parts, axis=0) if len(parts) == len(averages) else None
    n, excluded = sum(part.blank.n for part in averages), sum(part.blank.excluded for part in averages)
    flags = (*coverage_flag(len(averages), of), *dict.fromkeys(flag for part in averages for flag in part.blank.flags))
    blank = Score(metric="", value=None, n=n, excluded=excluded, flags=flags)
    return Averages(blank=blank, values=values, people=sum(part.people for part in averages))


def share_of_ceiling(values: Values) -> Floats | None:
    """Error consistency over its ceiling; None if the ceiling is not above 0. If no observer errs, both vary only by
    the half images, the same for all pairs: each is then divided by the other's next resample."""
    own, ceiling = values["error_consistency"], values[CEILING]
    if own is None or ceiling is None or ceiling[0] <= 0:
        return None
    if np.allclose(own, ceiling, rtol=0, atol=1e-9):
        ceiling = np.concatenate([ceiling[:1], np.roll(ceiling[1:], 1)])
    return np.asarray(np.divide(own, ceiling, out=np.full(len(own), np.nan), where=ceiling > 0))


def scores_of(averages: Averages) -> Iterator[Score]:
    """Yield each metric with its value, the first of its draws, and the interval of the others."""
    for metric, draws in averages.values.items():
        score, squared = replace(averages.blank, metric=metric), metric == "accuracy_difference"
        if draws is None or not np.isfinite(draws[0]):
            yield replace(score, reason=NO_VALUE.get(metric, "no ceiling above 0"))
            continue
        score, bounds = replace(score, value=float(draws[0])), bootstrap.interval(draws, score.level, centred=squared)
        if bounds is None:
            yield replace(score, flags=(*score.flags, "no spread: no interval"))
            continue
        least, most = LIMITS.get(metric, (-inf, inf))
        # Of margins people are not drawn anew.
        method = IMAGES if metric in (*MARGINS, "regime_accuracy") else f"{METHOD}, centred" if squared else METHOD
        score = replace(score, low=max(least, bounds[0]), high=min(most, bounds[1]), method=method)
        if squared and averages.people < MANY:
            few = f"{averages.people} people: an interval of squared differences, which are skewed, covers .86 to .98"
            score = replace(score, flags=(*score.flags, few))
        yield score


# The human row: people with one another, every unordered pair once.


def people(config: Experiment | None, trials: Observers) -> Sequence[Score]:
    """Return the scores of people as a group, per experiment (condition "kept") and over experiments. Averages are over
    conditions, unordered pairs of people, experiments; OOD accuracy pools people. The pairs' error consistency is also
    the ceiling. People who did not see an experiment's common images are left out of it."""
    experiments, groups = experiments_shown(config), list[Averages]()
    for role, experiment in experiments.items():
        names = sorted(name for name, part in trials.items() if bootstrap.answered(part.of(role)))
        values: dict[str, Floats | None]
        if experiment.partial:
            if (among := _on_shared(experiment, trials, list(combinations(names, 2)))) is None:
                continue
            parts = [part.where(kept(part, {role: experiment})).of(role) for part in map(trials.get, names) if part]
            rights = [bootstrap.accuracy_draws(role, correct(part), part["condition"], {}) for part in parts]
            right = mean_of_people(np.stack(rights, axis=1), bootstrap.draw_people(role, len(names)))
            values = {metric: among.values[metric] for metric in AGREEMENT}
            groups.append(replace(among, values={**values, CEILING: values["error_consistency"], OOD: right}))
        elif len(names) > 1:
            first = max(names, key=lambda name: len(trials[name].of(role)))  # the first by name of those with most
            others = {name: trials[name] for name in names if name != first}
            answers = bootstrap.answers_of(experiment, first, trials[first], others)
            if answers.reason or not answers.kept:
                continue
            draws, count = bootstrap.draw(answers), len(answers.observers)
            crowd = bootstrap.draw_people(role, count)
            values = {m: pairs_among(draws.mean(m), crowd) for m in AGREEMENT}
            shares = np.array([len(part.right) for part in answers.kept], dtype=float) / answers.n
            accuracy = np.stack([draws.accuracy[part.condition] for part in answers.kept])  # [conditions, 1 + B, k]
            pooled = mean_of_people(np.tensordot(shares, accuracy, axes=1), crowd)
            values |= {CEILING: values["error_consistency"], OOD: pooled}
            blank = Score(metric="", value=None, n=answers.n * count, condition=KEPT, role=role)  # n: of all people
            groups.append(Averages(blank=blank, values=values, people=count))
    if not groups:
        reason = "fewer than two people answered an experiment's images"
        return [Score(metric=metric, value=None, reason=reason) for metric in (*AGREEMENT, CEILING, OOD)]
    whole = _overall(groups, (*AGREEMENT, CEILING, OOD), len(experiments))
    each = (score for group in groups for score in scores_of(group) if score.metric != OOD)
    return [*each, *scores_of(whole)]
