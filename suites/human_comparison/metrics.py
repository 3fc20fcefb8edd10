"""The metrics of the suite as data.

error_consistency is the headline: only this one of the three human metrics corrects for the agreement that two
observers of these accuracies reach by chance. Neither a network that is merely accurate nor one that is merely as weak
as people therefore ranks high."""

import zlib
from functools import partial
from math import inf

import numpy as np

from benchmark.contracts import Array, Metric, SuiteFigure, Trials
from benchmark.stats.intervals import Floats
from benchmark.stats.ratios import correct
from benchmark.stimuli.generated import exemplars
from suites.human_comparison.bootstrap import RESAMPLES, ExperimentAnswers, crossed_weights
from suites.human_comparison.experiments import BY_ROLE, EXPERIMENTS, REGIMES

#: Condition of a score that averages an experiment's kept conditions.
KEPT = "kept"
CHANCE = 1 / 16
UNIT, SIGNED = (0.0, 1.0), (-1.0, 1.0)
GEIRHOS = "Geirhos et al. (2018). Generalisation in humans and deep neural networks. NeurIPS. arXiv:1808.08750"
AGREEMENT = ("error_consistency", "observed_consistency", "accuracy_difference")
#: What stands beside kappa, of whole experiments: what the accuracies allow, the copy model, the unbiased estimator.
BESIDE = ("unbiased_consistency", "lowest_consistency", "highest_consistency", "copy_probability")


def kept(trials: Trials) -> Array:
    """Return [n] bool: trials of a condition that enters the averages; all of an experiment with one condition."""
    counts, roles, conditions = np.zeros(len(trials), dtype=bool), trials.coded("role"), trials.coded("condition")
    for role, experiment in BY_ROLE.items():
        own, shown = (roles.words == role)[roles.codes], np.isin(conditions.words, experiment.kept)[conditions.codes]
        counts |= own & (experiment.single | shown)
    return counts


def accuracy_name(role: str) -> str:
    """Return the accuracy metric of a role."""
    return f"{role.replace('-', '_')}_accuracy"


_beside = partial(Metric, direction="none", shown=False)
#: Held against people: intervals are about other images and other people.
_paired = partial(Metric, over="images and people")
_beside_people = partial(_paired, direction="none", shown=False)
METRICS = (
    _paired(
        name="error_consistency",
        title="error consistency",
        definition="kappa with each person: (c_obs - c_exp) / (1 - c_exp); mean over conditions, people, experiments",
        headline=True,
        chance=0.0,
        span=SIGNED,
        parts=KEPT,
    ),
    _paired(
        name="ceiling_fraction",
        title="of ceiling",
        definition="error consistency divided by that of people with one another on the same images",
        chance=0.0,
    ),
    _paired(
        name="observed_consistency",
        title="observed consistency",
        definition="images on which observer and person are both right or both wrong; mean over conditions, people, "
        "experiments",
        bounds=UNIT,
        parts=KEPT,
    ),
    _paired(
        name="accuracy_difference",
        title="accuracy difference",
        definition="(accuracy - accuracy of the person) squared; mean over conditions, people, experiments",
        direction="lower",
        bounds=UNIT,
        parts=KEPT,
    ),
    Metric(
        name="ood_accuracy",
        title="OOD accuracy",
        definition="right answers over the trials of an experiment's kept conditions; mean over experiments",
        chance=CHANCE,
        bounds=UNIT,
        guard=True,
    ),
    _beside_people(
        name="human_error_consistency",
        title="ceiling",
        definition="error consistency of people with one another (all pairs), averaged the same way",
        span=SIGNED,
    ),
    *(
        _beside_people(
            name=f"{end}_consistency",
            title=f"{end} kappa",
            definition=f"{end} kappa that the two accuracies allow, as above",
            span=SIGNED,
        )
        for end in ("lowest", "highest")
    ),
    _beside_people(
        name="unbiased_consistency",
        title="unbiased kappa",
        definition="error consistency by n kappa / (n - 1 + kappa)",
        span=SIGNED,
    ),
    _paired(
        name="copy_probability",
        title="copied",
        definition="how often the less accurate of observer and person copies the other, where it else answers alone",
        chance=0.0,
        shown=False,
        span=SIGNED,
    ),
    Metric(
        name="margin_consistency",
        title="margin consistency",
        definition="correlation of decision margins with the share of people who are right; mean over conditions, "
        "experiments",
        chance=0.0,
        shown=False,
        bounds=SIGNED,
    ),
    Metric(
        name="margin_corrected",
        title="corrected margin consistency",
        definition="margin consistency over the correlation that the noise of so few people's answers allows",
        chance=0.0,
        shown=False,
        span=(-inf, inf),
    ),
    *(
        Metric(
            name=accuracy_name(experiment.role),
            title=experiment.title,
            definition=f"right answers over all trials of the kept conditions: {experiment.title}",
            role=experiment.role,
            chance=CHANCE,
            shown=False,
            ratio=lambda trials: (correct(trials) & kept(trials), kept(trials)),
            clusters=exemplars,
            bounds=UNIT,
        )
        for experiment in EXPERIMENTS
    ),
    _beside_people(
        name="regime_consistency",
        title="kappa by difficulty",
        definition="error consistency with people where they reach that share of their undistorted accuracy, mean over "
        "conditions",
        span=SIGNED,
    ),
    _beside(
        name="regime_accuracy",
        title="accuracy by difficulty",
        definition="right answers in these conditions, mean over them",
        bounds=UNIT,
    ),
    _beside(
        name="threshold",
        title="50 % threshold",
        definition="level at which the fitted psychometric curve crosses half right",
    ),
    _beside(
        name="response_entropy",
        title="response entropy",
        definition="entropy in bits of the answers without 'na' (4 bits: all categories equally often)",
        chance=4.0,
        span=(0.0, 4.0),
    ),
    _beside(
        name="largest_share",
        title="largest response share",
        definition="share of the most frequent category among the answers without 'na'",
        span=UNIT,
    ),
)


