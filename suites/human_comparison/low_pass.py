"""Is a network similar to people, or is blur sufficient? (Wolff, Klein, Rusak, Wichmann & Brendel 2026, ICLR)
Experiment R blurred by 2 px is the role "R blur 2"; R itself is not blurred, and shared with the plain suite."""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmark.contracts import Against, Array, Plan, Score, Shelf, Transform, Trials
from benchmark.contracts.declarations import declared_suite
from benchmark.contracts.trials import Coded, Columns, as_coded
from benchmark.stats import ratio_score
from benchmark.stats.agreement import expected_consistency
from benchmark.stats.intervals import Floats
from benchmark.stats.ratios import shape_or_texture
from benchmark.stimuli.experiments import observe
from benchmark.stimuli.image_names import exemplars
from suites.human_comparison import bootstrap
from suites.human_comparison.against_people import Averages, people, scores_of
from suites.human_comparison.bootstrap import ConditionAnswers, ExperimentAnswers
from suites.human_comparison.metrics import AGREEMENT
from suites.human_comparison.metrics import METRICS as PLAIN
from suites.human_comparison.score import coverage_flag, ood_accuracy
from suites.human_comparison.shown_experiments import BY_ROLE, SET_ROLES, Observers
from suites.human_comparison.shown_experiments import plan as plain_plan

#: Standard deviations, px of an image that is 224 px wide. Scores at the first are also the network's.
SIGMAS = (0, 1, 2, 3, 4, 5)
WIDTH, VERSION = 224, 1
BLUR = " blur "
#: Points of consistency that one of squared accuracy difference costs, along the frontier; below 0: that it is worth.
PRICES = (100.0, 10.0, 3.0, 1.0, 0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -5.0, -10.0, -100.0)
KAPPA = "error_consistency"
NO_STEPS = "answered without blur alone: `bench run --suite human-comparison:low-pass` shows the ladder"


@dataclass(frozen=True)
class LowPassConfig:
    """The networks that a blurred network is held against."""

    # networks of the standard recipe; the first one with a run is the control of others
    standards: tuple[str, ...] = ("resnet50", "efficientnet-lite0", "world-standard-0")


def low_passed(before: Transform | None, sigma: int) -> Transform:
    """Return a Gaussian of `sigma` px of 224 (edges repeated) after `before`; nothing is rounded."""

    def change(images, seeds):  # type: ignore[no-untyped-def]  # tensors: a leaderboard is read without torch
        from benchmark.transforms.basics import blur

        shown = images if before is None else before.apply(images, seeds)
        return blur(shown, sigma * images.shape[-1] / WIDTH, "nearest").clamp(0, 1)

    after = [] if before is None else [before.name, dict(before.params)]
    return Transform(
        name=f"low-pass {sigma}", params={"sigma": sigma, "of": WIDTH, "after": after, "version": VERSION}, apply=change
    )


def plan(_config: LowPassConfig, shelf: Shelf) -> Plan:
    """Return every experiment of the plain suite at every step."""
    shown = plain_plan(None, shelf)
    blurred = (
        replace(block, role=f"{block.role}{BLUR}{sigma}", transform=low_passed(block.transform, sigma))
        for sigma in SIGMAS[1:]
        for block in shown.blocks
    )
    return Plan((*shown.blocks, *blurred), shown.missing)


def steps_of(trials: Trials) -> dict[int, Trials]:
    """Return the trials of each step that was shown, under the experiments' own roles, by sigma."""
    steps: dict[int, Trials] = {}
    for sigma in SIGMAS if len(trials) else ():
        ending, roles = f"{BLUR}{sigma}" if sigma else "", trials.coded("role")
        own = [role.removesuffix(ending) if role.endswith(ending) else "" for role in roles.words.tolist()]
        inside = np.array([role in BY_ROLE for role in own])[roles.codes]
        if inside.any():
            columns = {**as_coded(trials.columns), "role": Coded(np.array(own), roles.codes)}
            steps[sigma] = replace(trials, columns=Columns(columns)).where(inside)
    return steps


def score(_config: LowPassConfig, trials: Trials) -> Sequence[Score]:
    """Return the scores that need no people: OOD accuracy and shape bias at each step."""
    scores = [Score(metric=KAPPA, value=None, reason=bootstrap.NEEDS_PEOPLE)]
    for sigma, own in steps_of(trials).items():
        step, conflict = [ood_accuracy(own)], own.of("cue-conflict")
        if len(conflict) and "texture" in conflict.columns:
            step.append(ratio_score(_DECLARED.metric("shape_bias"), conflict))
        scores += [replace(each, condition=f"sigma {sigma}") for each in step] + (step if sigma == 0 else [])
    return scores


