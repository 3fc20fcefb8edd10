"""The table of ImageNet-C's corruptions: functions, units and the published constants.

Its names are those of the list `imagenet_c.yaml`, which has their families and order and is read without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch

from benchmark.transforms import blur, digital, elastic, glass, motion, noise, weather
from benchmark.transforms.spatter import spatter

Function = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class Corruption:
    """One corruption.

    function: (whole levels [n, 3, H, W], *constants, draws if random) -> levels before storing;
    constants: per severity, in the order of `units`; random: whether it takes draws;
    dtype: what the function is given: float32; float64 where float32 would change stored levels;
    uint8 where PIL does the work;
    whole: gives whole levels 0..255, nothing left to clip or cut;
    together: how many images at a time on the processor (few stay in its cache).
    """

    function: Function = field(repr=False)
    units: tuple[str, ...]
    constants: tuple[tuple[Any, ...], ...]
    random: bool = False
    dtype: torch.dtype = torch.float32
    whole: bool = False
    together: int = 4


def _each(*values: float) -> tuple[tuple[float], ...]:
    return tuple((value,) for value in values)


_SNOW = (
    ((0.1, 0.3), 3, 0.5, (10, 4), 0.8),
    ((0.2, 0.3), 2, 0.5, (12, 4), 0.7),
    ((0.55, 0.3), 4, 0.9, (12, 8), 0.7),
    ((0.55, 0.3), 4.5, 0.85, (12, 8), 0.65),
    ((0.55, 0.3), 2.5, 0.85, (12, 12), 0.55),
)
_SPATTER = (
    ((0.65, 0.3), 4, 0.69, 0.6, False),
    ((0.65, 0.3), 3, 0.68, 0.6, False),
    ((0.65, 0.3), 2, 0.68, 0.5, False),
    ((0.65, 0.3), 1, 0.65, 1.5, True),
    ((0.67, 0.4), 1, 0.65, 1.5, True),
)
#: In units of 244 px, written for 224 by mistake and kept: strength, sigma, jitter.
_ELASTIC = (
    (2, 0.7, 0.1),
    (2, 0.08, 0.2),
    (0.05, 0.01, 0.02),
    (0.07, 0.01, 0.02),
    (0.12, 0.01, 0.02),
)

CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(
    {
        "gaussian_noise": Corruption(
            noise.gaussian_noise, ("sd",), _each(0.08, 0.12, 0.18, 0.26, 0.38), random=True
        ),
        "shot_noise": Corruption(
            noise.shot_noise,
            ("photons",),
            _each(60, 25, 12, 5, 3),
            random=True,
            dtype=torch.float64,
        ),
        "impulse_noise": Corruption(
            noise.impulse_noise,
            ("share",),
            _each(0.03, 0.06, 0.09, 0.17, 0.27),
            random=True,
            whole=True,
        ),
        "defocus_blur": Corruption(
            blur.defocus_blur,
            ("radius, px", "softness, px"),
            ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
            dtype=torch.float64,
            together=2,
        ),
        "glass_blur": Corruption(
            glass.glass_blur,
            ("sigma, px", "delta, px", "passes"),
            ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
            random=True,
        ),
        "motion_blur": Corruption(
            motion.motion_blur,
            ("radius, px", "sigma, px"),
            ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
            random=True,
            whole=True,
        ),
        "zoom_blur": Corruption(
            blur.zoom_blur,
            ("stop", "step"),
            ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
            together=16,
        ),
        "snow": Corruption(
            weather.snow,
            ("field mean and sd", "zoom", "threshold", "motion radius and sigma, px", "kept"),
            _SNOW,
            random=True,
        ),
        "frost": Corruption(
            weather.frost,
            ("image", "ice"),
            ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
            random=True,
            dtype=torch.float64,
        ),
        "fog": Corruption(
            weather.fog,
            ("strength", "decay"),
            ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
            random=True,
        ),
        "brightness": Corruption(digital.brightness, ("rise",), _each(0.1, 0.2, 0.3, 0.4, 0.5)),
        "contrast": Corruption(
            digital.contrast,
            ("share",),
            _each(0.4, 0.3, 0.2, 0.1, 0.05),
            dtype=torch.float64,
        ),
        "elastic_transform": Corruption(
            elastic.elastic_transform,
            ("strength, px", "sigma, px", "jitter, px"),
            tuple(tuple(244 * value for value in row) for row in _ELASTIC),
            random=True,
        ),
        "pixelate": Corruption(
            digital.pixelate,
            ("size",),
            _each(0.6, 0.5, 0.4, 0.3, 0.25),
            dtype=torch.uint8,
            together=64,
        ),
        "jpeg_compression": Corruption(
            digital.jpeg_compression,
            ("quality",),
            _each(25, 18, 15, 10, 7),
            dtype=torch.uint8,
            together=64,
        ),
        "speckle_noise": Corruption(
            noise.speckle_noise, ("sd",), _each(0.15, 0.2, 0.35, 0.45, 0.6), random=True
        ),
        "gaussian_blur": Corruption(blur.gaussian_blur, ("sigma, px",), _each(1, 2, 3, 4, 6)),
        "spatter": Corruption(
            spatter,
            ("field mean and sd", "smooth, px", "threshold", "strength", "mud"),
            _SPATTER,
            random=True,
        ),
        "saturate": Corruption(
            digital.saturate,
            ("factor", "rise"),
            ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
            dtype=torch.float64,
        ),
    }
)
