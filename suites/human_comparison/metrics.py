"""The metrics of the suite: declared in `metrics.yaml`; accuracies of single experiments and margins are here."""

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from math import log2

import numpy as np

from benchmark.contracts import Array, Metric, SuiteFigure, Trials
from benchmark.contracts.declarations import declared_metrics, filled, package_data
from benchmark.stats.intervals import Floats
from benchmark.stats.ratios import correct
from benchmark.stimuli.experiments import Experiment
from benchmark.stimuli.image_names import exemplars
from suites.human_comparison.bootstrap import RESAMPLES, ExperimentAnswers, crossed_weights
from suites.human_comparison.shown_experiments import BY_ROLE, Shown

#: Condition of a score that averages an experiment's kept conditions.
KEPT = "kept"
GEIRHOS = "Geirhos et al. (2018). Generalisation in humans and deep neural networks. NeurIPS. arXiv:1808.08750"
AGREEMENT = ("error_consistency", "observed_consistency", "accuracy_difference")
#: What stands beside kappa, of whole experiments: what the accuracies allow, the copy model, the unbiased estimator.
BESIDE = ("unbiased_consistency", "lowest_consistency", "highest_consistency", "copy_probability")


def kept(trials: Trials, experiments: Shown = BY_ROLE) -> Array:
    """Return [n] bool: trials of a condition that enters the averages; all of an experiment with one condition."""
    counts, roles, conditions = np.zeros(len(trials), dtype=bool), trials.coded("role"), trials.coded("condition")
    for role, experiment in experiments.items():
        own = (roles.words == role)[roles.codes]
        counts |= own & (experiment.single | np.isin(conditions.words, experiment.averaged)[conditions.codes])
    return counts


def accuracy_name(role: str) -> str:
    """Return the accuracy metric of a role."""
    return f"{_word(role)}_accuracy"


def _word(text: str) -> str:
    return re.sub("[^A-Za-z0-9]", "_", text)


_DECLARED = package_data("suites.human_comparison", "metrics")


def experiment_metrics(experiments: Shown) -> tuple[Metric, ...]:
    """Return the suite's metrics: those of `metrics.yaml`, and the accuracy in each experiment."""
    count = len(next(iter(experiments.values())).answers)
    first, last = (declared_metrics(_DECLARED[part], {}) for part in ("metrics", "beside"))
    bits = log2(count)
    first = tuple(replace(m, chance=1 / count) if m.name == "ood_accuracy" else m for m in first)
    last = tuple(replace(m, chance=bits, span=(0.0, bits)) if m.name == "response_entropy" else m for m in last)
    accuracies = (
        Metric(
            name=accuracy_name(role),
            role=role,
            chance=1 / count,
            clusters=exemplars,
            ratio=lambda trials: (correct(trials) & kept(trials, experiments), kept(trials, experiments)),
            **filled(_DECLARED["accuracy"], title=experiment.title or experiment.name),
        )
        for role, experiment in experiments.items()
    )
    return (*first, *accuracies, *(metric for own in experiments.values() for metric in differences(own)), *last)


def differences(experiment: Experiment) -> tuple[Metric, ...]:
    """Return the metrics of the factors of which the experiment compares two values, image by image."""

    def ratio(trials: Trials, at: int, pair: tuple[str, str]) -> tuple[Array, Array]:
        counted = kept(trials, {experiment.role: experiment})
        counted |= not counted.any()  # at a level that enters no average
        values = np.array([name.split("/")[at] for name in trials.coded("condition").words.tolist()])
        one, other = ((values == value)[trials.coded("condition").codes] & counted for value in pair)
        there = one.any() and other.any()
        weights = one - other * (one.sum() / max(1, other.sum()))  # if there are not as many of both
        return weights * correct(trials) * there, one & there

    def images(trials: Trials) -> Mapping[str, Array]:
        return {"image": np.array([name.rpartition("/")[2] for name in trials["stimulus"].tolist()])}

    places = {name: at + bool(experiment.conditions) for at, name in enumerate(experiment.factors)}
    return tuple(
        Metric(
            name=f"{_word(name)}_difference",
            role=experiment.role,
            clusters=images,
            ratio=partial(ratio, at=places[name], pair=pair),
            **filled(_DECLARED["difference"], one=pair[0], other=pair[1]),
        )
        for name, pair in experiment.compared.items()
    )


METRICS = experiment_metrics(BY_ROLE)


