"""How a gradient is organised, whatever it lies on: pure functions that give one value per image, NaN where undefined.

gradients: [n, channels, h, w], signed, with respect to pixels in [0,1].
"""

import numpy as np
from scipy.fft import rfft2

from benchmark.contracts import Array
from suites.saliency.maps.localisation import Flags, Floats, defined

#: A gradient whose energy around its mean is below this share of its energy is constant but for rounding.
_CONSTANT = 1e-20
_HIGH = 0.25  # cycles per pixel


def saliency(gradients: Array) -> Array:
    """[n, h, w]: absolute values summed over channels; undefined gradients stay non-finite."""
    return np.asarray(np.abs(gradients).sum(axis=1))


def frequencies(gradients: Array) -> tuple[Floats, Floats]:
    """([n] power-weighted mean spatial frequency in cycles per pixel, white noise (sqrt 2 + asinh 1) / 6 = 0.3826; [n]
    share of the power above 0.25 cycles per pixel, white noise 1 - pi / 16 = 0.804).

    Power of the channels' spectra around their means, summed; rho = sqrt(fy^2 + fx^2): sum(rho P) / sum(P).
    """
    power, good = _power(gradients)
    rho = _radii(*gradients.shape[2:])
    total = power.sum(axis=(1, 2))
    found = (np.einsum("nhw,hw->n", power, weights) for weights in (rho, 1.0 * (rho > _HIGH)))
    centroid, high = (_where(good, moment, total) for moment in found)
    return centroid, high


def _power(gradients: Array) -> tuple[Floats, Flags]:
    """([n, h, w // 2 + 1] power summed over channels, mirrored columns counted twice; [n] whether there is any)."""
    flat = gradients.reshape(*gradients.shape[:2], -1).astype(np.float64)
    energy = _squares(flat)
    flat -= flat.mean(axis=2, keepdims=True)
    around = _squares(flat)
    good = np.isfinite(energy) & (around > _CONSTANT * energy)
    scale = np.sqrt(np.where(good, around, np.inf))
    unit = np.empty(flat.shape, np.float32)  # half the numbers of float64
    np.divide(flat, scale[:, None, None], out=unit, casting="same_kind")
    unit[~good] = 0
    spectrum = rfft2(unit.reshape(gradients.shape))
    power = (spectrum.real**2 + spectrum.imag**2).sum(axis=1, dtype=np.float64)
    return power * _mirrored(gradients.shape[3]), good


def total_variation(gradients: Array) -> Floats:
    """[n] (mean |vertical step| + mean |horizontal step|) / mean |gradient|; white noise 2 sqrt 2 = 2.828."""
    size = np.abs(gradients).mean(axis=(1, 2, 3), dtype=np.float64)
    steps = (np.abs(np.diff(gradients, axis=axis)) for axis in (2, 3))
    varied = sum(step.mean(axis=(1, 2, 3), dtype=np.float64) for step in steps)
    return _where(np.isfinite(size) & (size > 0), np.asarray(varied), size)


def gini(maps: Array) -> Floats:
    """[n] Gini coefficient of maps [n, h, w] >= 0: 0 even, towards 1 on few pixels (Chalasani et al. 2020).

    sum_k (2 k - p - 1) a_(k) / (p sum a), a_(1) <= a_(2) <= ... over the p pixels.
    """
    ordered = np.sort(maps.reshape(len(maps), -1), axis=1).astype(np.float64)
    pixels = ordered.shape[1]
    weights = 2 * np.arange(1, pixels + 1) - pixels - 1
    return _where(
        defined(maps), np.einsum("np,p->n", ordered, weights), pixels * ordered.sum(axis=1)
    )


def centred_cosine(images: Array, gradients: Array) -> Floats:
    """[n] |cos| between the image around its channel means and its gradient (after Etmann et al. 2019).

    |<x - mean_c, g>| / (|x - mean_c| |g|): centring takes out brightness, which untrained networks respond to.
    """
    shape = (*images.shape[:2], -1)
    x, g = images.reshape(shape).astype(np.float64), gradients.reshape(shape).astype(np.float64)
    x -= x.mean(axis=2, keepdims=True)
    lengths = np.sqrt(_squares(x)) * np.sqrt(_squares(g))
    good = np.isfinite(lengths) & (lengths > 0)
    return _where(good, np.abs(_products(x, g)), lengths)


def log_norm(gradients: Array) -> Floats:
    """[n] log10 of the gradient's Euclidean length. Not comparable between networks: a diagnostic."""
    lengths = np.sqrt(_squares(gradients.astype(np.float64)))
    good = np.isfinite(lengths) & (lengths > 0)
    return np.where(good, np.log10(np.where(good, lengths, 1.0)), np.nan)


def _squares(values: Floats) -> Floats:
    """[n] sums of squares."""
    return _products(values, values)


def _products(a: Floats, b: Floats) -> Floats:
    """[n] scalar products."""
    count = len(a)
    return np.asarray(np.einsum("np,np->n", a.reshape(count, -1), b.reshape(count, -1)))


def _radii(height: int, width: int) -> Floats:
    """[height, width // 2 + 1] radial frequencies of a half spectrum."""
    return np.asarray(np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]))


def _mirrored(width: int) -> Floats:
    """How often each column of a half spectrum stands in the whole one."""
    weights = np.full(width // 2 + 1, 2.0)
    weights[0] = 1.0
    if width % 2 == 0:
        weights[-1] = 1.0
    return weights


def _where(good: Array, num: Floats, den: Floats) -> Floats:
    out: Floats = np.full(num.shape, np.nan)
    np.divide(num, den, out=out, where=good)
    return out
