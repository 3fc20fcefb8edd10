"""Does the network get the input that it was trained on? Its answers to the same images, normalised otherwise.

Normalisation belongs inside the network, once. Where a card states it though the module has it too, where a card lacks
it, or where the module wants 0 ... 255, an affine map of the pixels puts it right, and the network answers better.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: What the published networks were mostly normalised with (ImageNet's mean and standard deviation).
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
ONE_IN = 2  # images that are asked again, by their seeds


def readings() -> Mapping[str, Callable[[Tensor], Tensor]]:
    """What might have been meant -> pixels in [0,1] as the network should have got them then. The names' order is that
    of `otherwise`."""
    return {
        "normalised once more": lambda x: (x - _row(MEAN, x)) / _row(STD, x),
        "normalised once less": lambda x: x * _row(STD, x) + _row(MEAN, x),
        "scaled to [-1, 1] once more": lambda x: 2 * x - 1,
        "scaled to [-1, 1] once less": lambda x: (x + 1) / 2,
        "scaled to 0 ... 255 once more": lambda x: 255 * x,
        "scaled to 0 ... 255 once less": lambda x: x / 255,
    }


def otherwise(
    forward: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor, batch: int
) -> NDArray[np.bool_]:
    """[n, readings]: right answers to images [n, c, h, w] read otherwise."""
    columns = [
        torch.cat([forward(read(some)) for some in torch.split(images, batch)]).argmax(dim=1)
        == labels
        for read in readings().values()
    ]
    return torch.stack(columns, dim=1).cpu().numpy()


def asked(seeds: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """[n]: the images that are asked again; whether one is does not depend on the others."""
    return np.asarray(seeds % np.uint64(ONE_IN) == 0)


def _row(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device, dtype=like.dtype).reshape(1, -1, 1, 1)
