"""Random numbers, spectra, filters and grey levels that transforms share. Images are NCHW."""

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import pdtr

from registry.simulated import splitmix64

_BITS, _GUIDE_BITS = 24, 10


def invert(levels: torch.Tensor, uniform: torch.Tensor, peak: float) -> torch.Tensor:
    """Return Poisson counts, int32, with means levels / 255 * peak: the smallest k whose cumulative probability exceeds
    the uniform, exactly. levels: integers 0..255; uniform: int32 in [0, 2**24), of the same shape."""
    guide, thresholds = _tables(peak, levels.device)
    flat, draws = levels.reshape(-1).int(), uniform.reshape(-1)
    if levels.device.type != "cpu":  # where a search costs little, and its number of steps is no reason to wait
        rows = torch.arange(256, device=levels.device)[:, None] << _BITS
        places = torch.searchsorted((rows + thresholds).reshape(-1), (flat.long() << _BITS) + draws, right=True)
        return (places - flat * thresholds.shape[1]).int().reshape(levels.shape)
    # A guide table answers all but the few uniforms that share a bin with a threshold. These are searched for by numpy,
    # in a fourth of torch's time.
    packed = guide.index_select(0, (flat << _GUIDE_BITS).add_(draws >> (_BITS - _GUIDE_BITS)))
    counts = packed >> 1  # count * 2 + whether a threshold lies inside the bin
    unsure = np.flatnonzero(packed.bitwise_and_(1).numpy().view(np.bool_)[::2])
    above, drawn = thresholds.numpy().ravel(), draws.numpy().take(unsure)
    first = flat.numpy().take(unsure) * thresholds.shape[1]
    place = first + counts.numpy().take(unsure)
    while (more := above.take(place) <= drawn).any():
        place += more
    counts.numpy()[unsure] = place - first
    return counts.int().reshape(levels.shape)


@lru_cache(maxsize=16)
def _tables(peak: float, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(guide int16 [256 * 1024], thresholds int32 [256, K]) for means 0..peak."""
    means = np.arange(256)[:, None] / 255 * peak
    counts = np.arange(int(peak + 8 * np.sqrt(peak) + 16))[None, :]
    thresholds = np.rint(pdtr(counts, means) * 2**_BITS).astype(np.int32)
    edges = np.arange(2**_GUIDE_BITS + 1) << (_BITS - _GUIDE_BITS)
    below = np.stack([np.searchsorted(row, edges, side="right") for row in thresholds])
    inside = below[:, :-1] != np.stack([np.searchsorted(row, edges[1:] - 1, side="right") for row in thresholds])
    guide = (below[:, :-1] * 2 + inside).astype(np.int16).reshape(-1)
    return torch.from_numpy(guide).to(device), torch.from_numpy(thresholds).to(device)


# A counter is hashed on the images' device with 32-bit integer arithmetic, which is equal everywhere, so numbers do not
# depend on batch size, order, worker or device. Uniforms are exact on every device; normals go through the inverse
# error function and agree to a few float32 steps. Two rounds of a bijective 32-bit mixer (xor-shift and multiply,
# constants of the hash-prospector project's public-domain search) with a 64-bit key per draw.
class Streams:
    """Counter-based random numbers, a stream per image. seeds: uint64 [n]; label: their purpose, "gaussian_noise/3"."""

    def __init__(self, seeds: NDArray[np.uint64], label: str, device: torch.device) -> None:
        name = np.uint64(int.from_bytes(blake2b(label.encode(), digest_size=8).digest(), "little"))
        self._keys = splitmix64(np.asarray(seeds, dtype=np.uint64) ^ name)
        self._device = device
        self._calls = 0

    def bits(self, *shape: int) -> torch.Tensor:
        """Return int32 [n, *shape]: 32 random bits each. Every call continues the stream."""
        with np.errstate(over="ignore"):
            keys = splitmix64(self._keys + np.uint64(self._calls) * np.uint64(0x9E3779B97F4A7C15))
        self._calls += 1
        halves = torch.from_numpy(keys.view(np.int32).reshape(-1, 2).copy()).to(self._device, non_blocking=True)
        counter = torch.arange(math.prod(shape), dtype=torch.int32, device=self._device)
        # Two mixing rounds, the second half of the key between them.
        return _mix(_mix(counter + halves[:, :1]).bitwise_xor_(halves[:, 1:])).reshape(-1, *shape)

    def uniform(self, *shape: int) -> torch.Tensor:
        """Float32 [n, *shape]: multiples of 2**-24 in [0, 1)."""
        return self._top(*shape).float().mul_(2.0**-24)

    def uniform_here(self, *shape: int) -> torch.Tensor:
        """Return uniforms as above on the processor, which waits for no device."""
        device, self._device = self._device, torch.device("cpu")
        drawn = self.uniform(*shape)
        self._device = device
        return drawn

    def uniform_and_coin(self, *shape: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return uniforms as above, and coins from an unused bit of the same draw."""
        bits = self.bits(*shape)
        coin = bits.bitwise_and(16).bool()
        return bits.bitwise_right_shift_(8).bitwise_and_(0xFFFFFF).float().mul_(2.0**-24), coin

    def normal(self, *shape: int) -> torch.Tensor:
        """Float32 [n, *shape]: standard normals by inversion (at most 5.4 in absolute value)."""
        signed = self.bits(*shape).bitwise_right_shift_(8).float()
        return signed.add_(0.5).mul_(2.0**-23).erfinv_().mul_(math.sqrt(2.0))  # exact up to erfinv

    def poisson(self, levels: torch.Tensor, peak: float) -> torch.Tensor:
        """Int32 Poisson counts by exact inversion of a 24-bit uniform."""
        return invert(levels, self._top(*levels.shape[1:]), peak)

    def _top(self, *shape: int) -> torch.Tensor:
        return self.bits(*shape).bitwise_right_shift_(8).bitwise_and_(0xFFFFFF)


def _mix(x: torch.Tensor) -> torch.Tensor:
    x.bitwise_xor_((x >> 16).bitwise_and_(0xFFFF)).mul_(0x21F0AAAD)
    x.bitwise_xor_((x >> 15).bitwise_and_(0x1FFFF)).mul_(0x735A2D97)
    return x.bitwise_xor_((x >> 15).bitwise_and_(0x1FFFF))


# A batch is processed in parts that fit the CPU's cache.
Seeds = NDArray[np.uint64]


def in_parts(
    images: torch.Tensor, seeds: Seeds, together: int, change: Callable[[torch.Tensor, Seeds], torch.Tensor]
) -> torch.Tensor:
    """Apply `change` to `together` images at a time on the CPU; elsewhere to all, or one by one if it is 1."""
    if not len(images):
        return images.clone()
    whole = images.device.type != "cpu" and together > 1
    step = len(images) if whole else together
    starts = range(0, len(images), step)
    parts = [change(images[i : i + step], seeds[i : i + step]) for i in starts]
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def in_threads(work: Callable[[int], None], count: int) -> None:
    """Call `work` with 0 to count - 1, in as many threads as torch has."""
    if (threads := torch.get_num_threads()) == 1:  # the start of a thread costs as much as a small image
        for i in range(count):
            work(i)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(count)))


