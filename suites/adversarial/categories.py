"""From a network's outputs to one logit per category."""

from collections.abc import Callable
from math import log

import torch
from torch import Tensor

Outputs = tuple[tuple[int, ...], ...]


def per_category(outputs: Outputs) -> Callable[[Tensor], Tensor]:
    """Logits [n, classes] -> [n, categories], where outputs[c] are the columns that answer for category c.

    A single column is taken as it is. Several stand for the log of their mean exponential: up to one constant per image
    the log of the mean probability, so that the largest is the decision, and cross entropy, margin and DLR are those
    of the decision rule.
    """
    if any(len(columns) > 1 for columns in outputs):
        return lambda z: torch.stack([_pooled(z, columns) for columns in outputs], dim=1)
    first = tuple(columns[0] for columns in outputs)
    start, stop = first[0], first[0] + len(first)
    if first == tuple(range(start, stop)):  # all of them, or all but a background class in front
        return lambda z: z[:, start:stop]
    return lambda z: z[:, torch.tensor(first, device=z.device)]


def _pooled(z: Tensor, columns: tuple[int, ...]) -> Tensor:
    members = z[:, torch.tensor(columns, device=z.device)]
    return members.logsumexp(dim=1) - log(len(columns))