#: Observer -> metric -> [1 + B], a mean over experiments, the same resamples for all.
Ladders = Mapping[str, Mapping[str, Floats]]


def ladder_scores(config: LowPassConfig, trials: Trials, references: Observers) -> Sequence[Score]:
    """Return the agreement with people at each step, at the best one, and beyond a blurred standard network, and the
    attainable values. The best step is chosen on one half of the images and measured on the other, both ways."""
    others = {name: own for name, own in references.items() if name not in config.standards}
    standard = next((name for name in config.standards if name in references), "")
    own = {f"own {sigma}": step for sigma, step in steps_of(trials).items()}
    theirs = {f"standard {sigma}": s for sigma, s in steps_of(references[standard]).items()} if standard else {}
    whole = _answers({**own, **theirs}, others) if "own 0" in own else []
    if not whole:
        return []
    persons = sum(len(each.observers) - len(own) - len(theirs) for each in whole)
    blank = Score(metric="", value=None, n=sum(each.n for each in whole), flags=coverage_flag(len(whole)))

    def scored(draws: Mapping[str, Floats], condition: str = "") -> list[Score]:
        return [*scores_of(Averages(blank=replace(blank, condition=condition), values=draws, people=persons))]

    ladders = _ladders(whole, (*own, *theirs), others)
    plain = scored(ladders["own 0"])  # consistency first
    scores = [row for name in own for row in scored(ladders[name], name.replace("own", "sigma"))]
    scores += _frontier(whole, blank)
    parts = [_half(whole, part) for part in (0, 1)]
    if len(own) < 2 or not all(parts):
        reason = NO_STEPS if len(own) < 2 else "too few images for two halves of them"
        gone = (Score(metric=metric, value=None, reason=reason) for metric in ("blurred_consistency", "blur_gain"))
        return [*plain, *scores, *gone]
    halves = [_ladders(part, (*own, *theirs), others) for part in parts]
    best, sharp = _held_out(halves, own), _held_out(halves, ["own 0"])
    scores += scored({"blurred_consistency": best, "blur_gain": best - sharp})
    top, best_sigma = max(own, key=lambda name: ladders[name][KAPPA][0]), replace(blank, metric="best_sigma")
    reason = top.replace("own", ">=") + ": consistency is highest at the last step shown"
    known = replace(best_sigma, value=float(top.removeprefix("own ")))
    scores.append(replace(best_sigma, reason=reason) if top == list(own)[-1] else known)
    if len(theirs) < 2:
        reason = f"no other standard network ({', '.join(config.standards)}) answered the ladder on these images"
        return [*plain, *scores, Score(metric="beyond_blur", value=None, reason=reason)]
    (beyond,), against = scored({"beyond_blur": sharp - _held_out(halves, theirs)}), f"against {standard}"
    gained = bootstrap.interval(sharp - _held_out(halves, ["standard 0"])) or (0.0, 0.0)
    if gained[0] > 0 and (beyond.low or 0) <= 0:
        against = f"blur alone explains the gain over {standard}"
        plain[0] = replace(plain[0], flags=(*plain[0].flags, against))
    return [*plain, *scores, replace(beyond, flags=(*beyond.flags, against))]


def _answers(observers: Observers, others: Observers) -> list[ExperimentAnswers]:
    """Return the experiments answered by all of these observers and by people; observers precede people."""
    answers = []
    for role, experiment in BY_ROLE.items():
        shown = {name: own.of(role) for name, own in observers.items()}
        if all(map(len, shown.values())):
            first = shown.pop("own 0")
            each = bootstrap.answers_of(experiment, "own 0", first, {**others, **shown})
            if each.kept and set(observers) <= set(each.observers) and len(each.observers) > len(observers):
                answers.append(each)
    return answers


def _half(answers: Sequence[ExperimentAnswers], part: int) -> list[ExperimentAnswers]:
    """Return every other image, by a checksum of its name."""

    def cut(own: ConditionAnswers) -> ConditionAnswers:
        inside = np.array([zlib.crc32(f"half {name}".encode()) % 2 == part for name in own.stimuli.tolist()])
        clusters = {name: column[inside] for name, column in own.clusters.items()}
        return replace(own, right=own.right[inside], clusters=clusters, stimuli=own.stimuli[inside])

    cuts = (replace(each, conditions=tuple(map(cut, each.kept))) for each in answers)
    return [each for each in cuts if all(len(part.right) > 1 for part in each.conditions)]


