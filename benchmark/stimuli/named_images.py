"""Images that are known by tables of trials alone: a stimulus set of names and labels, without pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.contracts import Array, Stimuli
from benchmark.errors import StimuliError, TrialsError
from benchmark.stimuli.digests import set_digest, text_digest
from benchmark.stimuli.names import read_pair
from benchmark.stimuli.trials import TrialFile


def trial_stimuli(files: Sequence[TrialFile]) -> Stimuli:
    """The images of one experiment, known by name alone: the union over `files`, by category, then
    name.

    Labels: category; for cue-conflict also shape and texture. Its digest is of names and labels, so
    it never equals that of a set of files; `decode` raises StimuliError. Raises TrialsError where
    files disagree.
    """
    experiment = _one_experiment(files)
    category = _categories(files)
    ids = tuple(sorted(category, key=lambda name: (category[name], name)))
    items = tuple(text_digest(f"{experiment}/{name}") for name in ids)
    labels: dict[str, Array] = {"category": np.array([category[name] for name in ids])}
    if experiment == "cue-conflict":
        labels["shape"] = labels["category"]
        labels["texture"] = np.array([pair.texture for pair in map(read_pair, ids) if pair])
    return Stimuli(
        name=experiment,
        digest=set_digest(ids, items, labels),
        space="geirhos16",
        ids=ids,
        items=items,
        labels=labels,
        decode=NoImages(experiment),
        whole=len(ids),
        origin="trial tables",
    )


@dataclass(frozen=True)
class NoImages:
    """decode of a set that is known by tables of trials alone: raises."""

    experiment: str

    def __call__(self, index: int) -> Array:
        """Raises StimuliError."""
        raise StimuliError(
            f"the images of '{self.experiment}' are known by name only (image {index})."
        )


def _one_experiment(files: Sequence[TrialFile]) -> str:
    names = sorted({file.experiment for file in files})
    if len(names) != 1:
        raise TrialsError(
            f"expected the trials of one experiment, got {', '.join(names) or 'none'}."
        )
    return names[0]


def _categories(files: Sequence[TrialFile]) -> dict[str, str]:
    """Image -> category. Raises TrialsError where two trials disagree."""
    category: dict[str, str] = {}
    for file in files:
        pairs = zip(
            file.columns["stimulus"].tolist(), file.columns["category"].tolist(), strict=True
        )
        for name, value in pairs:
            if category.setdefault(name, value) != value:
                raise TrialsError(
                    f"{file.path}: '{name}' is of category '{value}' here and "
                    f"'{category[name]}' elsewhere."
                )
    return category
