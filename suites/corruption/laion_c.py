"""LAION-C: six distortions at five intensities, 16 super-classes (Li et al. 2025; docs/suites/corruption.md)."""

from collections.abc import Mapping

import numpy as np

from benchmark.contracts import Array, Plan, Shelf, View
from benchmark.stimuli.image_names import NO_ANSWER
from benchmark.stimuli.roles import ROLE
from registry.labels import label_space, subset_groups
from suites.corruption.config import Folders
from suites.corruption.plan import plan_folders

NAME = "laion-c"


def plan_published(config: Folders, shelf: Shelf) -> Plan:
    """Return the parts of the folder; the photographs behind it are not published as they are."""
    folders = plan_folders(config, shelf)
    missing = {**folders.missing, ROLE: "the photographs of LAION-C as they are were not published"}
    return Plan(tuple(block for block in folders.blocks if block.role != ROLE), missing)


def super_classes() -> dict[str, tuple[str, ...]]:
    """Return super-class -> the WordNet ids of its classes."""
    classes = label_space("imagenet1k").classes
    return {name: tuple(classes[i] for i in outputs) for name, outputs in subset_groups(NAME).items()}


def observe(_config: Folders, view: View) -> Mapping[str, Array]:
    """Return columns [n]. `response` is the super-class with the largest mean probability over its classes, or the
    image's own label if that belongs to it. `probability` is that mean of the image's super-class."""
    groups, place = super_classes(), {name: at for at, name in enumerate(view.categories)}
    means = np.zeros((len(view.index), len(groups)), dtype=np.float32)
    number: dict[str, int] = {}
    for at, (group, wnids) in enumerate(groups.items()):
        number |= dict.fromkeys((group, *wnids), at)
        if columns := [place[name] for name in (group, *wnids) if name in place]:
            means[:, at] = view.probabilities[:, columns].mean(axis=1)
    labels = np.asarray(view.labels["category"])
    truth = np.array([number.get(label, -1) for label in labels.tolist()])
    answer = np.where(means.max(axis=1) > 0, means.argmax(axis=1), len(groups))
    named = np.array([*groups, NO_ANSWER])[answer]
    own = np.where(truth < 0, np.nan, means[np.arange(len(truth)), truth]).astype(np.float32)
    return {"response": np.where(answer == truth, labels, named), "probability": own}