def _ladders(answers: Sequence[ExperimentAnswers], names: Sequence[str], others: Observers) -> Ladders:
    """Return the agreement of each of `names` with people."""
    parts: dict[str, dict[str, list[Floats]]] = {name: {metric: [] for metric in AGREEMENT} for name in names}
    for each in answers:
        draws = bootstrap.draw(replace(each, conditions=each.kept))
        persons = [at for at, name in enumerate(each.observers) if name in others]
        crowd = bootstrap.draw_people(each.role, len(persons))
        means = {metric: draws.mean(metric) for metric in AGREEMENT}
        for name in names:
            at = each.observers.index(name)
            for metric, pairs in means.items():
                parts[name][metric].append(bootstrap.mean_of_people(pairs[:, at, persons], crowd))
    return {name: {metric: np.mean(own, axis=0) for metric, own in each.items()} for name, each in parts.items()}


def _held_out(halves: Sequence[Ladders], steps: Iterable[str]) -> Floats:
    """Return kappa on each half at the step that is best on the other, their mean."""
    values = []
    for chosen, taken in (halves, halves[::-1]):
        best = max(steps, key=lambda name: chosen[name][KAPPA][0])  # of equal ones the first: the least blur
        values.append(taken[best][KAPPA])
    return np.asarray(np.mean(values, axis=0))


def _frontier(answers: Sequence[ExperimentAnswers], blank: Score) -> Iterator[Score]:
    """Yield the highest error consistency attainable with these people, by how far accuracy is from people's."""
    curves = []
    for each in answers:
        persons = [at for at, name in enumerate(each.observers) if not name.startswith(("own ", "standard "))]
        curves.append([attainable_curve(part.right[:, persons]) for part in each.kept])
    known: set[tuple[float, float]] = set()
    for price in PRICES:
        means = []
        for conditions in curves:
            best = [(k - price * d).argmax() for d, k in conditions]
            means.append(np.mean([(d[at], k[at]) for at, (d, k) in zip(best, conditions, strict=True)], axis=0))
        known.add(tuple(np.mean(means, axis=0).tolist()))
    for at, point in enumerate(sorted(known)):
        start = replace(blank, condition=f"frontier {at}", method="exact, for these people's answers")
        for metric, value in zip(("attainable_difference", "attainable_consistency"), point, strict=True):
            yield replace(start, metric=metric, value=value)


def attainable_curve(right: Array) -> tuple[Floats, Floats]:
    """Return for 0..n right answers the difference from people right [n, k], and the highest kappa, [n + 1]."""
    n = len(right)
    q, p = right.mean(axis=0), np.arange(n + 1) / n
    chance = expected_consistency(p[:, None], q[None, :])
    room = np.where(chance < 1, 1 - chance, 1.0)
    gains = (2.0 * right - 1) @ (1 / room).T / n / len(q)  # [n, n + 1]: what being right on an image adds
    ordered = np.vstack([np.zeros(n + 1), np.cumsum(-np.sort(-gains, axis=0), axis=0)])
    base = ((1 - q - chance) / room + (chance == 1)).mean(axis=1)  # kappa is 1 where both are always right, or wrong
    return ((p[:, None] - q) ** 2).mean(axis=1), base + np.diagonal(ordered)


_PLAIN = {metric.name: metric for metric in PLAIN}
_HIDDEN = (*AGREEMENT[1:], "ood_accuracy", "human_error_consistency")
_DECLARED = declared_suite(
    "suites.human_comparison", "low_pass", {"shape_bias": shape_or_texture}, clusters=exemplars,
    plan=plan, observe=observe, score=score,
    config=LowPassConfig(), experiments=SET_ROLES,
    against=Against(scores=ladder_scores, group=lambda _config, trials: people(None, trials)),
)  # fmt: skip
_SHARED = (replace(_PLAIN[name], parts="", shown=False) for name in _HIDDEN)
METRICS = (replace(_PLAIN[KAPPA], parts=""), *_DECLARED.metrics, *_SHARED)
LOW_PASS = replace(_DECLARED, metrics=METRICS)
