"""LAION-C: six distortions at five intensities, 16 super-classes (Li et al. 2025; docs/suites/laion-c.md)."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from benchmark.contracts import Array, Plan, Shelf, View
from benchmark.stimuli.image_names import NO_ANSWER
from benchmark.stimuli.roles import ROLE, natural_images
from registry.labels import label_space, subset_groups
from suites.corruption.config import CorruptionConfig, Folders
from suites.corruption.plan import of_classes, plan, plan_folders

NAME = "laion-c"


def plan_published(config: Folders, shelf: Shelf) -> Plan:
    """Return the parts of the folder; the photographs behind it are not published as they are."""
    folders = plan_folders(config, shelf)
    missing = {**folders.missing, ROLE: "the photographs of LAION-C as they are were not published"}
    return Plan(tuple(block for block in folders.blocks if block.role != ROLE), missing)


def plan_generated(config: CorruptionConfig, shelf: Shelf) -> Plan:
    """Return natural images of the super-classes' classes as they are and distorted."""
    missing: dict[str, str] = {}
    stimuli, groups = natural_images(shelf, missing), super_classes()
    own = of_classes(stimuli, {*groups, *(wnid for wnids in groups.values() for wnid in wnids)}, "LAION-C")
    shown = plan(config, shelf, replace(own, whole=stimuli.whole))
    return Plan(shown.blocks, {**missing, **shown.missing})


def super_classes() -> dict[str, tuple[str, ...]]:
    """Return super-class -> the WordNet ids of its classes."""
    classes = label_space("imagenet1k").classes
    return {name: tuple(classes[i] for i in outputs) for name, outputs in subset_groups(NAME).items()}


def observe(_config: CorruptionConfig | Folders, view: View) -> Mapping[str, Array]:
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
