"""Spatial frequencies: noise of one octave on grey images of low contrast (critical-band masking, Subramanian et al.
2023, arXiv:2309.13190), and the low frequencies of one image with the high ones of another."""

import math
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.contracts import Transform
from benchmark.transforms.basics import Seeds, Streams, blur, luminance, rounded

#: Names of conditions -> centre of the octave, cycles per image; "unmasked" has no noise.
CENTRES = {f"band-{i}": 1.75 * 2**i for i in range(7)}
UNMASKED = "unmasked"
CONTRAST, MEAN = 0.2, 0.449
VERSION = 1


def masked(name: str, level: float, *, whole: bool = False) -> Transform:
    """Reduce images to grey at a fifth of the contrast around a mean of .449 (`whole` leaves them unchanged). Then add
    noise of one octave, equal in the channels, with standard deviation `level` in every band."""
    params = {"level": level, "centre": CENTRES.get(name, 0.0), "whole": whole, "version": VERSION}
    return Transform(
        name=f"{name}/{level}", params=params, apply=partial(_masked, name=name, level=float(level), whole=whole)
    )


def _masked(images: torch.Tensor, seeds: Seeds, *, name: str, level: float, whole: bool) -> torch.Tensor:
    grey = luminance(images)
    shown = images if whole else (grey - grey.mean(dim=(-2, -1), keepdim=True)) * CONTRAST + MEAN
    if name != UNMASKED and len(images):
        # The label has only the band, so that the levels of a band scale one noise.
        white = Streams(seeds, name, images.device).normal(1, *grey.shape[-2:])
        # The frequencies within half an octave of the centre, [H, W] in the order of fft2
        centre = CENTRES[name]
        height, width = grey.shape[-2:]
        down, across = (torch.fft.fftfreq(side, 1 / side, device=grey.device) for side in (height, width))
        cycles = torch.hypot(down[:, None], across)
        octave = (cycles >= centre / math.sqrt(2)) & (cycles < centre * math.sqrt(2))
        noise = torch.fft.ifft2(torch.fft.fft2(white) * octave).real
        shown = shown + noise * (level / noise.square().mean(dim=(-2, -1), keepdim=True).sqrt())
    return rounded(shown).expand_as(images).clone()


def hybrid(low: NDArray[np.uint8], high: NDArray[np.uint8], cycles: float) -> NDArray[np.uint8]:
    """Combine the frequencies of `low` below `cycles` per image with those of `high` above, both HWC uint8 of one size
    (Oliva, Torralba and Schyns 2006). The Gaussian filters add up to 1 and cross at a half."""
    sigma = low.shape[0] * math.sqrt(2 * math.log(2)) / (2 * math.pi * cycles)
    first, second = (torch.tensor(x).permute(2, 0, 1).double() for x in (low, high))
    mixed = blur(first, sigma, "reflect") + second - blur(second, sigma, "reflect")
    pixels: NDArray[np.uint8] = mixed.round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()
    return pixels
