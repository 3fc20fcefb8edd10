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

#: The least probability that the categories share, of which float32 still holds the hundred-millionth part.
LEAST = 1e-30


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
    ties; the reference toolbox takes the alphabetically last. Where classes of no category take all
    but LEAST, the categories share LEAST in their own proportions: as they are they would all round
    to 0, and that tie is no answer. Differentiable.
    """
    import torch

    wide = logits.to(torch.float32 if logits.device.type == "mps" else torch.float64)
    parts = [wide.index_select(1, members) for members in _members(grouping, logits.device)]
    tops = [part.amax(dim=1, keepdim=True) for part in parts]
    top = torch.cat(tops, dim=1).amax(dim=1, keepdim=True).detach()
    top = top.clamp(min=torch.finfo(wide.dtype).min)
    share = (top - wide.logsumexp(dim=1, keepdim=True)).exp().clamp(min=LEAST)
    if grouping.singles:
        return ((parts[0] - top).exp() * share).float()
    columns = [(part - top).exp().mean(dim=1) for part in parts]
    return (torch.stack(columns, dim=1) * share).float()
