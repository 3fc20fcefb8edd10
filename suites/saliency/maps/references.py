"""Maps independent of a network: edges, darkness, the image's middle and noise, as references for each metric."""

import pickle
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmark.contracts import Array
from suites.saliency.maps.localisation import Floats, MaskContext, pixel_ranks, quotient

_AT_ONCE = 16


def sobel(images: Array) -> Floats:
    """Return [n, h, w] Sobel gradient magnitude of the luminance; the border is repeated."""
    grey = np.pad(_luminance(images), ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = grey[:, 2:] - grey[:, :-2]
    right = grey[:, :, 2:] - grey[:, :, :-2]
    dy = down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]
    dx = right[:, :-2] + 2 * right[:, 1:-1] + right[:, 2:]
    return np.asarray(np.hypot(dy, dx))


def darkness(images: Array) -> Floats:
    """Return [n, h, w] 1 - luminance. Published conflict images have dark objects on light ground."""
    return np.clip(1 - _luminance(images), 0.0, None)


def centre(images: Array) -> Floats:
    """Return [n, h, w] a Gaussian in the middle, standard deviation a quarter of each side, alike for all images."""
    places = ((np.arange(size) + 0.5) / size - 0.5 for size in images.shape[2:])
    bell = np.outer(*(np.exp(-0.5 * (at / 0.25) ** 2) for at in places))
    return np.repeat(bell[None], len(images), axis=0)


def noise(images: Array, items: Sequence[str]) -> Floats:
    """Return [n, h, w] uniform noise, drawn from the image's digest: the same for every observer and batch."""
    height, width = images.shape[2:]
    draws = [np.random.default_rng(crc32(item.encode())) for item in items]
    return np.stack([draw.random((height, width)) for draw in draws])


def reference_maps(images: Array, items: Sequence[str]) -> dict[str, Floats]:
    """Return name -> maps [n, h, w] of images [n, 3, h, w] in [0,1]; items: [n] the images' digests."""
    known = {"sobel": sobel(images), "darkness": darkness(images), "centre": centre(images)}
    return {**known, "noise": noise(images, items)}


def reference_columns(images: Array, context: MaskContext) -> dict[str, Floats]:
    """Return the areas of reference maps on images [n, 3, h, w] in [0,1], once in a process for equal pixels."""
    # sha256: processors have instructions for it, and pickle takes the arrays as they lie in memory.
    digest = sha256(pickle.dumps((np.ascontiguousarray(images), context)))
    columns = _remembered(digest.hexdigest())
    if not columns:
        parts = []
        for start in range(0, len(images), _AT_ONCE):
            here = context.cut(slice(start, start + _AT_ONCE))
            maps = reference_maps(images[start : start + _AT_ONCE], list(here.items))
            parts.append({column: v for name in maps for column, v in here.areas(maps[name], name).items()})
        columns |= {column: np.concatenate([part[column] for part in parts]) for column in parts[0]}
    return dict(columns)


@lru_cache(maxsize=256)
def _remembered(_digest: str) -> dict[str, Floats]:
    """Return the columns of a chunk, by the digest of all that they depend on; empty when first asked for."""
    return {}


def _luminance(images: Array) -> Floats:
    return np.asarray(np.einsum("nchw,c->nhw", images.astype(np.float64), [0.299, 0.587, 0.114]))  # ITU-R BT.601


# Agreement of a network's gradient with what people clicked on (ClickMe; Linsley et al. 2019), by the processing of the
# Harmonization benchmark (Fel et al. 2022): images whole at 224 pixels, the gradient of the labelled class's logit, the
# strongest channel at each pixel, not blurred; human maps through 64 pixels and a blur; Spearman's correlation.

_SMALL, _TAPS, _SIGMA = 64, 10, 10.0


def human_map(stored: Array, size: tuple[int, ...]) -> Floats:
    """Return [h, w] as stored -> [*size]: to 64 x 64, blurred, to the network's input; all bilinear."""
    wide = torch.from_numpy(np.asarray(stored, dtype=np.float32))[None, None]
    before, after = (_TAPS - 1) // 2, _TAPS // 2
    padded = functional.pad(_bilinear(wide, (_SMALL, _SMALL)), (before, after, before, after))
    blurred = functional.conv2d(padded, torch.from_numpy(blur_kernel())[None, None])
    return np.asarray(_bilinear(blurred, size)[0, 0], dtype=np.float64)


def blur_kernel() -> NDArray[np.float32]:
    """Return [10, 10] as published: an even number of taps, so it moves a map by half a pixel; nearly a box."""
    right = np.arange(_TAPS) - _TAPS // 2
    up = right[::-1]
    weights = np.exp(-(right[None, :] ** 2 + up[:, None] ** 2) / (2 * _SIGMA**2))
    return np.asarray(weights / weights.sum(), dtype=np.float32)


def logit(logits: Tensor, inside: Tensor) -> Tensor:
    """Return [n] the logit of the labelled class, the sum where a category has several: logits, inside [n, k]."""
    return logits.masked_fill(~inside, 0.0).sum(dim=1)


def strongest(gradients: Array) -> Array:
    """Return [n, c, h, w] -> [n, h, w]: the largest absolute value over channels."""
    return np.asarray(np.abs(gradients).max(axis=1))


def alignment(maps: Array, human: Array) -> Floats:
    """Return [n] Spearman's correlation of maps [n, h, w] with human maps; NaN where either is undefined or even."""
    ranks = (pixel_ranks(maps), pixel_ranks(human))
    first, second = (part - part.mean(axis=1, keepdims=True) for part in ranks)
    lengths = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return quotient((first * second).sum(axis=1), lengths, lengths > 0)


def _bilinear(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resize without antialiasing, pixel centres aligned, like TensorFlow's resize."""
    return functional.interpolate(maps, list(size), mode="bilinear", align_corners=False)
