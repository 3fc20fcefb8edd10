"""Other pictures of ImageNet's classes beside the validation images; stylised images beside their photographs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmark.contracts import Array, Block, Metric, Plan, Ratio, Score, Shelf, Trials, View
from benchmark.contracts.declarations import declared_suite, package_data
from benchmark.failures import MissingStimuli
from benchmark.stats import ratio_score
from benchmark.stats.ratios import correct, share
from benchmark.stimuli.image_names import NO_ANSWER
from benchmark.stimuli.roles import ROLE, sets_of
from registry.labels import label_space, subset_groups
from suites.corruption.calibration import calibration_metrics, certainty, set_calibration
from suites.corruption.cells import SEEN
from suites.corruption.config import CorruptionConfig, Folders, NaturalSet
from suites.corruption.observe import observe as kept
from suites.corruption.plan import of_classes, presentation


def plan(config: NaturalSet, shelf: Shelf) -> Plan:
    """Plan the set and, if installed, the validation images of its classes, all as a network's card states."""
    sets, missing = {config.role: shelf.find(config.role)}, {}
    wnids = label_space("imagenet1k").classes
    known = {wnids[output] for group in subset_groups(config.role).values() for output in group} or {*wnids}
    try:
        natural = shelf.find(ROLE)
        own = of_classes(natural, known, f"'{config.role}' here")
        sets[ROLE] = replace(own, whole=len(own) if len(natural) == natural.whole else natural.whole)
    except MissingStimuli as error:
        missing[ROLE] = str(error)
    return Plan(tuple(Block(stimuli=shown, presentation="card", role=role) for role, shown in sets.items()), missing)


