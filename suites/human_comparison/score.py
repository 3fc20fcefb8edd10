"""Scores of one observer without people: accuracy with intervals, OOD accuracy, thresholds, response entropy."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from benchmark.contracts import Score, Trials
from benchmark.stats import ratio_score
from benchmark.stats.ratios import correct, share
from benchmark.stimuli.experiments import Experiment, unanswerable
from benchmark.stimuli.image_names import NO_ANSWER, shared_exemplars
from benchmark.stimuli.regenerate import REGENERATED
from benchmark.stimuli.trial_tables import CHOICES, CONFIDENCE
from suites.human_comparison.bootstrap import NEEDS_PEOPLE, accuracy_draws, interval
from suites.human_comparison.metrics import accuracy_name, differences, experiment_metrics, kept
from suites.human_comparison.psychometric import fit_curve
from suites.human_comparison.shown_experiments import BY_ROLE, Shown, experiments_shown

METHOD = "bootstrap: images"  # within conditions
SILENT = f"no answer but '{NO_ANSWER}'"


def score(config: Experiment | None, trials: Trials) -> Sequence[Score]:
    """Return the scores of one observer without people. The headline has no value yet: `people_scores` gives it one."""
    experiments = experiments_shown(config)
    scores = [Score(metric="error_consistency", value=None, reason=NEEDS_PEOPLE), ood_accuracy(trials, experiments)]
    present, silent = roles_of(trials, experiments), silent_roles(trials, experiments)
    metrics = {metric.name: metric for metric in experiment_metrics(experiments)}
    for role, experiment in experiments.items():
        metric = metrics[accuracy_name(role)]
        if role in silent:
            left = len(trials.of(role))
            scores.append(Score(metric=metric.name, value=None, reason=SILENT, excluded=left, role=role))
        elif role in trials.missing and role not in present:
            scores.append(Score(metric=metric.name, value=None, reason=trials.missing[role], role=role))
        if role not in present:
            continue
        own = trials.of(role)
        flags, conditions = caveats(own, experiment), own.coded("condition")
        scores.append(ratio_score(metric, own, flags=flags))
        for name in sorted(conditions.used):
            shown = own.where((conditions.words == name)[conditions.codes])
            if name:
                outside = () if name in experiment.averaged else ("not in the averages",)
                plain = replace(metric, ratio=share(correct))
                scores.append(ratio_score(plain, shown, condition=name, flags=(*flags, *outside)))
            scores += _answers(experiment, name, shown)
        for factors in dict.fromkeys(name.partition("/")[2] for name in experiment.levels) if experiment.scale else ():
            ends = np.array([name.partition("/")[2] == factors for name in conditions.words.tolist()])
            curve = fit_curve(experiment, own.where(ends[conditions.codes]))
            scores.append(replace(curve, condition=factors, flags=(*flags, *curve.flags)))
        for difference in differences(experiment):
            scores.append(ratio_score(difference, own, flags=flags))
            for level in experiment.conditions:
                there = np.array([name.partition("/")[0] == level for name in conditions.words.tolist()])
                at_level = own.where(there[conditions.codes])
                scores.append(replace(ratio_score(difference, at_level, flags=flags), condition=level))
    return scores


def roles_of(trials: Trials, experiments: Shown) -> list[str]:
    """Return the experiments that the observer answered, in the suite's order."""
    said = set(trials.where(trials["response"] != NO_ANSWER).coded("role").used) if len(trials) else set()
    return [role for role in experiments if role in said]


def silent_roles(trials: Trials, experiments: Shown) -> list[str]:
    """Return the experiments in which every answer is "na": neither accuracy nor agreement was measured there."""
    present, answered = set(trials.coded("role").used) if len(trials) else set(), roles_of(trials, experiments)
    return [role for role in experiments if role in present and role not in answered]


def caveats(trials: Trials, experiment: Experiment | None = None) -> tuple[str, ...]:
    """Return flags of regenerated stimuli, and of a network that has no class for some categories."""
    made = ("regenerated stimuli",) if REGENERATED in trials.columns.get("made", ()) else ()
    return made + unanswerable(experiment, trials)


def coverage_flag(roles: int, of: int = len(BY_ROLE)) -> tuple[str, ...]:
    """Return a flag: over how many experiments an average is."""
    return (f"{roles} of {of} experiments",) if of > 1 else ()


def ood_accuracy(trials: Trials, experiments: Shown = BY_ROLE) -> Score:
    """Return the mean over the installed experiments of the accuracy pooled over the kept conditions."""
    if not roles_of(trials, experiments):
        return Score(metric="ood_accuracy", value=None, reason=SILENT if len(trials) else "no trials")
    own, draws = trials.where(kept(trials, experiments)), []
    for role in roles_of(own, experiments):
        part = own.of(role)
        clusters = shared_exemplars(part, part["stimulus"], elsewhere=True)
        draws.append(accuracy_draws(role, correct(part), part["condition"], clusters))
    if not draws:
        reason = "no trial of a condition that enters the average"
        return Score(metric="ood_accuracy", value=None, reason=reason, excluded=len(trials))
    mean = np.mean(draws, axis=0)
    flags = (*coverage_flag(len(draws), len(experiments)), *caveats(own, next(iter(experiments.values()))))
    left = len(trials) - len(own)
    score = Score(metric="ood_accuracy", value=float(mean[0]), n=len(own), excluded=left, flags=flags)
    bounds = interval(mean)
    return score if bounds is None else replace(score, low=bounds[0], high=bounds[1], method=METHOD)


def _answers(experiment: Experiment, condition: str, trials: Trials) -> Iterator[Score]:
    """Yield the entropy (bits) and largest share of a condition's answers, and what was measured beside them."""
    # Under strong noise networks fall back on one category (Geirhos et al. 2018, section 4 and figure 4).
    said = Counter(trials["response"].tolist())
    counts = np.array([said[category] for category in experiment.answers])
    total, silent, condition = int(counts.sum()), said[NO_ANSWER], condition or "all"
    blank = Score(
        metric="", value=None, reason=SILENT, n=total, excluded=silent, condition=condition, role=experiment.role
    )
    entropy, share = (replace(blank, metric=metric) for metric in ("response_entropy", "largest_share"))
    if total:
        p, most = counts[counts > 0] / total, int(counts.argmax())  # of equal ones the first by name
        entropy = replace(entropy, value=max(0.0, -float((p * np.log2(p)).sum())), reason="")
        flags = (f"largest: {experiment.answers[most]}",)
        share = replace(share, value=float(counts[most] / total), reason="", flags=flags)
    yield from (entropy, share)
    for metric, column in (("reaction_time", "rt"), ("confidence", CONFIDENCE), ("choices_accuracy", CHOICES)):
        if column not in trials.columns:
            continue
        if column == CHOICES:
            pairs = zip(trials["category"].tolist(), trials[CHOICES].tolist(), strict=True)
            values = np.array([category in choices.split("|") for category, choices in pairs if choices], float)
        else:
            values = trials[column].astype(float)
            values = values[np.isfinite(values)]
        if n := len(values):
            value = float(values.mean() if column == CHOICES else np.median(values))
            yield replace(blank, metric=metric, value=value, reason="", n=n, excluded=len(trials) - n)
