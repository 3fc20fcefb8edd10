"""How an image might have been meant: maps of the pixels, one of which puts a wrong normalisation right.

Normalisation belongs inside the network, once. Where a card states it though the module has it too, where a card lacks
it, or where the module wants 0 ... 255, a network answers better to one of these. Needs no torch: the report has the
names from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

#: What the published networks were mostly normalised with (ImageNet's mean and standard deviation).
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def _row(values: tuple[float, ...], like: Tensor) -> Tensor:
    return like.new_tensor(values).reshape(1, -1, 1, 1)


#: What might have been meant -> pixels in [0,1] as the network should have got them then. The order is that of the
#: column `otherwise`.
READINGS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "normalised once more": lambda x: (x - _row(MEAN, x)) / _row(STD, x),
    "normalised once less": lambda x: x * _row(STD, x) + _row(MEAN, x),
    "scaled to [-1, 1] once more": lambda x: 2 * x - 1,
    "scaled to [-1, 1] once less": lambda x: (x + 1) / 2,
    "scaled to 0 ... 255 once more": lambda x: 255 * x,
    "scaled to 0 ... 255 once less": lambda x: x / 255,
}
