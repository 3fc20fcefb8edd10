"""Random numbers and a sine that are equal on every machine. Numpy promises the raw stream of a bit generator for ever
(but not what ``Generator`` makes of it). IEEE 754 fixes ``+ - * /``, ``sqrt`` and ``floor`` to the last bit (but not
``sin`` or ``exp``). Only these are used, as pixels are part of a stimulus's identity."""

from typing import Any

import numpy as np
from numpy.random import PCG64, SeedSequence
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]  # float32 everywhere; the stubs lose that in arithmetic


class Stream:
    """Uniform numbers in [0, 1) from a key of non-negative integers."""

    def __init__(self, *key: int) -> None:
        self._bits = PCG64(SeedSequence(key))

    def unit(self) -> float:
        """Return the next number in [0, 1)."""
        return (int(self._bits.random_raw()) >> 11) * 2.0**-53

    def between(self, low: float, high: float) -> float:
        """Return the next number, scaled to [low, high)."""
        return low + (high - low) * self.unit()

    def sign(self) -> float:
        """Return 1.0 or -1.0."""
        return 1.0 if self.unit() < 0.5 else -1.0

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.unit() < probability

    def pick(self, count: int) -> int:
        """Return an integer in [0, count)."""
        return int(self.unit() * count)

    def grid(self, side: int) -> Field:
        """Return a (side, side) float32 array in [0, 1]."""
        raw = np.asarray(self._bits.random_raw(side * side))
        return ((raw >> np.uint64(40)).astype(np.float32) / np.float32(2**24)).reshape(side, side)


def sine_field(turns: Field) -> Field:
    """Return sin(2 pi turns) to within 0.0011: two parabolas and one correction."""
    t = turns - np.floor(turns + 0.5)
    arc = t * (8.0 - 16.0 * np.abs(t))
    return np.asarray(arc * (0.775 + 0.225 * np.abs(arc)), np.float32)


def sine(turns: float) -> float:
    """Return sin(2 pi turns) of one number, to within 0.0011."""
    t = turns - (turns + 0.5) // 1.0
    arc = t * (8.0 - 16.0 * abs(t))
    return arc * (0.775 + 0.225 * abs(arc))


def cosine(turns: float) -> float:
    """Return cos(2 pi turns) of one number, to within 0.0011."""
    return sine(turns + 0.25)
