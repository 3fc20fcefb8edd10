"""Spatter of ImageNet-C (an extra corruption): drops of water or mud on the lens.

Water needs OpenCV for its edges, distances and equalisation, whose exact rules are OpenCV's own; it
runs on the processor. Mud needs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.errors import StimuliError
from benchmark.transforms.matrices import blur
from benchmark.transforms.streams import Draws

WATER, MUD = (175.0, 238.0, 238.0), (63.0, 42.0, 20.0)


def spatter(
    images: torch.Tensor,
    field: tuple[float, float],
    smooth: float,
    threshold: float,
    strength: float,
    mud: bool,
    draws: Draws,
) -> torch.Tensor:
    """Cover parts of the image.

    field: mean and sd of a normal field, blurred by `smooth` px, whose values above `threshold` are
    liquid; strength: opacity of water, or the softness of mud's edge in px.
    """
    height, width = images.shape[-2:]
    normals = draws.normal(1, height, width).to(images)
    liquid = blur(normals * field[1] + field[0], smooth, "nearest")
    if mud:
        return _mud(images, (liquid > threshold).to(images), strength)
    liquid = torch.where(liquid < threshold, torch.zeros_like(liquid), liquid)
    cover = np.stack([_water(layer[0]) for layer in (liquid * 255).byte().cpu().numpy()])
    colour = torch.tensor(WATER).to(images)[:, None, None]
    return images + torch.from_numpy(cover[:, None]).to(images) * strength * colour


def _mud(images: torch.Tensor, covered: torch.Tensor, softness: float) -> torch.Tensor:
    cover = blur(covered, softness, "nearest")
    cover = torch.where(cover < 0.8, torch.zeros_like(cover), cover)
    colour = torch.tensor(MUD).to(images)[:, None, None]
    return images * (1 - cover) + cover * colour


def _water(liquid: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Opacity in [0, 1] of one layer [H, W]: thick near the drops' edges, lit from one side."""
    cv2 = _opencv()
    distance = cv2.distanceTransform(255 - cv2.Canny(liquid, 50, 150), cv2.DIST_L2, 5)
    near = cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8)
    relief = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    lit = cv2.filter2D(cv2.equalizeHist(near), cv2.CV_8U, relief)
    thick = liquid * cv2.blur(lit, (3, 3)).astype(np.float32)
    return np.asarray(thick / max(float(thick.max()), 1.0), dtype=np.float32)


def _opencv() -> Any:
    try:
        return import_module("cv2")
    except ImportError as error:
        raise StimuliError(
            "spatter at severities 1 to 3 needs OpenCV: pip install opencv-python-headless"
        ) from error