def observe(config: NaturalSet, view: View) -> Mapping[str, Array]:
    """Return the suite's own columns and, [n] each, `among` and `of_all`: the most probable output is one of the
    image's class. It is taken among the outputs of the set's classes, or among all. `response` is the answer by the
    rule of the set's authors. `confidence`, `probability` and `brier` are of the set's classes by that rule."""
    n, wnids = len(view.categories), label_space("imagenet1k").classes
    groups = [[wnids[output] for output in outputs] for outputs in subset_groups(config.role).values()]
    number = {name: at for at, group in enumerate(groups or zip(view.categories, strict=True)) for name in group}
    owner = np.array([number.get(name, -1) for name in (*view.categories, NO_ANSWER)])  # class of each output
    place = {name: at for at, name in enumerate(view.categories)}
    truth, of_all = (
        np.array([place.get(name, n) for name in np.asarray(names).tolist()])
        for names in (view.labels["category"], view.responses)
    )
    some = np.where(owner[:n] >= 0, view.probabilities, 0)
    # Where all of them round to 0 there is none; what is best of all is so among some.
    among = np.where(owner[of_all] >= 0, of_all, np.where(some.max(axis=1) > 0, some.argmax(axis=1), n))
    best = {"among": among, "of_all": of_all}
    right = {rule: (owner[outputs] == owner[truth]) & (owner[truth] >= 0) for rule, outputs in best.items()}
    named = np.array([*view.categories, NO_ANSWER])[best[config.rule]]
    answer = np.where(right[config.rule], view.labels["category"], named)
    # Probabilities of classes: among the set's, or with all other outputs together as one more.
    classes = np.zeros((len(truth), max(number.values()) + 2))
    np.add.at(classes.T, owner[:n], view.probabilities.T)
    if config.rule == "among":
        classes[:, -1] = 0
        classes /= np.maximum(classes.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    rows, own = np.arange(len(truth)), owner[best[config.rule]]
    sure = {"confidence": classes[rows, own], "probability": classes[rows, owner[truth]]}
    columns = kept(Folders(role=config.role), view) | certainty(classes, owner[truth])
    columns |= {name: values.astype(np.float32) for name, values in sure.items()}
    return {**columns, "response": answer, **right}


def score(config: NaturalSet, trials: Trials) -> Sequence[Score]:
    """Return the share of right answers on the set, by both rules where they differ, and on the validation images."""
    return score_each_set(_metrics(config), trials)


def _metrics(config: NaturalSet) -> tuple[Metric, ...]:
    def right(rule: str) -> Ratio:
        return share(lambda trials: np.asarray(trials[rule] == 1, dtype=bool))

    rule, n, other = config.rule, config.classes, "of_all" if config.rule == "among" else "among"
    said = {
        "among": f"the best of the outputs of its {n} classes is right",
        "of_all": "the best of all outputs is right",
    }
    rows = [
        ("accuracy", "top-1", said[rule], config.role, rule),
        (f"accuracy_{other}", f"top-1 {other.replace('_', ' ')}", said[other], config.role, other),
        ("validation_accuracy", "validation", "as top-1, validation images of these classes", ROLE, rule),
    ]
    metrics = [
        Metric(name=name, title=title, definition=text, role=role, span=(0.0, 1.0), ratio=right(way))
        for name, title, text, role, way in rows
        if way == rule or n < 1000
    ]
    metrics[0] = replace(metrics[0], headline=True, chance=None if n == 113 else 1 / n)
    return (*metrics, *calibration_metrics(config.role, "by the rule of its authors"))


_NATURAL = declared_suite("suites.corruption", "natural_suite", {}, plan=plan, observe=observe, score=score)
NATURAL = {
    role: replace(
        _NATURAL,
        name=f"corruption:{role}",
        summary=f"Accuracy on {own['title']}",
        metrics=_metrics(config),
        config=config,
        questions={"corruption": f"does robustness to corruptions carry over to {own['title'].partition(':')[0]}?"},
    )
    for role, own in package_data("suites.corruption", "natural").items()
    for config in [NaturalSet(role=role, rule=own["rule"], classes=own.get("classes", 1000))]
}


# Stylised images beside the photographs that they were made of: a row of the table of Geirhos et al. 2019.

STYLISED_ROLE = "stylized-imagenet"


def plan_stylised(_config: CorruptionConfig, shelf: Shelf) -> Plan:
    """Return the stylised set, which must be there, and the photographs, which may be missing with a reason."""
    sets, missing = sets_of(shelf, [ROLE])
    sets = {STYLISED_ROLE: shelf.find(STYLISED_ROLE), **sets}
    blocks = (Block(stimuli=stimuli, presentation=presentation(stimuli), role=role) for role, stimuli in sets.items())
    return Plan(tuple(blocks), missing)


def score_stylised(_config: CorruptionConfig, trials: Trials) -> Sequence[Score]:
    """Return top-1 and top-5 accuracy on each of the two sets."""
    return score_each_set(STYLISED.metrics, trials, (SEEN,) if seen_stylised(trials.training, trials).any() else ())


def score_each_set(metrics: Sequence[Metric], trials: Trials, flags: tuple[str, ...] = ()) -> Sequence[Score]:
    """Return each metric on its own set, and calibration there; flags: of sets other than the photographs."""
    present = trials.coded("role").used if len(trials) else []
    scores = []
    for metric in metrics:
        if metric.ratio is None and metric.role not in trials.missing:
            continue
        if metric.role in trials.missing:
            scores.append(Score(metric=metric.name, value=None, reason=trials.missing[metric.role], role=metric.role))
        elif metric.role in present or not present:
            scores.append(ratio_score(metric, trials, flags=flags if metric.role != ROLE else ()))
    return [*scores, *(set_calibration(trials, metrics[0].role, flags) if present else ())]


def seen_stylised(tags: Sequence[str], trials: Trials) -> Array:
    """Return [n] bool: stylised trials of an observer that was trained on stylised images."""
    if not len(trials) or not {tag.strip().lower() for tag in tags} & {"stylised", "stylized"}:
        return np.zeros(len(trials), dtype=bool)
    return np.asarray(trials["role"] == STYLISED_ROLE, dtype=bool)


_TOP1, _TOP5 = share(correct), share(lambda trials: np.asarray(trials["top5"] == 1, dtype=bool))
_DECLARED = declared_suite(
    "suites.corruption", "stylised",
    {"stylised_accuracy": _TOP1, "stylised_top5": _TOP5, "natural_accuracy": _TOP1, "natural_top5": _TOP5},
    plan=plan_stylised, observe=kept, score=score_stylised, config=CorruptionConfig(), seen=seen_stylised,
)  # fmt: skip
STYLISED = replace(_DECLARED, metrics=(*_DECLARED.metrics, *calibration_metrics(STYLISED_ROLE, "stylised images")))
