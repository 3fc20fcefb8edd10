"""The degradations of the human experiments (Geirhos et al. 2018; in model-vs-human, Geirhos et al. 2021), by
experiment and condition in the spelling of the published trial files."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.contracts import Transform
from benchmark.failures import StimuliError, unknown_name
from benchmark.transforms import basics
from benchmark.transforms.basics import Seeds, Streams, blur, luminance, rounded, scramble
from benchmark.transforms.listing import own_list, spelled

# The degradations of Geirhos et al. 2018, each a pure function of working-precision images in [0,1].
# `images` [n, 3, H, W] on the 1/255 grid -> [n, 1 or 3, H, W], not yet stored as uint8. Pixel sizes are pixels of the
# image that is shown (224 px in the experiments).
BACKGROUND = 0.4423  # mean grey of the experiments' photographs, used beyond the border
NOISE_CONTRAST = 0.3  # noise is added to images of this contrast


def lower_contrast(images: torch.Tensor, level: float) -> torch.Tensor:
    """Reduce grey images to contrast `level` around 0.5; `level` 1 is full contrast."""
    return (1 - level) / 2 + luminance(images) * level


def grey_noise(images: torch.Tensor, width: float, draws: Streams) -> torch.Tensor:
    """Add noise uniform in +-`width` per pixel to low-contrast grey images."""
    grey = lower_contrast(images, NOISE_CONTRAST)
    noise = draws.uniform(1, *grey.shape[-2:]).to(grey)
    return (grey + (2 * noise - 1) * width).clamp(0, 1)


def grey_salt_and_pepper(images: torch.Tensor, share: float, draws: Streams) -> torch.Tensor:
    """Replace a `share` of the pixels of low-contrast grey images, half by white and half by black."""
    grey = lower_contrast(images, NOISE_CONTRAST)
    place = draws.uniform(1, *grey.shape[-2:]).to(grey)
    white, black = place >= 1 - share / 2, place < share / 2
    return (grey + white.to(grey) - black.to(grey)).clamp(0, 1)


def grey_blur(images: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur grey images by a Gaussian of `sigma` px, with mean grey beyond the border."""
    return blur(luminance(images) - BACKGROUND, sigma, "constant") + BACKGROUND


def fine_detail(images: torch.Tensor, sigma: float) -> torch.Tensor:
    """Subtract the blur of `sigma` px from grey images and restore the mean grey; infinite sigma: plain grey."""
    grey = luminance(images)
    if math.isinf(sigma):
        return grey
    fine = grey - grey_blur(images, sigma)
    return fine + (BACKGROUND - fine.mean(dim=(-2, -1), keepdim=True))


# Eidolons: "partially coherent disarray" of Koenderink et al. 2017 as the human experiments used it.
# A grey image is cut into band-pass layers; each layer is looked up at places that blurred noise displaces. The noise
# of one layer either is its own (incoherent, one grain) or contains that of all coarser ones (coherent). The toolbox's
# quirks are kept: blurring wraps flattened rows, and the noise is `c - mean/sd`; so is the fix to its mixing of the two
# kinds. The plane and its scales follow the toolbox's rule for the image's size, with one difference: 224 px images are
# the centre of the experiments' 256 px ones and keep that size's scales and pixels.
def disarray(levels: torch.Tensor, reach: float, coherence: float, grain: float, draws: Streams) -> torch.Tensor:
    """Make eidolons [n, 1, H, W] in grey levels 0..255 from integer RGB levels [n, 3, H, W], H = W. reach, grain: px;
    coherence in [0, 1]. Draws follow the toolbox's order; noise with weight 0 draws nothing."""
    size = levels.shape[-1]
    nominal = 1 << math.ceil(math.log2(size))
    side = 1 << math.ceil(math.log2(1.5 * nominal))  # of the padded plane
    # Blurs from 1/sqrt(2) px to a quarter of the nominal size, by factors sqrt(2).
    scales = tuple(2 ** (-0.5 + k / 2) for k in range(math.ceil(2 * math.log2(nominal / 4))))
    pad = (side - size) // 2
    # Mirror `pad` px (at most the image's side) on every side, the edge repeated.
    red, green, blue = levels.unbind(1)
    grey = ((red * 19595 + green * 38470 + blue * 7471 + 32768) / 65536).floor()  # PIL's integer grey
    wide = torch.cat([grey[..., :pad].flip(-1), grey, grey[..., -pad:].flip(-1)], dim=-1)
    fiducial = torch.cat([wide[..., :pad, :].flip(-2), wide, wide[..., -pad:, :].flip(-2)], dim=-2)
    blurred = _blur(fiducial[:, None].expand(-1, len(scales), -1, -1), scales)
    # Differences of neighbouring blurs [n, scales, S, S]; the last layer is the coarsest blur.
    layers = torch.cat([blurred[:, :-1] - blurred[:, 1:], blurred[:, -1:]], dim=1)
    # Displacements down and across for a reach of 1, [n, scales, S, S].
    down, across = levels.new_zeros(()), levels.new_zeros(())
    if coherence > 0:
        weights = levels.new_tensor(scales) / 2 ** (len(scales) / 2)  # a quarter of the nominal size
        # Noise of layer k: the sum over all scales from k upwards, each weighted by its scale.
        shape = (len(scales), side, side)
        scaled = (_noise(draws.normal(*shape).to(levels), scales) * weights[:, None, None] for _ in range(2))
        down, across = (coherence * noise.flip(1).cumsum(1).flip(1) for noise in scaled)
    if coherence < 1:
        own = draws.normal(len(scales), 2, side, side).to(levels)
        down = down + (1 - coherence) * _noise(own[:, :, 0], (grain,))
        across = across + (1 - coherence) * _noise(own[:, :, 1], (grain,))
    places = torch.arange(side, device=levels.device)
    rows = (down * reach + places[:, None]).clamp_(0, side - 1).long()
    columns = (across * reach + places).clamp_(0, side - 1).long()
    moved = layers.flatten(-2).gather(-1, (rows * side + columns).flatten(-2))
    whole = moved.sum(dim=1).reshape(-1, 1, side, side)
    return whole[..., pad : pad + size, pad : pad + size].clamp(0, 255).floor()