MEAN_LEVEL = 0.4545  # mean grey of the published amplitude spectrum
#: log amplitude over (1, ln f, ln^2 f, cos 2t, cos 4t, cos 4t ln f, cos 8t); f cycles per image, t orientation.
FIT = (-3.2773, -0.9991, -0.0513, -0.0289, 0.2069, -0.0061, 0.0919)


def scramble(grey: torch.Tensor, width: float, draws: Streams) -> torch.Tensor:
    """Shift phases by up to +-`width` degrees; grey [n, 1, H, W]. As published, the shifts of the second half of the
    spectrum are those of the first, negated in the same order, not in the mirrored order of a real image. The real part
    is used. So contrast also falls with the width."""
    height, side = grey.shape[-2:]
    count = (height - 1) * (side - 1)
    shifts = (draws.uniform(count // 2).to(grey) - 0.5) * (2 * width / 180 * math.pi)
    still = torch.zeros((len(shifts), 1), dtype=shifts.dtype, device=shifts.device)
    block = torch.cat([shifts, still, -shifts], dim=1).reshape(-1, 1, height - 1, side - 1)
    turn = torch.nn.functional.pad(block, (1, 0, 1, 0))  # the Nyquist row and column keep their phases
    spectrum = torch.fft.fftshift(torch.fft.fft2(grey), dim=(-2, -1))
    return _image(torch.polar(spectrum.abs(), spectrum.angle() + turn))


def equalise(grey: torch.Tensor) -> torch.Tensor:
    """Keep each phase and set each amplitude to the mean of photographs."""
    amplitude = natural_amplitude(*grey.shape[-2:])
    phase = torch.fft.fftshift(torch.fft.fft2(grey), dim=(-2, -1)).angle()
    return _image(torch.polar(torch.from_numpy(amplitude).to(grey).expand_as(phase).contiguous(), phase))


def natural_amplitude(height: int, width: int) -> NDArray[np.float64]:
    """Return the mean amplitude of photographs, [H, W] centred, by a formula fitted to 500 ImageNet crops of 224 px. It
    replaces the authors' average over their stimuli, which is in a file of theirs."""
    rows = np.arange(-(height // 2), height - height // 2)[:, None]
    columns = np.arange(-(width // 2), width - width // 2)[None, :]
    radius, turn = np.hypot(rows, columns), np.arctan2(rows, columns)
    log = np.log(np.where(radius == 0, 1.0, radius))
    four = np.cos(4 * turn)
    terms = (np.ones_like(log), log, log**2, np.cos(2 * turn), four, four * log, np.cos(8 * turn))
    amplitude = np.exp(sum(c * term for c, term in zip(FIT, terms, strict=True)))
    return np.asarray(np.where(radius == 0, MEAN_LEVEL, amplitude) * height * width, dtype=np.float64)


def _image(centred: torch.Tensor) -> torch.Tensor:
    image: torch.Tensor = torch.fft.ifft2(torch.fft.ifftshift(centred, dim=(-2, -1))).real
    return image


# Separable filters as dense matrices: filtering an image is `A @ image @ A.T`. The matrix includes the border rule, so
# wide kernels cost no more than narrow ones. Borders by scipy's names: "nearest" repeats the edge, "reflect" mirrors
# with it (d c b a | a b c d), "constant" adds nothing (a border of c is `c + filter(image - c)`); numpy's names.
Floats = NDArray[np.float64]
_BORDERS: Mapping[str, Any] = {
    "nearest": {"mode": "edge"},
    "reflect": {"mode": "symmetric"},
    "constant": {"mode": "constant", "constant_values": -1},
}


@lru_cache(maxsize=256)
def gaussian(size: int, sigma: float, border: str, truncate: float = 4.0) -> Floats:
    """Build a normalised Gaussian of `sigma` px cut at int(truncate * sigma + 0.5) px, [size, size] float64."""
    radius, rows = int(truncate * sigma + 0.5), np.arange(size)
    weights = np.exp(-0.5 / sigma**2 * np.arange(-radius, radius + 1) ** 2)
    weights /= weights.sum()
    out, read = np.zeros((size, size)), np.pad(rows, radius, **_BORDERS[border])
    for i, weight in enumerate(weights):
        columns = read[i : i + size]
        out[rows[columns >= 0], columns[columns >= 0]] += weight
    return out


BAND = 32  # rows of a filter that are applied at once


@lru_cache(maxsize=256)
def _bands(
    size: int, sigma: float, border: str, truncate: float, device: torch.device, dtype: torch.dtype
) -> list[tuple[slice, torch.Tensor]]:
    """Return the filter in bands of rows: the lines that each reads, and its weights. On the CPU, bands of a narrow
    filter read few lines, in half the time of the whole product, and in float32 with the same bits."""
    whole = torch.from_numpy(gaussian(size, sigma, border, truncate)).to(device=device, dtype=dtype)
    reach, every = int(truncate * sigma + 0.5), slice(0, size)
    if device.type != "cpu" or dtype != torch.float32 or size % BAND or 2 * reach + BAND > size // 2:
        return [(every, whole)]
    trial, bands = torch.rand(size, size, generator=torch.Generator().manual_seed(0), dtype=dtype), []
    across, down = trial @ whole.T, whole @ trial
    for first in range(0, size, BAND):
        rows, read = slice(first, first + BAND), slice(max(0, first - reach), first + BAND + reach)
        few = whole[rows, read].contiguous()
        # Where a library adds up parts of a long sum, only the whole product rounds as it did.
        same = torch.equal(trial[:, read] @ few.T, across[:, rows]) and torch.equal(few @ trial[read], down[rows])
        bands.append((read, few) if same else (every, whole[rows]))
    return bands


def blur(images: torch.Tensor, sigma: float, border: str, truncate: float = 4.0) -> torch.Tensor:
    """Blur [..., H, W] by a Gaussian of `sigma` px, each channel separately; sigma 0 leaves images unchanged."""
    if sigma == 0:
        return images
    rows, columns = (_bands(n, sigma, border, truncate, images.device, images.dtype) for n in images.shape[-2:])
    across = torch.cat([images[..., read] @ weights.T for read, weights in columns], dim=-1)
    return torch.cat([weights @ across[..., read, :] for read, weights in rows], dim=-2)


def working(images: torch.Tensor) -> torch.Tensor:
    """Convert images to float64 (float32 on devices without it) on the 1/255 grid of a decoded file."""
    return grey_levels(images).to(widest(images.device)) / 255


def widest(device: torch.device) -> torch.dtype:
    """Return the widest float of a device."""
    return torch.float32 if device.type == "mps" else torch.float64


def grey_levels(images: torch.Tensor) -> torch.Tensor:
    """Convert images in [0,1], or uint8, to integers 0..255 as float, as in the decoded file."""
    if images.dtype == torch.uint8:
        return images.float()
    return (images * 255).round_().clamp_(0, 255)


def stored_levels(images: torch.Tensor) -> torch.Tensor:
    """Convert images in [0,1], or uint8, to uint8 levels, as in the decoded file."""
    if images.dtype == torch.uint8:
        return images
    return torch.add(images.new_full((), 0.5), images, alpha=255).clamp_(0, 255).to(torch.uint8)


def rounded(images: torch.Tensor) -> torch.Tensor:
    """Clip to [0,1] and round half up to uint8, as float32 in [0,1]."""
    return ((images.clamp(0, 1) * 255 + 0.5).floor() / 255).float()


def luminance(images: torch.Tensor) -> torch.Tensor:
    """Return .2125 R + .7154 G + .0721 B, [n, 1, H, W], the grey of scikit-image's `rgb2gray`."""
    red, green, blue = images.unbind(1)
    return (0.2125 * red + 0.7154 * green + 0.0721 * blue).unsqueeze(1)
