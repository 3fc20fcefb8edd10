"""Agreement of a network's gradient with what people clicked on (ClickMe; Linsley et al. 2019, Fel et al. 2022).

Processing and score follow the Harmonization benchmark (Fel et al. 2022): images whole at 224 pixels, the gradient of
the labelled class's logit, the strongest channel at each pixel, not blurred; human maps through 64 pixels and a blur;
Spearman's correlation over all pixels, as a share of how well people agree with one another.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmark.contracts import Array
from suites.saliency.maps.localisation import Floats, average_ranks

_SMALL, _TAPS, _SIGMA = 64, 10, 10.0


def human_map(stored: Array, size: tuple[int, ...]) -> Floats:
    """[h, w] as stored -> [*size]: to 64 x 64, blurred, to the network's input; all bilinear."""
    wide = torch.from_numpy(np.asarray(stored, dtype=np.float32))[None, None]
    before, after = (_TAPS - 1) // 2, _TAPS // 2
    padded = functional.pad(_bilinear(wide, (_SMALL, _SMALL)), (before, after, before, after))
    blurred = functional.conv2d(padded, torch.from_numpy(blur_kernel())[None, None])
    return np.asarray(_bilinear(blurred, size)[0, 0], dtype=np.float64)


@lru_cache(maxsize=1)
def blur_kernel() -> NDArray[np.float32]:
    """[10, 10] as published: an even number of taps, so it moves a map by half a pixel; nearly a box."""
    right = np.arange(_TAPS) - _TAPS // 2
    up = right[::-1]
    weights = np.exp(-(right[None, :] ** 2 + up[:, None] ** 2) / (2 * _SIGMA**2))
    return np.asarray(weights / weights.sum(), dtype=np.float32)


def logit(logits: Tensor, inside: Tensor) -> Tensor:
    """[n] the logit of the labelled class, the sum where a category has several: logits, inside [n, k]."""
    return logits.masked_fill(~inside, 0.0).sum(dim=1)


def strongest(gradients: Array) -> Array:
    """[n, c, h, w] -> [n, h, w]: the largest absolute value over channels."""
    return np.asarray(np.abs(gradients).max(axis=1))


def alignment(maps: Array, human: Array) -> Floats:
    """[n] Spearman's correlation of maps [n, h, w] with human maps; NaN where either is undefined or even."""
    first, second = (_centred(average_ranks(one)) for one in (maps, human))
    lengths = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    found: Floats = np.full(len(maps), np.nan)
    np.divide((first * second).sum(axis=1), lengths, out=found, where=lengths > 0)
    return found


def _centred(ranks: Floats) -> Floats:
    return np.asarray(ranks - ranks.mean(axis=1, keepdims=True))


def _bilinear(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Without antialiasing, pixel centres aligned: what TensorFlow's resize does."""
    return functional.interpolate(maps, list(size), mode="bilinear", align_corners=False)
