"""Random numbers per image: a draw follows from the image's seed, a label and its place in line.

A counter is hashed on the images' device with 32-bit integer arithmetic, which is the same
everywhere, so numbers do not depend on batch size, order, worker or device. Uniforms are exact on
every device; normals go through the inverse error function and agree to a few float32 steps. Two
rounds of a bijective 32-bit mixer (xor-shift and multiply, constants of the hash-prospector
project's public-domain search) with a 64-bit key per draw.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.transforms.poisson import invert

_MULTIPLIERS = (0x21F0AAAD, 0x735A2D97)
_SQRT2 = math.sqrt(2.0)


class Draws(Protocol):
    """Where a transform gets its random numbers: a `Streams`, or given arrays in a test."""

    def uniform(self, *shape: int) -> torch.Tensor:
        """[n, *shape] in [0, 1)."""

    def uniform_and_coin(self, *shape: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The same, and fair coins [n, *shape] bool."""

    def normal(self, *shape: int) -> torch.Tensor:
        """[n, *shape], mean 0, variance 1."""

    def poisson(self, levels: torch.Tensor, peak: float) -> torch.Tensor:
        """Counts, float32; `levels` [n, ...]: whole numbers 0..255; means: levels / 255 * peak."""


class Streams:
    """Counter-based random numbers, one independent stream per image.

    seeds: uint64 [n]; label: what the numbers are for, e.g. "gaussian_noise/3" (other labels, other
    numbers).
    """

    def __init__(self, seeds: NDArray[np.uint64], label: str, device: torch.device) -> None:
        name = np.uint64(int.from_bytes(blake2b(label.encode(), digest_size=8).digest(), "little"))
        self._keys = splitmix64(np.asarray(seeds, dtype=np.uint64) ^ name)
        self._device = device
        self._calls = 0

    def bits(self, *shape: int) -> torch.Tensor:
        """Int32 [n, *shape]: 32 random bits each. Every call is the next in line."""
        with np.errstate(over="ignore"):
            keys = splitmix64(self._keys + np.uint64(self._calls) * np.uint64(0x9E3779B97F4A7C15))
        self._calls += 1
        halves = torch.from_numpy(keys.view(np.int32).reshape(-1, 2).copy()).to(self._device)
        size = math.prod(shape)
        counter = torch.arange(size, dtype=torch.int32, device=self._device)
        if self._device.type != "cpu":  # one launch for all images
            return _hash(counter + halves[:, :1], halves[:, 1:]).reshape(-1, *shape)
        out = torch.empty((len(keys), size), dtype=torch.int32)
        for row, (low, high) in zip(
            out, halves.tolist(), strict=True
        ):  # one image at a time stays in cache
            _hash(torch.add(counter, low, out=row), high)
        return out.reshape(-1, *shape)

    def uniform(self, *shape: int) -> torch.Tensor:
        """Float32 [n, *shape]: multiples of 2**-24 in [0, 1)."""
        return self._top(*shape).float().mul_(2.0**-24)

    def uniform_and_coin(self, *shape: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Uniforms as above; the coins are a bit of the same draw that they do not use."""
        bits = self.bits(*shape)
        coin = bits.bitwise_and(16).bool()
        return bits.bitwise_right_shift_(8).bitwise_and_(0xFFFFFF).float().mul_(2.0**-24), coin

    def normal(self, *shape: int) -> torch.Tensor:
        """Float32 [n, *shape]: standard normals by inversion (at most 5.4 in absolute value)."""
        signed = self.bits(*shape).bitwise_right_shift_(8).float()
        return signed.add_(0.5).mul_(2.0**-23).erfinv_().mul_(_SQRT2)  # exact up to erfinv

    def poisson(self, levels: torch.Tensor, peak: float) -> torch.Tensor:
        """Poisson counts by exact inversion of a 24-bit uniform."""
        return invert(levels, self._top(*levels.shape[1:]), peak)

    def _top(self, *shape: int) -> torch.Tensor:
        """The upper 24 bits, 0 to 2**24 - 1."""
        return self.bits(*shape).bitwise_right_shift_(8).bitwise_and_(0xFFFFFF)


def splitmix64(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One step of the SplitMix64 finaliser (Steele, Lea and Flood 2014) on each number."""
    with np.errstate(over="ignore"):
        z = state + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)


def _hash(counter: torch.Tensor, key: torch.Tensor | int) -> torch.Tensor:
    """Two mixing rounds in place, the key between them."""
    return _mix(_mix(counter).bitwise_xor_(key))


def _mix(x: torch.Tensor) -> torch.Tensor:
    first, second = _MULTIPLIERS
    x.bitwise_xor_((x >> 16).bitwise_and_(0xFFFF)).mul_(first)
    x.bitwise_xor_((x >> 15).bitwise_and_(0x1FFFF)).mul_(second)
    return x.bitwise_xor_((x >> 15).bitwise_and_(0x1FFFF))
