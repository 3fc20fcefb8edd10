"""Input gradients of a category's log-odds, and SmoothGrad; the outputs that make up a category."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import rfft2
from torch import Tensor

from benchmark.contracts import Array
from benchmark.failures import ModelFailure
from suites.saliency.maps.localisation import Floats, defined, quotient

Forward = Callable[[Tensor], Tensor]
#: (logits [n, k], inside [n, k] bool) -> [n] what is differentiated.
Target = Callable[[Tensor, Tensor], Tensor]
#: Images per backward pass: larger batches are slower on a CPU, and need memory for every layer.
CPU_PART, GPU_PART = 16, 64


def log_odds(logits: Tensor, inside: Tensor) -> Tensor:
    """Return [n] log(P / (1 - P)), P the probability of a set of classes: logits [n, k], inside [n, k] bool. Its
    gradient has the direction of log P's and does not vanish in float32 when the network is sure."""
    wide = logits if logits.device.type == "mps" else logits.double()
    nothing = float("-inf")
    members = wide.masked_fill(~inside, nothing).logsumexp(dim=1)
    return members - wide.masked_fill(inside, nothing).logsumexp(dim=1)


def input_gradients(forward: Forward, images: Tensor, targets: Sequence[Tensor], of: Target = log_odds) -> list[Tensor]:
    """Return one gradient [n, 3, h, w] float32 per target [n, k] bool, by one forward pass, of images [n, 3, h, w] in
    [0,1]. Raises ModelFailure where no gradient reaches the pixels."""
    size = part_size(images.device)
    parts = []
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        with torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
            pixels = images[part].detach().clone().float().requires_grad_()
            logits = forward(pixels)
            if not logits.requires_grad:
                raise ModelFailure("its logits carry no gradient: the network is not differentiable")
            scores = [of(logits, target[part]).sum() for target in targets]
            gradients = []
            for place, total in enumerate(scores, 1):
                (slope,) = torch.autograd.grad(total, pixels, retain_graph=place < len(scores), allow_unused=True)
                if slope is None:
                    raise ModelFailure("its logits do not depend on the pixels: no gradient")
                gradients.append(slope.detach())
        parts.append(gradients)
    return [torch.cat(gradients) for gradients in zip(*parts, strict=True)]


def part_size(device: torch.device) -> int:
    """Return the largest number of images whose gradients are computed at once."""
    return CPU_PART if device.type == "cpu" else GPU_PART


def smooth_gradient(forward: Forward, images: Tensor, target: Tensor, noise: NDArray[np.float32]) -> Tensor:
    """Return [n, 3, h, w] mean signed gradient at images plus each of `noise` (SmoothGrad, Smilkov et al. 2017)."""
    total = torch.zeros_like(images, dtype=torch.float32)
    for added in noise:
        total += input_gradients(forward, images + torch.from_numpy(added).to(images.device), [target])[0]
    return total / len(noise)


def noise_of(seeds: NDArray[np.uint64], shape: tuple[int, ...], draws: int, sigma: float) -> NDArray[np.float32]:
    """Return [draws, n, *shape] Gaussian noise of standard deviation sigma; an image's noise depends on its seed."""
    noise = np.empty((draws, len(seeds), *shape), dtype=np.float32)
    for place, seed in enumerate(seeds):
        stream = np.random.Generator(np.random.Philox(key=int(seed)))
        for draw in noise:
            stream.standard_normal(dtype=np.float32, out=draw[place])
    noise *= np.float32(sigma)
    return noise


def membership(outputs: Sequence[Sequence[int]], classes: int) -> Tensor:
    """Return [categories, classes] bool: outputs[c] are the columns of the logits for category c."""
    table = torch.zeros(len(outputs), classes, dtype=torch.bool)
    for row, columns in enumerate(outputs):
        table[row, list(columns)] = True
    return table


def target_rows(table: Tensor, categories: Sequence[str], names: Array) -> Tensor:
    """Return [n, classes] bool: the outputs of each named category. ModelFailure for an unknown name."""
    place = {name: row for row, name in enumerate(categories)}
    unknown = sorted({str(name) for name in names} - place.keys())
    if unknown:
        raise ModelFailure(f"label '{unknown[0]}' is not one of the {len(place)} categories")
    return table[torch.tensor([place[str(name)] for name in names], device=table.device)]


