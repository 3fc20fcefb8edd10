"""The stored columns of each answer."""

import numpy as np

from benchmark.contracts import Array, View
from suites.corruption.calibration import certainty
from suites.corruption.config import CorruptionConfig, Folders


def observe(config: CorruptionConfig | Folders, view: View) -> dict[str, Array]:
    """Return columns [n]: `response`; `probability` of the image's category (NaN if the observer lacks it);
    `confidence` and `brier` from `certainty`; `top5`: the category is among the five best. `right16`: the answer among
    Geirhos' 16 categories is correct (-1: the class is in none). `of`: images of a block that may stop early."""
    probabilities = view.probabilities
    place = {name: at for at, name in enumerate(view.categories)}
    truth = np.array([place.get(name, -1) for name in view.labels["category"].tolist()], dtype=int)
    own = probabilities[np.arange(len(truth)), np.maximum(truth, 0)]
    # Fewer than five categories come before the right one; of equal ones the first comes first.
    earlier = np.arange(probabilities.shape[1]) < truth[:, None]
    before = (probabilities > own[:, None]) | ((probabilities == own[:, None]) & earlier)
    columns: dict[str, Array] = {
        "response": np.asarray(view.responses),
        "probability": np.where(truth < 0, np.float32(np.nan), own.astype(np.float32)),
        **certainty(probabilities, truth),
        "top5": (before.sum(axis=1) < 5) & (truth >= 0),
    }
    if view.block.stimuli.space == "imagenet1k" and len(view.categories) == 1000:
        # The decision of Geirhos et al. from the 1,000 probabilities: the largest mean over a category's classes.
        # Where all of them round to 0 there is none, and it is not right: the first of that tie is no answer.
        from registry.labels import geirhos_groups

        groups = list(geirhos_groups().values())
        means = np.stack([probabilities[:, list(group)].mean(axis=1) for group in groups], axis=1)
        of_class = np.full(probabilities.shape[1], -1)
        for number, group in enumerate(groups):
            of_class[list(group)] = number
        wanted = np.where(truth < 0, -1, of_class[truth])
        right = (means.argmax(axis=1) == wanted) & (means.max(axis=1) > 0)
        columns["right16"] = np.where(wanted < 0, -1, right).astype(np.int8)
    if isinstance(config, CorruptionConfig) and config.half_width is not None:
        columns["of"] = np.full(len(truth), len(view.block.stimuli), dtype=np.int32)
    return columns