# Decision margin consistency: does what is a clear case for a network come easily to people?
#
# The correlation (Pearson), over images, between a decision margin (how far the activation of the right category is
# above the strongest other one) and the share of people who answer right. As in the toolbox model-vs-human-dmc it is
# computed within conditions. Scale and origin of margins do not matter, their kind does: margins of logits and of
# probabilities are different measures.
#
# Intervals are about other images before the same people: drawing four people anew would add noise to their share, and
# every resample would correlate less than the sample does.

# Corrected for noise: over the square root of the reliability of people's share (Cronbach's alpha of their answers),
# the most that anything can correlate with it; both are averaged over conditions first.

MARGIN = "margin"  # a column of trials
MARGINS = ("margin_consistency", "margin_corrected")


def margin_draws(trials: Trials, answers: ExperimentAnswers) -> dict[str, Floats | None]:
    """`MARGINS`, each a mean over the kept conditions [1 + B]; {} if margins are unknown or a condition has no spread;
    None for the corrected one if people's answers cannot be distinguished from noise."""
    if MARGIN not in trials.columns or not answers.kept:
        return {}
    draws, most = [], []
    for part in answers.kept:
        own = trials.where(trials["condition"] == part.condition)
        order = np.argsort(own["stimulus"])
        margins = own[MARGIN][order[np.searchsorted(own["stimulus"][order], part.stimuli)]].astype(np.float64)
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
    """Cronbach's alpha of k people's answers right [n, k] under weights [m, n] -> [m]; 0 of one person, or without
    spread."""
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


FIGURES = (
    SuiteFigure(
        kind="dots",
        name="error-consistency",
        title="Error consistency with people",
        caption="Agreement with people beyond what the two accuracies alone would give (kappa). People among "
        "themselves are the ceiling.",
        metrics=("error_consistency", "ceiling_fraction"),
    ),
    *(
        SuiteFigure(
            kind="curve",
            name=f"accuracy-{experiment.role.lower()}",
            title=f"Accuracy by level: {experiment.role}",
            caption="Share of right answers among 16 categories.",
            metrics=(accuracy_name(experiment.role),),
            conditions="(?P<level>.+)",
            along="level",
            order=tuple(experiment.levels),
            axes=(experiment.unit or experiment.title, "accuracy (share right)"),
            line=(CHANCE, "chance (1/16)"),
            source=GEIRHOS,
        )
        for experiment in EXPERIMENTS
        if not experiment.single
    ),
    *(
        SuiteFigure(
            kind="curve",
            name=f"difficulty-{name}",
            title=f"By people's difficulty: {title}",
            caption="Conditions sorted by how right people are, relative to undistorted images: at least .95, .6, .35, "
            "below.",
            metrics=(f"regime_{name}",),
            along="condition",
            order=tuple(REGIMES),
            axes=("regime", title),
            source="After Xu et al. (2026).",
        )
        for name, title in (("consistency", "error consistency"), ("accuracy", "accuracy"))
    ),
    SuiteFigure(kind="agreement", name="consistency-matrix", title="Error consistency on {role}, {space}"),
)
