"""Label spaces: what a network's outputs stand for, and in which decision spaces it can answer.

A decision groups outputs: softmax over *all* classes, then the arithmetic mean of the probabilities
at each category's outputs (Geirhos et al. 2019; never the sum: dog has 109 outputs and airplane
one). Importing this module does not import torch.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from registry.errors import unknown_name
from registry.mapping import read_mapping
from registry.spaces import (
    LABEL_SPACES,
    Grouping,
    LabelSpace,
    built_in_space,
    by_classes,
    geirhos_groups,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = [
    "LABEL_SPACES",
    "Grouping",
    "LabelSpace",
    "by_classes",
    "decide",
    "geirhos_groups",
    "label_space",
]


def label_space(name_or_path: str) -> LabelSpace:
    """A built-in label space by name, or a user's from a mapping file (see `registry.mapping`).

    Raises UnknownName for a name that is neither, LabelError for a file that cannot be used.
    """
    if name_or_path in LABEL_SPACES:
        return built_in_space(name_or_path)
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return read_mapping(path)
    hint = "A mapping file's path (.yaml) works too."
    raise unknown_name("label space", name_or_path, LABEL_SPACES, hint)


@lru_cache(maxsize=16)
def _members(grouping: Grouping, device: torch.device) -> tuple[Tensor, ...]:
    """Index tensors on `device`: one where every category has one output, else one per category."""
    import torch

    flat = tuple(members[0] for members in grouping.indices)
    lists = (flat,) if grouping.singles else grouping.indices
    with torch.inference_mode(mode=False):  # else autograd could not use them later
        return tuple(torch.tensor(members, device=device) for members in lists)


def decide(logits: Tensor, grouping: Grouping) -> Tensor:
    """Probabilities per category: logits [n, classes] -> float32 [n, categories], same device.

    Softmax in float64 (float32 on devices without it) over all classes, then the mean at each
    category's outputs. The answer is `argmax` over the categories, which takes the *first* of exact
    ties; the reference toolbox takes the alphabetically last. Differentiable.
    """
    import torch

    wide = torch.float32 if logits.device.type == "mps" else torch.float64
    probabilities = torch.softmax(logits.to(wide), dim=1)
    indices = _members(grouping, logits.device)
    if grouping.singles:
        return probabilities.index_select(1, indices[0]).float()
    columns = [probabilities.index_select(1, members).mean(dim=1) for members in indices]
    return torch.stack(columns, dim=1).float()
