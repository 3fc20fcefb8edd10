"""What one attack at one epsilon did to each image. Every attack beyond PGD's own loop answers with it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Found:
    """Arrays [n], one entry per attacked image.

    broken: some point of the attack is answered wrongly; size: norm of that perturbation (NaN: none was found);
    loss, margin: cross entropy and margin at the last point judged; passes, forwards: gradient passes and plain
    passes that the image cost.
    """

    broken: NDArray[np.bool_]
    size: NDArray[np.float64]
    loss: NDArray[np.float64]
    margin: NDArray[np.float64]
    passes: NDArray[np.int64]
    forwards: NDArray[np.int64]


def nothing(n: int) -> Found:
    """Found of n images that have not been attacked yet; arrays to be filled in."""
    return Found(
        np.zeros(n, dtype=np.bool_),
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.zeros(n, dtype=np.int64),
        np.zeros(n, dtype=np.int64),
    )
