"""Which outputs of a network make up a category."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmark.contracts import Array, View
from benchmark.errors import LabelError, ModelFailure
from registry.labels import LABEL_SPACES, Grouping, decide, label_space

#: Largest difference from the view's own probabilities that counts as the same decision rule.
_SAME = 0.02


def membership(view: View) -> Tensor:
    """[categories, classes] bool on the device: which outputs stand for which category.

    A view tells the categories but not their outputs. So they are found by the number of outputs and confirmed by
    the view's probabilities; ModelFailure where none of the known label spaces fits.
    """
    logits = view.logits
    for grouping in _candidates(view, logits.shape[1]):
        found = decide(logits, grouping).cpu().numpy()
        if float(np.abs(found - view.probabilities).max(initial=0.0)) < _SAME:
            return outputs_of(grouping, logits.shape[1]).to(logits.device)
    raise ModelFailure(
        f"no known label space says which of its {logits.shape[1]} outputs make up the categories of "
        f"'{view.block.stimuli.space}': the gradient of a category cannot be taken"
    )


def target_rows(table: Tensor, categories: Sequence[str], names: Array) -> Tensor:
    """[n, classes] bool: the outputs of each named category. ModelFailure where a name is none of them."""
    place = {name: row for row, name in enumerate(categories)}
    unknown = sorted({str(name) for name in names} - place.keys())
    if unknown:
        raise ModelFailure(f"label '{unknown[0]}' is none of the {len(place)} categories")
    return table[torch.tensor([place[str(name)] for name in names], device=table.device)]


def _candidates(view: View, classes: int) -> Iterator[Grouping]:
    space, names = view.block.stimuli.space, view.categories
    if classes == len(names):
        yield Grouping(space, names, tuple((row,) for row in range(classes)))
    for name in LABEL_SPACES:
        try:
            known = label_space(name)
        except LabelError:
            continue
        if len(known.classes) == classes and space in known.groupings:
            yield known.groupings[space]


def outputs_of(grouping: Grouping, classes: int) -> Tensor:
    """[categories, classes] bool of a grouping."""
    table = torch.zeros(len(grouping.indices), classes, dtype=torch.bool)
    for row, members in enumerate(grouping.indices):
        table[row, list(members)] = True
    return table
