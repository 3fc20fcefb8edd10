"""Scores of one observer alone: accuracy with intervals, OOD accuracy, thresholds, response entropy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Score, Trials
from benchmark.stats import ratio_score
from benchmark.stats.intervals import Floats
from benchmark.stimuli.catalogue import GEIRHOS16, NO_ANSWER
from benchmark.stimuli.generated import shared_exemplars
from benchmark.stimuli.regenerate import REGENERATED
from suites.human_comparison.bootstrap import accuracy_draws, interval
from suites.human_comparison.experiments import BY_ROLE, EXPERIMENTS, Experiment
from suites.human_comparison.metrics import METRICS, accuracy_name, correct, kept, plain_accuracy
from suites.human_comparison.psychometric import fit_curve

# Which answers are given, right or wrong: response shares and their entropy.
#
# Geirhos et al. 2018 (NeurIPS, arXiv:1808.08750), section 4 and figure 4: under strong noise networks fall back on
# one category while people keep guessing among all of them.


@dataclass(frozen=True)
class Shares:
    """Answers by category. counts [16]; total: answers that name a category; na: trials without an answer."""

    counts: NDArray[np.int64]
    na: int

    @property
    def total(self) -> int:
        """Answers without "na"."""
        return int(self.counts.sum())

    @property
    def largest(self) -> tuple[str, float] | None:
        """The most frequent answer (ties: the first by name) and its share; None without answers."""
        if not self.total:
            return None
        at = int(self.counts.argmax())
        return GEIRHOS16[at], float(self.counts[at] / self.total)

    @property
    def entropy(self) -> float | None:
        """Entropy of the answers in bits, 0 to 4; None without answers."""
        if not self.total:
            return None
        p = self.counts[self.counts > 0] / self.total
        return max(0.0, -float((p * np.log2(p)).sum()))


def response_shares(responses: Array) -> Shares:
    """The answers [n], text, by category."""
    counts = np.array([int((responses == category).sum()) for category in GEIRHOS16])
    return Shares(counts, int((responses == NO_ANSWER).sum()))


METHOD = "bootstrap: images"  # within conditions
NEEDS_PEOPLE = (
    "no answers of people to compare with: `bench data fetch human-trials`, then `bench import trials`; "
    "in the built-in world `bench run -m 'world-reader-*'`"
)
SILENT = f"no answer but '{NO_ANSWER}'"
_METRICS = {metric.name: metric for metric in METRICS}


def score(_config: None, trials: Trials) -> Sequence[Score]:
    """Scores of one observer alone. The headline has no value here: `compare` gives it, where people are known."""
    return list(_scores(trials))


def _scores(trials: Trials) -> Iterator[Score]:
    yield Score("error_consistency", None, NEEDS_PEOPLE)
    yield ood_accuracy(trials)
    present, silent = roles_of(trials), silent_roles(trials)
    for experiment in EXPERIMENTS:
        name, role = accuracy_name(experiment.role), experiment.role
        if role in present:
            yield from _experiment(experiment, trials.of(role))
        elif role in silent:
            yield Score(name, None, SILENT, excluded=len(trials.of(role)), role=role)
        elif role in trials.missing:
            yield Score(name, None, trials.missing[role], role=role)


def roles_of(trials: Trials) -> list[str]:
    """The experiments that the observer answered, in the suite's order."""
    return _among(trials.where(trials["response"] != NO_ANSWER) if len(trials) else trials)


def silent_roles(trials: Trials) -> list[str]:
    """The experiments in which every answer is "na": nothing was measured there, neither accuracy nor agreement."""
    answered = roles_of(trials)
    return [role for role in _among(trials) if role not in answered]


def _among(trials: Trials) -> list[str]:
    found = set(np.unique(trials["role"]).tolist()) if len(trials) else set()
    return [role for role in BY_ROLE if role in found]


def regenerated(trials: Trials) -> tuple[str, ...]:
    """A flag where some images were not the published files but made again from their sources."""
    made = trials.columns.get("made")
    return ("regenerated stimuli",) if made is not None and (made == REGENERATED).any() else ()


def counted(roles: int) -> tuple[str, ...]:
    """A flag: over how many experiments an average is."""
    return (f"{roles} of {len(EXPERIMENTS)} experiments",)


def ood_accuracy(trials: Trials) -> Score:
    """Mean over experiments of the accuracy pooled over the kept conditions (the experiments that are there)."""
    if not roles_of(trials):
        return Score("ood_accuracy", None, SILENT if len(trials) else "no trials")
    mine = trials.where(kept(trials))
    draws = [_accuracy(role, mine.of(role)) for role in roles_of(mine)]
    if not draws:
        return Score("ood_accuracy", None, "no trial of a condition that enters the average", excluded=len(trials))
    mean = np.mean(draws, axis=0)
    low, high = interval(mean) or (None, None)
    flags = (*counted(len(draws)), *regenerated(mine))
    return Score(
        "ood_accuracy",
        float(mean[0]),
        low=low,
        high=high,
        method=METHOD if low is not None else "",
        n=len(mine),
        excluded=len(trials) - len(mine),
        flags=flags,
    )


def _accuracy(role: str, trials: Trials) -> Floats:
    """[1 + B]: accuracy over the trials of one experiment, images drawn within conditions."""
    clusters = shared_exemplars(trials, trials["stimulus"], elsewhere=True)
    return accuracy_draws(role, correct(trials), trials["condition"], clusters)


def _experiment(experiment: Experiment, trials: Trials) -> Iterator[Score]:
    metric, flags = _METRICS[accuracy_name(experiment.role)], regenerated(trials)
    yield ratio_score(metric, trials, flags=flags)
    names = np.unique(trials["condition"]).tolist()
    for name in names:
        mine = trials.where(trials["condition"] == name)
        if name:
            outside = () if name in experiment.kept else ("not in the averages",)
            plain = replace(metric, ratio=plain_accuracy)
            yield ratio_score(plain, mine, condition=name, flags=(*flags, *outside))
        yield from _answers(experiment.role, name, mine)
    if experiment.scale:
        yield _threshold(experiment, trials, flags)


def _answers(role: str, condition: str, trials: Trials) -> Iterator[Score]:
    """Entropy and largest share of the answers in one condition ("all" where there is one only)."""
    shares = response_shares(trials["response"])
    blank = Score(
        "response_entropy", None, SILENT, n=shares.total, excluded=shares.na, condition=condition or "all", role=role
    )
    if shares.largest is None:
        yield from (blank, replace(blank, metric="largest_share"))
        return
    name, share = shares.largest
    yield replace(blank, value=shares.entropy, reason="")
    yield replace(blank, metric="largest_share", value=share, reason="", flags=(f"largest: {name}",))


def _threshold(experiment: Experiment, trials: Trials, flags: tuple[str, ...]) -> Score:
    curve = fit_curve(experiment, trials)
    poor = ("the curve fits poorly",) if curve.poor else ()
    found = Score(
        "threshold", curve.threshold, curve.reason, n=len(trials), role=experiment.role, flags=(*flags, *poor)
    )
    if curve.threshold is None:
        return found
    if curve.low is None or curve.high is None:
        return replace(found, flags=(*found.flags, "interval open at the ends of the levels shown"))
    return replace(found, low=curve.low, high=curve.high, method="profile likelihood")
