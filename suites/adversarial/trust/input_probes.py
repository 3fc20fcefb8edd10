"""Does the network get the input that it was trained on? Its answers to the same images, read otherwise."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suites.adversarial.trust.readings import READINGS

ONE_IN = 2  # images that are asked again, by their seeds


def otherwise(
    forward: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor, batch: int
) -> NDArray[np.bool_]:
    """[n, readings]: right answers to images [n, c, h, w] read otherwise."""
    columns = [
        torch.cat([forward(read(some)) for some in torch.split(images, batch)]).argmax(dim=1)
        == labels
        for read in READINGS.values()
    ]
    return torch.stack(columns, dim=1).cpu().numpy()


def asked(seeds: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """[n]: the images that are asked again; whether one is does not depend on the others."""
    return np.asarray(seeds % np.uint64(ONE_IN) == 0)
