"""Other pictures of ImageNet's classes (ImageNet-A, -R, -Sketch, -V2, ObjectNet) beside the validation images of these
classes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmark.contracts import Array, Block, Metric, Plan, Ratio, Score, Shelf, Suite, Trials, View
from benchmark.contracts.declarations import package_data
from benchmark.failures import MissingStimuli
from benchmark.stats.ratios import share
from benchmark.stimuli.image_names import NO_ANSWER
from benchmark.stimuli.roles import ROLE
from registry.labels import label_space, subset_groups
from suites.corruption.calibration import calibration_metrics, certainty
from suites.corruption.config import Folders, NaturalSet
from suites.corruption.observe import observe as kept
from suites.corruption.plan import of_classes
from suites.corruption.stylised import score_each_set


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
    """Return the suite's own columns and, [n] each, `among` and `of_all`: whether the most probable output is one of
    the image's class, among the outputs of the set's classes and among all. `response` is the answer by the rule of the
    set's authors, the image's category if correct. `confidence`, `probability` and `brier` are of the set's classes by
    that rule."""
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


NATURAL = {
    role: Suite(
        name=f"corruption:{role}",
        version=2,
        summary=f"Accuracy on {own['title']}",
        needs="decisions",
        metrics=_metrics(config),
        plan=plan,
        observe=observe,
        score=score,
        config=config,
        controls={"imagenet-a": None},
        spaces=("imagenet1k",),
        questions={"corruption": f"does robustness to corruptions carry over to {own['title'].partition(':')[0]}?"},
    )
    for role, own in package_data("suites.corruption", "natural").items()
    for config in [NaturalSet(role=role, rule=own["rule"], classes=own.get("classes", 1000))]
}