# Decision margin consistency: the correlation (Pearson), over the images of a condition, between a decision margin (how
# far the activation of the right category is above the strongest other one) and the share of people who answer right.
# Margins of logits and of probabilities are different measures. Corrected for noise, it is divided by the square root
# of the reliability of people's share (Cronbach's alpha); both are averaged over conditions first. Intervals are about
# other images before the same people: every resample of four people would correlate less than the sample does.

MARGINS = ("margin_consistency", "margin_corrected")


def margin_draws(trials: Trials, answers: ExperimentAnswers) -> dict[str, Floats | None]:
    """Return `MARGINS`, each a mean over the kept conditions [1 + B]. The result is {} if margins are unknown or a
    condition has no spread. The corrected margin is None if people's answers cannot be distinguished from noise."""
    if "margin" not in trials.columns or not answers.kept:
        return {}
    draws, most = [], []
    for part in answers.kept:
        own = trials.where(trials["condition"] == part.condition)
        order = np.argsort(own["stimulus"])
        margins = own["margin"][order[np.searchsorted(own["stimulus"][order], part.stimuli)]].astype(np.float64)
        seed = zlib.crc32(f"{answers.role} {part.condition} margins".encode())
        weights = crossed_weights(part.clusters or {"image": part.stimuli}, RESAMPLES, np.random.default_rng(seed))
        draws.append(weighted_correlation(weights, margins[None, :], part.right[:, 1:].mean(axis=1)[None, :]))
        most.append(np.sqrt(np.maximum(reliability(weights, part.right[:, 1:]), 0)))
    if not all(np.isfinite(values[0]) for values in draws):
        return {}
    plain, room = np.mean(draws, axis=0), np.mean(most, axis=0)
    corrected = np.divide(plain, room, out=np.full(len(plain), np.nan), where=room > 0)
    return dict(zip(MARGINS, (plain, corrected if room[0] > 0 else None), strict=True))


def reliability(weights: Floats, right: Array) -> Floats:
    """Cronbach's alpha of k people's answers right [n, k] under weights [m, n] -> [m]; 0 of one person or no spread."""
    weights, k = weights / weights.sum(axis=1, keepdims=True), right.shape[1]
    share, total = weights @ right, right.sum(axis=1).astype(float)
    whole = weights @ total**2 - (weights @ total) ** 2
    alone = (share * (1 - share)).sum(axis=1)
    alpha = np.divide(whole - alone, whole, out=np.zeros(len(weights)), where=whole > 1e-12)
    return np.asarray(alpha * (k / (k - 1) if k > 1 else 0.0))


def weighted_correlation(weights: Floats, x: Floats, y: Floats) -> Floats:
    """Pearson's r of each row, [m, n] each (or [1, n]) -> [m]; NaN where one of the two has no spread."""
    weights = weights / weights.sum(axis=1, keepdims=True)
    x = x - (weights * x).sum(axis=1, keepdims=True)
    y = y - (weights * y).sum(axis=1, keepdims=True)
    both, xx, yy = ((weights * part).sum(axis=1) for part in (x * y, x * x, y * y))
    r = np.full(len(both), np.nan)
    return np.asarray(np.divide(both, np.sqrt(xx * yy), out=r, where=(xx > 0) & (yy > 0)))


def curves(experiment: Experiment) -> Iterator[SuiteFigure]:
    """Yield the figures of an experiment: accuracy, and differences between two values of a factor, by level."""
    if experiment.single:
        return
    role, count = experiment.role, len(experiment.answers)
    words = {"role": role, "name": role.lower(), "count": count}
    accuracy = SuiteFigure(
        **filled(_DECLARED["accuracy_curve"], **words),
        metrics=(accuracy_name(role),),
        conditions="/".join(["(?P<level>.+?)", *(f"(?P<{_word(name)}>.+)" for name in experiment.factors)]),
        order=tuple(experiment.conditions),
        axes=(experiment.unit or experiment.title or experiment.name, "accuracy (share right)"),
        line=(1 / count, f"chance (1/{count})"),
        source=experiment.citation if experiment.file else GEIRHOS,
    )
    yield accuracy
    for metric in differences(experiment) if experiment.conditions else ():
        words |= {"metric": metric.name.replace("_", "-"), "title": metric.title}
        own = filled(_DECLARED["difference_curve"], definition=metric.definition.capitalize(), **words)
        axes, none = (accuracy.axes[0], "difference of accuracies"), (0.0, "no difference")
        yield replace(accuracy, **own, metrics=(metric.name,), axes=axes, line=none)
