"""Answers of one observer that came in several files or imports: put together, and held against one another."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmark.contracts import Array
from benchmark.stack_columns import stacked
from benchmark.stimuli.catalogue import stimulus_id
from benchmark.stimuli.trials import MARGIN, TrialFile
from benchmark.store import Store, StoredObservation

KEPT = ("response", "session", "trial", "rt")
COLUMNS = ("stimulus", "category", *KEPT)


def joined(files: Sequence[TrialFile]) -> TrialFile:
    """One file of several: each image once, as it was first answered."""
    columns = stacked([file.columns for file in files])
    shown: dict[tuple[str, str], int] = {}
    pairs = zip(columns["condition"].tolist(), columns["stimulus"].tolist(), strict=True)
    for i, pair in enumerate(pairs):
        shown.setdefault(pair, i)
    first = list(shown.values())
    return replace(files[0], columns={name: values[first] for name, values in columns.items()})


def with_conditions(file: TrialFile) -> TrialFile:
    """One image under eight degradations is eight stimuli: "c05/n02134084_5274.png"."""
    shown = (file.columns[name].tolist() for name in ("condition", "stimulus"))
    names = [stimulus_id(condition, image) for condition, image in zip(*shown, strict=True)]
    return replace(file, columns={**file.columns, "stimulus": np.array(names)})


def answers_of(store: Store, observation: StoredObservation) -> Mapping[str, Array]:
    """What was imported: the columns COLUMNS, and margins where there are any."""
    trials = store.trials((observation.key,))
    return {name: trials[name] for name in (*COLUMNS, MARGIN) if name in trials.columns}


def within(part: Mapping[str, Array], whole: Mapping[str, Array]) -> bool:
    """Whether `whole` has every answer of `part`, and margins where that has them."""
    known = _pairs(whole)
    same = all(known.get(image) == answer for image, answer in _pairs(part).items())
    return same and (MARGIN not in part or MARGIN in whole)


def contradict(one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    """Whether an image has two answers."""
    known = _pairs(other)
    return any(known.get(image, answer) != answer for image, answer in _pairs(one).items())


def united(one: Mapping[str, Array], more: Mapping[str, Array]) -> dict[str, Array]:
    """The answers of `one`, then those that only `more` has."""
    new = ~np.isin(more["stimulus"], one["stimulus"])
    names = [*COLUMNS, *([MARGIN] if MARGIN in one or MARGIN in more else [])]
    parts = [one, {name: values[new] for name, values in more.items()}]
    whole = stacked([{name: part[name] for name in names if name in part} for part in parts])
    return {name: whole[name] for name in names}


def _pairs(columns: Mapping[str, Array]) -> dict[str, tuple[str, str]]:
    """Image -> category and answer."""
    names = ("stimulus", "category", "response")
    rows = zip(*(columns[name].tolist() for name in names), strict=True)
    return {image: (category, answer) for image, category, answer in rows}
