"""Eidolons: "partially coherent disarray" of Koenderink et al. 2017 as the human experiments used
it.

A grey image is cut into band-pass layers; each layer is looked up at places that blurred noise
displaces. The noise of one layer either is its own (incoherent, one grain) or contains that of all
coarser ones (coherent). The toolbox's quirks are kept: blurring wraps flattened rows, and the noise
is `c - mean/sd`; so is the fix to its mixing of the two kinds. The plane and its scales follow the
toolbox's rule for the image's size, with one difference: 224 px images are the centre of the
experiments' 256 px ones and keep that size's scales and pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from benchmark.transforms.streams import Draws


@dataclass(frozen=True)
class Plane:
    """The padded square plane of an image of `size` px: `side` px, and blur scales in px."""

    size: int
    side: int
    scales: tuple[float, ...]
    widest: float

    @property
    def margin(self) -> int:
        """Px from the plane's edge to the image."""
        return (self.side - self.size) // 2


def plane_of(size: int) -> Plane:
    """The toolbox's plane for a square image: scales from 1/sqrt(2) px by factors sqrt(2) up to a
    quarter of it."""
    nominal = 1 << math.ceil(math.log2(size))
    widest = nominal / 4
    count = math.ceil(2 * math.log2(widest))
    scales = tuple(2 ** (-0.5 + k / 2) for k in range(count))
    return Plane(size, 1 << math.ceil(math.log2(1.5 * nominal)), scales, widest)


def luma(levels: torch.Tensor) -> torch.Tensor:
    """[n, H, W]: PIL's integer grey of whole RGB levels 0..255 [n, 3, H, W]."""
    red, green, blue = levels.unbind(1)
    return ((red * 19595 + green * 38470 + blue * 7471 + 32768) / 65536).floor()


def disarray(
    levels: torch.Tensor, reach: float, coherence: float, grain: float, draws: Draws
) -> torch.Tensor:
    """Eidolons [n, 1, H, W] in grey levels 0..255 of whole RGB levels [n, 3, H, W], H = W.

    reach, grain: px; coherence in [0, 1]. Draws in the toolbox's order; a kind of weight 0 draws
    nothing.
    """
    plane = plane_of(levels.shape[-1])
    pad = plane.margin
    fiducial = _mirrored(luma(levels), pad)
    layers = _layers(fiducial, plane)
    fields = _displacements(plane, coherence, grain, draws, levels)
    rows = torch.arange(plane.side, device=levels.device)
    down = _places(fields[0], reach, rows[:, None])
    across = _places(fields[1], reach, rows[None, :])
    moved = layers.flatten(-2).gather(-1, (down * plane.side + across).flatten(-2))
    whole = moved.sum(dim=1).reshape(-1, 1, plane.side, plane.side)
    return whole[..., pad : pad + plane.size, pad : pad + plane.size].clamp(0, 255).floor()


def _places(field: torch.Tensor, reach: float, origin: torch.Tensor) -> torch.Tensor:
    return (field * reach + origin).clamp_(0, field.shape[-1] - 1).long()


def _mirrored(grey: torch.Tensor, pad: int) -> torch.Tensor:
    """Mirror `pad` px (at most the image's side) on every side, the edge repeated."""
    wide = torch.cat([grey[..., :pad].flip(-1), grey, grey[..., -pad:].flip(-1)], dim=-1)
    return torch.cat([wide[..., :pad, :].flip(-2), wide, wide[..., -pad:, :].flip(-2)], dim=-2)


def _layers(fiducial: torch.Tensor, plane: Plane) -> torch.Tensor:
    """[n, scales, S, S]: differences of neighbouring blurs; the last is the coarsest blur."""
    blurred = _blur(fiducial[:, None].expand(-1, len(plane.scales), -1, -1), plane.scales)
    return torch.cat([blurred[:, :-1] - blurred[:, 1:], blurred[:, -1:]], dim=1)


def _displacements(
    plane: Plane, coherence: float, grain: float, draws: Draws, like: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column displacements [n, scales, S, S] for a reach of 1."""
    shape = (len(plane.scales), plane.side, plane.side)
    down, across = like.new_zeros(()), like.new_zeros(())
    if coherence > 0:
        down, across = (
            coherence * _coherent(draws.normal(*shape).to(like), plane) for _ in range(2)
        )
    if coherence < 1:
        noise = draws.normal(shape[0], 2, *shape[1:]).to(like)
        down = down + (1 - coherence) * _noise(noise[:, :, 0], (grain,))
        across = across + (1 - coherence) * _noise(noise[:, :, 1], (grain,))
    return down, across


def _coherent(normals: torch.Tensor, plane: Plane) -> torch.Tensor:
    """Noise of layer k: the sum over all scales from k upwards, each weighted by its scale."""
    weights = torch.tensor(plane.scales, dtype=normals.dtype, device=normals.device) / plane.widest
    scaled = _noise(normals, plane.scales) * weights[:, None, None]
    return scaled.flip(1).cumsum(1).flip(1)


def _noise(normals: torch.Tensor, scales: tuple[float, ...]) -> torch.Tensor:
    """Blurred noise; `normals` [n, planes, S, S]; one scale per plane, or one for all (px)."""
    peak = normals.abs().amax(dim=(-2, -1), keepdim=True)
    blurred = _blur((127.5 * normals / peak).clamp_(-127, 127), scales)
    mean = blurred.mean(dim=(-2, -1), keepdim=True)
    spread = torch.linalg.vector_norm(blurred - mean, dim=(-2, -1), keepdim=True)
    return blurred.sub_(mean / spread * blurred.shape[-1])  # not (c - mean) / sd, as published


def _blur(planes: torch.Tensor, scales: tuple[float, ...]) -> torch.Tensor:
    """Circular convolution of each flattened plane with a sampled Gaussian."""
    side = planes.shape[-1]
    kernels = torch.stack([_kernel(side, scale) for scale in scales])
    kernels = kernels.to(
        planes.device, torch.complex128 if planes.dtype == torch.float64 else torch.complex64
    )
    spectrum = torch.fft.rfft(planes.flatten(-2)) * kernels
    blurred: torch.Tensor = torch.fft.irfft(spectrum, n=side * side).reshape(planes.shape)
    return blurred


@lru_cache(maxsize=32)
def _kernel(side: int, scale: float) -> torch.Tensor:
    """Spectrum of the flattened Gaussian of `scale` px, not normalised on the grid."""
    steps = np.concatenate([np.arange(side // 2 + 1), np.arange(side // 2 - side + 1, 0)])
    line = np.exp(-(steps**2) / (2.0 * scale**2)) / (np.sqrt(2 * np.pi) * scale)
    flat = torch.from_numpy((line[:, None] * line[None, :]).reshape(-1))
    spectrum: torch.Tensor = torch.fft.rfft(flat)
    return spectrum