def _noise(normals: torch.Tensor, scales: tuple[float, ...]) -> torch.Tensor:
    """Blur noise; `normals` [n, planes, S, S]; one scale in px per plane, or one for all."""
    peak = normals.abs().amax(dim=(-2, -1), keepdim=True)
    blurred = _blur((127.5 * normals / peak).clamp_(-127, 127), scales)
    mean = blurred.mean(dim=(-2, -1), keepdim=True)
    spread = torch.linalg.vector_norm(blurred - mean, dim=(-2, -1), keepdim=True)
    return blurred.sub_(mean / spread * blurred.shape[-1])  # not (c - mean) / sd, as published


def _blur(planes: torch.Tensor, scales: tuple[float, ...]) -> torch.Tensor:
    """Convolve each flattened plane circularly with a sampled Gaussian."""
    side = planes.shape[-1]
    kernels = torch.stack([_kernel(side, scale) for scale in scales])
    kernels = kernels.to(planes.device, torch.complex128 if planes.dtype == torch.float64 else torch.complex64)
    spectrum = torch.fft.rfft(planes.flatten(-2)) * kernels
    blurred: torch.Tensor = torch.fft.irfft(spectrum, n=side * side).reshape(planes.shape)
    return blurred


@lru_cache(maxsize=32)
def _kernel(side: int, scale: float) -> torch.Tensor:
    """Return the spectrum of the flattened Gaussian of `scale` px, not normalised on the grid."""
    steps = np.concatenate([np.arange(side // 2 + 1), np.arange(side // 2 - side + 1, 0)])
    line = np.exp(-(steps**2) / (2.0 * scale**2)) / (np.sqrt(2 * np.pi) * scale)
    flat = torch.from_numpy((line[:, None] * line[None, :]).reshape(-1))
    spectrum: torch.Tensor = torch.fft.rfft(flat)
    return spectrum


# False (opponent) colour: the red-green and blue-yellow axes of a photograph turned round, luminance kept.
# Geirhos et al. 2018 after Brainard 1996: monitor light -> cone responses (LMS) -> opponent axes (DKL), two axes
# negated, and back. The authors measured the monitor's curve (a file with 256 values); without it, a power law of
# exponent 2.2 is used.
#: rows L, M, S; columns the monitor's red, green, blue primaries at full light.
CONES = np.array([
    [0.1619982647, 0.208049264, 0.0389347448],
    [0.0330275785, 0.2496504557, 0.0618343518],
    [0.0015524055, 0.0198861001, 0.1890224274],
])  # fmt: skip
#: rows luminance, L - M, S - luminance; columns L, M, S.
OPPONENT = np.array(
    [[9.27590805, 9.27590805, 0.0], [7.86421647, -9.33587662, 0.0], [-3.39709047, -3.39709047, 12.16230246]]
)
WHITE = np.array([0.20449114, 0.17225619, 0.10523047])
POWER_LAW = (np.arange(256) / 255.0) ** 2.2  # grey level -> light


def false_colour(images: torch.Tensor, curve: NDArray[np.float64]) -> torch.Tensor:
    """Convert [n, 3, H, W] in [0,1] to opponent colours; `curve` [256]: grey level -> light in [0,1], ascending."""
    table = torch.from_numpy(np.asarray(curve, dtype=np.float64)).to(images)
    light = table[(images * 255).round().long()]
    # The whole chain on monitor light is affine: a matrix [3, 3] and an offset [3].
    flip = np.linalg.inv(OPPONENT) @ np.diag([1.0, -1.0, -1.0]) @ OPPONENT
    inverse = np.linalg.inv(CONES)
    matrix = torch.from_numpy(inverse @ flip @ CONES).to(images)
    offset = torch.from_numpy(inverse @ (WHITE - flip @ WHITE)).to(images)
    back = (torch.einsum("ij,njhw->nihw", matrix, light) + offset[:, None, None]).clamp(0, 1).contiguous()
    # The table entry nearest to each value, the lower one in a tie.
    above = torch.searchsorted(table, back).clamp_(1, len(table) - 1)
    below = above - 1
    return torch.where(back - table[below] <= table[above] - back, below, above).to(back.dtype) / 255


VERSION = 1  # raised whenever any pixel of any condition changes
GRAIN = 10.0


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """How images of an experiment are degraded; `human.yaml` has its conditions and their unit."""

    #: (working images, level, draws) -> images.
    degrade: Callable[[torch.Tensor, Any, Streams], torch.Tensor] = field(repr=False)
    words: Mapping[str, str] = field(default_factory=dict)  # condition -> level in a word, if it is not a number
    square: bool = False  # whether it needs square images
    together: int = 4  # number of images at a time; 1 if an image needs many megabytes
    formula: str = ""  # what a formula replaces, as the authors' own measurement is not published

    def level(self, condition: str) -> Any:
        """Return the level of a condition: "c50" is .5, "8-10-10" is 8."""
        number = condition.lstrip("c").partition("-")[0]
        return self.words.get(condition) or float(number) / (100 if condition.startswith("c") else 1)


def degradation(experiment: str, condition: str) -> Transform:
    """Build the transform of one condition (the published string, or another spelling of its number), rounded as the
    experiments' stimuli were saved; some need square images. Raises UnknownName."""
    what, entry = GEIRHOS[experiment], own_list("human")[experiment]
    names = [str(level) for level in entry.levels]
    fitting = [name for name in names if spelled(name) == spelled(condition)]
    if not fitting:
        raise unknown_name(f"condition of {experiment}", condition, names)
    name, level = fitting[0], what.level(fitting[0])
    params = {"level": level, "unit": entry.unit, "quantise": "round", "version": VERSION}
    if what.formula:
        params[what.formula] = "formula"

    def change(images: torch.Tensor, seeds: Seeds) -> torch.Tensor:
        draws = Streams(seeds, f"{experiment}/{name}", images.device)
        levels = rounded(what.degrade(basics.working(images), level, draws)).expand(-1, 3, -1, -1)
        return basics.stored_levels(levels) if images.dtype == torch.uint8 else levels

    def apply(images: torch.Tensor, seeds: Seeds) -> torch.Tensor:
        height, width = images.shape[-2:]
        if what.square and height != width:
            raise StimuliError(f"{experiment} needs square images; these are {width} x {height} px")
        return basics.in_parts(images, seeds, what.together, change).contiguous()

    return Transform(name=f"{experiment}/{name}", params=params, apply=apply, stored=True)


def _eidolon(images: torch.Tensor, reach: float, draws: Streams, *, coherence: float) -> torch.Tensor:
    return disarray((images * 255).round(), reach, coherence, GRAIN, draws) / 255


GEIRHOS: Mapping[str, Degradation] = {
    "colour": Degradation(
        degrade=lambda x, level, _: x if level == "colour" else luminance(x), words={"cr": "colour", "bw": "grey"}
    ),
    "contrast": Degradation(degrade=lambda x, share, _: lower_contrast(x, share)),
    "uniform-noise": Degradation(degrade=grey_noise),
    "salt-and-pepper": Degradation(degrade=grey_salt_and_pepper),
    "low-pass": Degradation(degrade=lambda x, sigma, _: grey_blur(x, sigma)),
    "high-pass": Degradation(degrade=lambda x, sigma, _: fine_detail(x, sigma)),
    "phase-scrambling": Degradation(degrade=lambda x, width, draws: scramble(luminance(x), width, draws), square=True),
    "power-equalisation": Degradation(
        degrade=lambda x, level, _: luminance(x) if level == "original" else basics.equalise(luminance(x)),
        words={"0": "original", "pow": "equalised"},
        square=True,
        formula="spectrum",
    ),
    # counter-clockwise, pixel for pixel
    "rotation": Degradation(
        degrade=lambda x, degrees, _: torch.rot90(luminance(x), int(degrees) // 90, dims=(-2, -1)), square=True
    ),
    "false-colour": Degradation(
        # A power law replaces the monitor curve that the authors measured.
        degrade=lambda x, level, _: x if level == "true" else false_colour(x, POWER_LAW),
        words={"true": "true", "false": "opponent"},
        formula="curve",
    ),
    **{
        name: Degradation(degrade=partial(_eidolon, coherence=coherence), square=True, together=1)
        for name, coherence in (("eidolonI", 1.0), ("eidolonII", 0.3), ("eidolonIII", 0.0))
    },
}
