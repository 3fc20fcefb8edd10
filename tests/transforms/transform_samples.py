"""Images, seeds and conversions that the tests of this folder share."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

torch.set_num_threads(1)
Bytes = NDArray[np.uint8]


def synthetic(count, size, seed=0):
    """[count, size, size, 3]: smooth colour gradients under fine texture, one flat and one white image."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size
    out = []
    for _ in range(count):
        a, b, phase = rng.uniform(-3, 3, 3)
        waves = [np.sin(a * x * k + b * y * k + phase * k) for k in (1, 2, 3)]
        image = 128 + 60 * np.stack(waves, -1) + rng.normal(0, 10, (size, size, 3))
        out.append(np.clip(image, 0, 255).astype(np.uint8))
    if count > 2:
        out[1][:] = rng.integers(40, 220, 3).astype(np.uint8)
        out[2][:] = 255
    return np.stack(out)


def as_images(pixels):
    """NHWC uint8 -> NCHW float32 in [0,1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def as_bytes(images):
    """NCHW in [0,1] -> NHWC uint8; the values must lie on the 1/255 grid."""
    scaled = images.double() * 255
    assert float((scaled - scaled.round()).abs().max()) < 1e-3
    return scaled.round().byte().permute(0, 2, 3, 1).numpy()


def seeds(count, start=1):
    return np.arange(start, start + count, dtype=np.uint64) * np.uint64(0x123456789ABCDEF)


def data_folder(name):
    """A folder of real test data, or a skip that says what to set."""
    root = os.environ.get("BENCH_TEST_DATA")
    if root is None or not (Path(root) / name).is_dir():
        pytest.skip(f"set BENCH_TEST_DATA to a folder that has {name}/")
    return Path(root) / name


class Given:
    """Draws handed in by the caller, returned in the order given: for comparing with another implementation."""

    def __init__(self, arrays):
        self._arrays = iter(arrays)

    def uniform(self, *shape):
        """The next array."""
        return next(self._arrays).reshape(-1, *shape)

    normal = uniform_here = uniform

    def uniform_and_coin(self, *shape):
        """The next two arrays; the second, uniform, makes the coins."""
        return self.uniform(*shape), self.uniform(*shape) <= 0.5

    def poisson(self, levels, peak):
        """The next array, as counts."""
        return next(self._arrays).reshape(levels.shape)
