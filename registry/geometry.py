"""What reaches the network: resizing and cropping of images (uint8) and, in the same way, of their
masks.

Presentations: "whole": as it is, resized to the network's input only where it takes no other size;
"card": the card's own resizing and centre crop; "crop224": shorter side 256, centre crop 224
(the published corruption protocol; "crop224-bicubic": with that filter instead of bilinear),
resized to the network's input afterwards by `fit`, after any
transform.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from registry.cards import Interpolation, Preprocess

if TYPE_CHECKING:
    from torch import Tensor

Presentation = Literal["whole", "card", "crop224", "crop224-bicubic"]
Pixels = NDArray[np.uint8]
#: Bytes of an image or a mask, or the numbers of a graded map.
Plane = TypeVar("Plane", np.uint8, np.float32)

#: Presentations that end at 224 px, and the filter to the shorter side of 256 px before the crop.
CROPS_224: Mapping[Presentation, Interpolation] = {
    "crop224": "bilinear",
    "crop224-bicubic": "bicubic",
}
_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def _resized(
    pixels: NDArray[Plane], size: tuple[int, int], interpolation: Interpolation
) -> NDArray[Plane]:
    """Resize [h, w(, c)] to size (width, height); the filter is antialiased, as PIL's always is."""
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, _FILTERS[interpolation]))


def shorter_side(pixels: NDArray[Plane], side: int, interpolation: Interpolation) -> NDArray[Plane]:
    """Scale so that the shorter side is `side` pixels; the longer one is rounded down."""
    height, width = pixels.shape[:2]
    longer = int(side * max(height, width) / min(height, width))
    size = (side, longer) if width <= height else (longer, side)
    return _resized(pixels, size, interpolation)


def centre_crop(pixels: NDArray[Plane], side: int) -> NDArray[Plane]:
    """The square of `side` pixels in the middle; an odd margin is split as torchvision's CenterCrop
    splits it.
    """
    top = round((pixels.shape[0] - side) / 2.0)
    left = round((pixels.shape[1] - side) / 2.0)
    return pixels[top : top + side, left : left + side]


def _cropped(
    pixels: NDArray[Plane], resize: int, crop: int, interpolation: Interpolation
) -> NDArray[Plane]:
    return centre_crop(shorter_side(pixels, resize, interpolation), crop)


def longer_side(pixels: NDArray[Plane], side: int, interpolation: Interpolation) -> NDArray[Plane]:
    """Scale so that the longer side is `side` pixels; the shorter one is rounded."""
    height, width = pixels.shape[:2]
    ratio = max(height, width) / side
    return _resized(pixels, (round(width / ratio), round(height / ratio)), interpolation)


def _padded(pixels: NDArray[Plane], side: int, fill: tuple[int, int, int]) -> NDArray[Plane]:
    """At least `side` pixels each way, the image in the middle; an odd rest goes to the right and below. Planes
    without channels are filled with 0.
    """
    lacking = [max(side - length, 0) for length in pixels.shape[:2]]
    if not any(lacking):
        return pixels
    height, width = (n + more for n, more in zip(pixels.shape[:2], lacking, strict=True))
    whole = np.zeros((height, width, *pixels.shape[2:]), pixels.dtype)
    if pixels.ndim == 3:
        whole[:] = fill
    top, left = (more // 2 for more in lacking)
    whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return whole


def _as_card(
    pixels: NDArray[Plane], how: Preprocess, interpolation: Interpolation
) -> NDArray[Plane]:
    """An image, or what lies over it, by the card's own resizing and crop."""
    if how.resize_mode == "squash":
        square = _resized(pixels, (how.resize, how.resize), interpolation)
        return centre_crop(square, how.size)
    if how.resize_mode == "longest":
        scaled = longer_side(pixels, how.resize, interpolation)
        return centre_crop(_padded(scaled, how.size, how.fill), how.size)
    return _cropped(pixels, how.resize, how.size, interpolation)


def present(
    images: Sequence[Pixels], preprocess: Preprocess, presentation: Presentation
) -> list[Pixels]:
    """Bring images [h, w, 3] to one size by the rules of the presentation (see the module's first
    lines).

    Whole images of different sizes in one batch are all brought to the card's size: they cannot be
    stacked.
    """
    if presentation == "card":
        return [_as_card(image, preprocess, preprocess.interpolation) for image in images]
    if presentation in CROPS_224:
        return [_cropped(image, 256, 224, CROPS_224[presentation]) for image in images]
    square = (preprocess.size, preprocess.size)
    sizes = {image.shape[:2] for image in images}
    if len(sizes) == 1 and (not preprocess.fixed_size or sizes == {square}):
        return list(images)
    return [_resized(image, square, "bicubic") for image in images]


def present_mask(
    mask: NDArray[np.bool_], preprocess: Preprocess, presentation: Presentation
) -> NDArray[np.bool_]:
    """The mask [h, w] of an image as the network sees it: same geometry, nearest neighbour."""
    shown = _followed(mask.astype(np.uint8), preprocess, presentation, "nearest")
    return shown.astype(np.bool_)


def present_map(
    values: NDArray[np.float32], preprocess: Preprocess, presentation: Presentation
) -> NDArray[np.float32]:
    """A graded map [h, w] of an image as the network sees it: same geometry, bilinear whatever the
    card says, so that no value leaves the map's own range.
    """
    return _followed(values.astype(np.float32), preprocess, presentation, "bilinear")


def resized_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask [h, w] at another size (height, width), nearest neighbour."""
    return _resized(mask.astype(np.uint8), (size[1], size[0]), "nearest").astype(np.bool_)


def resized_map(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """A graded map [h, w] at another size (height, width), bilinear."""
    return _resized(values, (size[1], size[0]), "bilinear")


def _followed(
    plane: NDArray[Plane],
    preprocess: Preprocess,
    presentation: Presentation,
    interpolation: Interpolation,
) -> NDArray[Plane]:
    """What lies over an image, through the image's resize and crop."""
    square = (preprocess.size, preprocess.size)
    if presentation == "card":
        plane = _as_card(plane, preprocess, interpolation)
    elif presentation in CROPS_224:
        plane = _cropped(plane, 256, 224, interpolation)
    return _resized(plane, square, interpolation) if preprocess.fixed_size else plane


def fit(batch: Tensor, preprocess: Preprocess) -> Tensor:
    """Bring a batch [n, 3, h, w] in [0,1] to the network's input, where it takes one size only.

    Antialiased; the result lies on the grid of 256 grey levels, as if the resized image had been
    stored.
    """
    import torch
    from torch.nn import functional

    square = (preprocess.size, preprocess.size)
    if not preprocess.fixed_size or tuple(batch.shape[-2:]) == square:
        return batch
    if preprocess.interpolation == "nearest":
        return functional.interpolate(batch, square, mode="nearest")
    how = preprocess.interpolation
    resized = functional.interpolate(batch, square, mode=how, align_corners=False, antialias=True)
    return torch.round(resized.clamp(0, 1) * 255) / 255
