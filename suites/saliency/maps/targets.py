"""Which outputs of a network make up a category."""

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmark.contracts import Array
from benchmark.errors import ModelFailure


def membership(outputs: Sequence[Sequence[int]], classes: int) -> Tensor:
    """[categories, classes] bool: outputs[c] are the columns of the logits that stand for category c."""
    table = torch.zeros(len(outputs), classes, dtype=torch.bool)
    for row, columns in enumerate(outputs):
        table[row, list(columns)] = True
    return table


def target_rows(table: Tensor, categories: Sequence[str], names: Array) -> Tensor:
    """[n, classes] bool: the outputs of each named category. ModelFailure where a name is none of them."""
    place = {name: row for row, name in enumerate(categories)}
    unknown = sorted({str(name) for name in names} - place.keys())
    if unknown:
        raise ModelFailure(f"label '{unknown[0]}' is none of the {len(place)} categories")
    return table[torch.tensor([place[str(name)] for name in names], device=table.device)]
