"""Phase scrambling and power equalisation of grey images (Geirhos et al. 2018). Square images of
even side."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.transforms.streams import Draws

MEAN_LEVEL = 0.4545  # mean grey of the published amplitude spectrum
#: log amplitude over (1, ln f, ln^2 f, cos 2t, cos 4t, cos 4t ln f, cos 8t); f cycles per image, t
#: orientation.
FIT = (-3.2773, -0.9991, -0.0513, -0.0289, 0.2069, -0.0061, 0.0919)


def scramble(grey: torch.Tensor, width: float, draws: Draws) -> torch.Tensor:
    """Shift phases by up to +-`width` degrees; grey [n, 1, H, W].

    As published, the shifts of the second half of the spectrum are subtracted in the same order as
    those of the first are added, which is not the mirrored order that a real image needs; the real
    part is taken. So contrast falls with the width as well.
    """
    height, side = grey.shape[-2:]
    count = (height - 1) * (side - 1)
    shifts = (draws.uniform(count // 2).to(grey) - 0.5) * (2 * width / 180 * math.pi)
    still = torch.zeros((len(shifts), 1), dtype=shifts.dtype, device=shifts.device)
    block = torch.cat([shifts, still, -shifts], dim=1).reshape(-1, 1, height - 1, side - 1)
    turn = torch.nn.functional.pad(
        block, (1, 0, 1, 0)
    )  # the Nyquist row and column keep their phases
    spectrum = torch.fft.fftshift(torch.fft.fft2(grey), dim=(-2, -1))
    return _image(torch.polar(spectrum.abs(), spectrum.angle() + turn))


def equalise(grey: torch.Tensor, spectrum: NDArray[np.float64] | None) -> torch.Tensor:
    """Keep each phase, set each amplitude to `spectrum` [H, W] (centred, as `fftshift` puts it)."""
    amplitude = natural_amplitude(*grey.shape[-2:]) if spectrum is None else spectrum
    phase = torch.fft.fftshift(torch.fft.fft2(grey), dim=(-2, -1)).angle()
    return _image(
        torch.polar(torch.from_numpy(amplitude).to(grey).expand_as(phase).contiguous(), phase)
    )


def natural_amplitude(height: int, width: int) -> NDArray[np.float64]:
    """[H, W] centred: the mean amplitude of photographs, a formula fitted to 500 ImageNet crops of
    224 px.

    Stands in for the authors' own average over their stimuli, which is a file of theirs.
    """
    rows = np.arange(-(height // 2), height - height // 2)[:, None]
    columns = np.arange(-(width // 2), width - width // 2)[None, :]
    radius, turn = np.hypot(rows, columns), np.arctan2(rows, columns)
    log = np.log(np.where(radius == 0, 1.0, radius))
    four = np.cos(4 * turn)
    terms = (np.ones_like(log), log, log**2, np.cos(2 * turn), four, four * log, np.cos(8 * turn))
    amplitude = np.exp(sum(c * term for c, term in zip(FIT, terms, strict=True)))
    return np.asarray(
        np.where(radius == 0, MEAN_LEVEL, amplitude) * height * width, dtype=np.float64
    )


def _image(centred: torch.Tensor) -> torch.Tensor:
    image: torch.Tensor = torch.fft.ifft2(torch.fft.ifftshift(centred, dim=(-2, -1))).real
    return image
