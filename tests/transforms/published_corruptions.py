"""The published corruptions: `imagecorruptions` where it is the same, else spelled out (zoom, snow, frost, elastic,
pixelate) with numpy, scipy and OpenCV. Images are HWC uint8; results are uint8, cut like the published ones.

`imagecorruptions` needs functions that its own dependencies have since removed: stand-ins for its import are below."""

import math
import sys
import types
from functools import cache
from unittest import mock

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage


@cache
def library():
    """The module `imagecorruptions.corruptions`, or a skip."""
    pytest.importorskip("cv2", reason="opencv-python-headless is a development dependency")
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is a development dependency")
    gaussian = filters.gaussian

    def with_old_argument(image, sigma, multichannel=None, **options):
        return gaussian(image, sigma, channel_axis=-1 if multichannel else None, **options)

    resources = types.ModuleType("pkg_resources")
    resources.resource_filename = lambda *parts: "/".join(parts)
    interpolation = types.ModuleType("scipy.ndimage.interpolation")
    interpolation.map_coordinates = ndimage.map_coordinates
    missing = {"pkg_resources": resources, "scipy.ndimage.interpolation": interpolation}
    try:
        with mock.patch.dict(sys.modules, missing):
            import imagecorruptions.corruptions as found
    except ImportError:
        pytest.skip("imagecorruptions is a development dependency")
    found.gaussian = with_old_argument
    if not hasattr(np, "float_"):
        np.float_ = np.float64
    return found


def cut(levels):
    return np.clip(levels, 0, 255).astype(np.uint8)


def by_library(name, image, severity):
    """What `imagecorruptions` makes of an image; numpy's global generator is the caller's to seed."""
    return cut(np.asarray(getattr(library(), name)(Image.fromarray(image), severity)))


def zoomed(image, factor):
    """The centre of [H, H, C] enlarged, trimmed on both sides."""
    side = image.shape[0]
    crop = math.ceil(side / factor)
    top = (side - crop) // 2
    wide = ndimage.zoom(image[top : top + crop, top : top + crop], (factor, factor, 1), order=1)
    trim = (wide.shape[0] - side) // 2
    return wide[trim : trim + side, trim : trim + side]


def zoom_blur(image, stop, step):
    x = (image / 255).astype(np.float32)
    factors = np.arange(1, stop, step)
    total = sum(zoomed(x, float(f)) for f in factors) + x
    return cut(np.clip(total / (len(factors) + 1), 0, 1) * 255)


def smeared(layer, radius, sigma, angle):
    """ImageMagick's motion blur of [H, W] or [H, W, C] uint8 on the 16-bit scale, tap by tap."""
    height, width = layer.shape[:2]
    rows, columns = np.arange(height), np.arange(width)
    weights = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    total = np.zeros(layer.shape)
    for i, weight in enumerate(weights):
        y = math.ceil(i * math.sin(math.radians(angle)) - 0.5)
        x = math.ceil(i * math.cos(math.radians(angle)) - 0.5)
        moved = layer[np.clip(rows + y, 0, height - 1)][:, np.clip(columns + x, 0, width - 1)]
        total += weight * moved * 257.0
    return (np.floor(total + 0.5) // 257).astype(np.uint8)


def snow(image, normals, angle, flakes, zoom, threshold, motion, kept):
    layer = zoomed((normals * flakes[1] + flakes[0])[..., None], zoom)[..., 0]
    layer = np.clip(np.where(layer < threshold, 0, layer), 0, 1)
    blown = smeared((layer * 255).astype(np.uint8), *motion, angle)[..., None] / 255
    x = (image / 255).astype(np.float32)
    grey = (x @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
    x = kept * x + (1 - kept) * np.maximum(x, grey * 1.5 + 0.5)
    return cut(np.clip(x + blown + np.rot90(blown, 2), 0, 1) * 255)


def frost(image, texture, top, left, share, ice):
    side = image.shape[0]
    return cut(share * image + ice * texture[top : top + side, left : left + side])


def elastic(image, corners, across, down, strength, sigma, jitter):
    """corners [3, 2], across and down [H, W]: uniform in [0, 1)."""
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is a development dependency")
    side = image.shape[0]
    x = np.asarray(image, np.float32) / 255
    c, t = side // 2, side // 3
    start = np.array([[c + t, c + t], [c + t, c - t], [c - t, c - t]], np.float32)
    moved = start + ((2 * corners - 1) * jitter).astype(np.float32)
    matrix = cv2.getAffineTransform(start, moved)
    x = cv2.warpAffine(x, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101)
    smooth = [ndimage.gaussian_filter(2 * u - 1, sigma, mode="reflect", truncate=3) for u in (across, down)]
    fields = [(field.astype(np.float64) * strength).astype(np.float32) for field in smooth]
    rows, columns = np.indices((side, side))
    places = [rows + fields[1], columns + fields[0]]
    planes = [ndimage.map_coordinates(x[..., k], places, order=1, mode="reflect") for k in range(3)]
    return cut(np.clip(np.stack(planes, -1), 0, 1) * 255)


def pixelate(image, share):
    side = image.shape[0]
    small = Image.fromarray(image).resize((int(side * share),) * 2, Image.Resampling.BOX)
    return np.asarray(small.resize((side, side), Image.Resampling.BOX))