# How a gradient [n, channels, h, w] is organised: pure functions that give one value per image, NaN where undefined.

#: A gradient whose energy around its mean is below this share of its energy is constant but for rounding.
_CONSTANT = 1e-20
_HIGH = 0.25  # cycles per pixel


def saliency(gradients: Array) -> Array:
    """Return [n, h, w]: absolute values summed over channels; undefined gradients stay non-finite."""
    return np.asarray(np.abs(gradients).sum(axis=1))


def frequencies(gradients: Array) -> tuple[Floats, Floats]:
    """Return ([n] power-weighted mean spatial frequency in cycles per pixel, white noise (sqrt 2 + asinh 1) / 6 =
    0.3826; [n] share of the power above 0.25 cycles per pixel, white noise 1 - pi / 16 = 0.804)."""
    height, width = gradients.shape[2:]
    flat = gradients.reshape(*gradients.shape[:2], -1).astype(np.float64)
    energy = _products(flat, flat)
    flat -= flat.mean(axis=2, keepdims=True)
    around = _products(flat, flat)
    good = np.isfinite(energy) & (around > _CONSTANT * energy)
    scale = np.sqrt(np.where(good, around, np.inf))
    unit = np.empty(flat.shape, np.float32)  # half the numbers of float64
    np.divide(flat, scale[:, None, None], out=unit, casting="same_kind")
    unit[~good] = 0
    spectrum = rfft2(unit.reshape(gradients.shape))
    power = (spectrum.real**2 + spectrum.imag**2).sum(axis=1, dtype=np.float64)
    # A half spectrum: its columns stand twice in the whole one, but for the first and, of an even width, the last.
    power[:, :, 1 : (width + 1) // 2] *= 2
    rho = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    moments = (np.einsum("nhw,hw->n", power, weights) for weights in (rho, 1.0 * (rho > _HIGH)))
    centroid, high = (quotient(moment, power.sum(axis=(1, 2)), good) for moment in moments)
    return centroid, high


def total_variation(gradients: Array) -> Floats:
    """Return [n] (mean |vertical step| + mean |horizontal step|) / mean |gradient|; white noise 2 sqrt 2 = 2.828."""
    size = np.abs(gradients).mean(axis=(1, 2, 3), dtype=np.float64)
    steps = (np.abs(np.diff(gradients, axis=axis)) for axis in (2, 3))
    varied = sum(step.mean(axis=(1, 2, 3), dtype=np.float64) for step in steps)
    return quotient(np.asarray(varied), size, np.isfinite(size) & (size > 0))


def gini(maps: Array) -> Floats:
    """Return [n] Gini coefficient of maps [n, h, w] >= 0: 0 even, towards 1 on few pixels (Chalasani et al. 2020)."""
    ordered = np.sort(maps.reshape(len(maps), -1), axis=1).astype(np.float64)
    pixels = ordered.shape[1]
    weights = 2 * np.arange(1, pixels + 1) - pixels - 1
    return quotient(np.einsum("np,p->n", ordered, weights), pixels * ordered.sum(axis=1), defined(maps))


def centred_cosine(images: Array, gradients: Array) -> Floats:
    """Return [n] |cos| between the image around its channel means and its gradient (after Etmann et al. 2019)."""
    shape = (*images.shape[:2], -1)
    x, g = images.reshape(shape).astype(np.float64), gradients.reshape(shape).astype(np.float64)
    x -= x.mean(axis=2, keepdims=True)
    lengths = np.sqrt(_products(x, x)) * np.sqrt(_products(g, g))
    good = np.isfinite(lengths) & (lengths > 0)
    return quotient(np.abs(_products(x, g)), lengths, good)


def log_norm(gradients: Array) -> Floats:
    """Return [n] log10 of the gradient's Euclidean length. Not comparable between networks: a diagnostic."""
    wide = gradients.astype(np.float64)
    lengths = np.sqrt(_products(wide, wide))
    return np.log10(np.where(np.isfinite(lengths) & (lengths > 0), lengths, np.nan))


def _products(a: Floats, b: Floats) -> Floats:
    count = len(a)
    return np.asarray(np.einsum("np,np->n", a.reshape(count, -1), b.reshape(count, -1)))
