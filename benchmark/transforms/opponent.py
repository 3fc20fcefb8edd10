"""False (opponent) colour: the red-green and blue-yellow axes of a photograph turned round,
luminance kept.

Geirhos et al. 2018 after Brainard 1996: monitor light -> cone responses (LMS) -> opponent axes
(DKL), two axes negated, and back. The monitor's curve was measured by the authors (a table of 256
values, a file of theirs); without it a power law of exponent 2.2 stands in.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

#: rows L, M, S; columns the monitor's red, green, blue primaries at full light.
CONES = np.array(
    [
        [0.1619982647, 0.208049264, 0.0389347448],
        [0.0330275785, 0.2496504557, 0.0618343518],
        [0.0015524055, 0.0198861001, 0.1890224274],
    ]
)
#: rows luminance, L - M, S - luminance; columns L, M, S.
OPPONENT = np.array(
    [
        [9.27590805, 9.27590805, 0.0],
        [7.86421647, -9.33587662, 0.0],
        [-3.39709047, -3.39709047, 12.16230246],
    ]
)
WHITE = np.array([0.20449114, 0.17225619, 0.10523047])
EXPONENT = 2.2


def power_law() -> NDArray[np.float64]:
    """[256]: the stand-in for the authors' measured monitor curve."""
    return (np.arange(256) / 255.0) ** EXPONENT


def false_colour(images: torch.Tensor, curve: NDArray[np.float64]) -> torch.Tensor:
    """Opponent colours of [n, 3, H, W] in [0,1]; `curve` [256]: grey level -> light in [0,1],
    ascending."""
    table = torch.from_numpy(np.asarray(curve, dtype=np.float64)).to(images)
    light = table[(images * 255).round().long()]
    turn, white = _rotation()
    matrix, offset = torch.from_numpy(turn).to(images), torch.from_numpy(white).to(images)
    back = torch.einsum("ij,njhw->nihw", matrix, light) + offset[:, None, None]
    return _nearest(back.clamp(0, 1), table) / 255


def _rotation() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The whole chain on monitor light is affine: (matrix [3, 3], offset [3])."""
    flip = np.linalg.inv(OPPONENT) @ np.diag([1.0, -1.0, -1.0]) @ OPPONENT
    back = np.linalg.inv(CONES)
    return back @ flip @ CONES, back @ (WHITE - flip @ WHITE)


def _nearest(light: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Index of the table entry nearest to each value, the lower one in a tie."""
    above = torch.searchsorted(table, light.contiguous()).clamp_(1, len(table) - 1)
    below = above - 1
    return torch.where(light - table[below] <= table[above] - light, below, above).to(light.dtype)
