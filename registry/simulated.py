"""Ideal observers read a stimulus's labels instead of its pixels, so their scores are known in closed form; the seed
determines all randomness. Template readers, below, simulate people."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from registry.cards import ModelCard
from registry.files import digest_data
from registry.user_errors import CardError, LabelError, unknown_name

# Template readers: simulated people who read the built-in world's silhouettes.
#
# A reader sees a grey image at 4 x 4 pixels a cell, adds its own early noise, blurs, takes out mean and contrast, and
# correlates what is left with silhouettes that it has learnt (matched filters), a cell to every side, in either
# polarity. It answers the category of the best match, after noise of the decision. Early noise is why a reader fails on
# low contrast (equivalent input noise: Pelli & Farell 1999, JOSA A 16, 647), noise of the decision why two readers
# differ on images that both see well.
#
# Noise is drawn from what the image holds, cell by cell, and the reader's seed: the same image has the same answer in
# any batch, and two readers are independent. Nothing is differentiable: an answer is all that a reader has.

EXEMPLARS = 512
CELL = 4  # pixels of a cell, each way
SIDE = 16  # cells of an image and of a template, each way
REACH = 1  # cells by which an image may lie away from a template
LUMINANCE = (0.2125, 0.7154, 0.0721)  # of R, G, B, as in the human experiments
MEAN, DEVIATION = 0.5, 0.25  # the card's normalisation
_EARLY, _LATE = 1, 2  # streams of random numbers

_GOLDEN = -7046029254386353131  # the constants of splitmix64 as signed numbers
_FIRST = -4658895280553007687
_SECOND = -7723592293110705685

#: Numbers of 64 bits, which wrap.
Bits = TypeVar("Bits", Tensor, NDArray[np.int64])


class TemplateReader(nn.Module):
    """One simulated person. `templates` [EXEMPLARS, 16, 16] uint8 hold the share of each cell that a silhouette covers,
    by category. `blur` is in cells; `early` is noise on its input (share of the grey range), `late` on correlations."""

    templates: Tensor
    luminance: Tensor

    def __init__(self, *, classes: int, seed: int, blur: float, early: float, late: float) -> None:
        super().__init__()
        self.classes, self.seed, self.blur = classes, seed, blur
        self.early, self.late = early, late
        self._known: Tensor | None = None
        self.register_buffer("templates", torch.zeros(EXEMPLARS, SIDE, SIDE, dtype=torch.uint8))
        self.register_buffer("luminance", torch.tensor(LUMINANCE), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images (n, 3, 64, 64) to matches (n, classes), absolute correlations with noise."""
        levels = ((x.float() * DEVIATION + MEAN) * 255).round().clamp(0, 255)
        sums = (functional.avg_pool2d(levels, CELL) * CELL**2).round()
        # One 64-bit number per image, from the seed and the sums of 8-bit levels in each cell and channel.
        flat = sums.to(torch.int64).flatten(1)
        places = mixed(torch.arange(1, flat.shape[1] + 1, device=flat.device))
        keys = mixed(mixed(flat + places).sum(1) + self.seed * _GOLDEN % 2**63)
        cells = (sums * self.luminance[:, None, None]).sum(1, keepdim=True) / (255 * CELL**2)
        cells = cells + self.early * normal(keys, SIDE * SIDE, _EARLY).view_as(cells)
        seen = unit_contrast(blurred(cells, self.blur))
        if self._known is None or self._known.device != seen.device:  # the same for every image
            self._known = unit_contrast(blurred(self.templates[:, None].float() / 255, self.blur))
        around = functional.pad(seen, (REACH,) * 4, mode="replicate")
        # The best match of each category: [n, 1, 16, 16] -> [n, classes].
        matches = functional.conv2d(around, self._known).abs().amax((2, 3)).reshape(len(x), self.classes, -1).amax(2)
        return matches + self.late * normal(keys, self.classes, _LATE)


def template_reader(num_classes: int = 16, *, seed: int, blur: float, early: float, late: float) -> nn.Module:
    """Return a reader without templates: the card's weights provide them."""
    return TemplateReader(classes=num_classes, seed=seed, blur=blur, early=early, late=late)


def blurred(cells: Tensor, sigma: float) -> Tensor:
    """Return the Gaussian blur of [n, 1, h, w] by `sigma` cells, mirrored at the border."""
    radius = math.ceil(3 * sigma)
    at = torch.arange(-radius, radius + 1, device=cells.device, dtype=torch.float32)
    kernel = torch.exp(-at.square() / (2 * sigma**2))
    kernel /= kernel.sum()
    padded = functional.pad(cells, (radius,) * 4, mode="reflect")
    across = functional.conv2d(padded, kernel[None, None, None, :])
    return functional.conv2d(across, kernel[None, None, :, None])


def unit_contrast(cells: Tensor) -> Tensor:
    """Return [n, 1, h, w] with mean 0 and length 1 each."""
    centred = cells - cells.mean((-2, -1), keepdim=True)
    return centred / (centred.square().sum((-2, -1), keepdim=True).sqrt() + 1e-6)  # an image may have no contrast


def normal(keys: Tensor, count: int, stream: int) -> Tensor:
    """Return [n, count] standard normal numbers of a stream of each key, float32 (Box & Muller 1958)."""
    at = torch.arange(count, device=keys.device)
    base = mixed(keys + stream)[:, None] + 2 * at
    first, second = _unit(base), _unit(base + 1)
    return (-2 * first.log()).sqrt() * torch.cos(2 * math.pi * second)


def mixed(z: Tensor) -> Tensor:
    """splitmix64 (Steele et al. 2014) on int64, which wraps as unsigned numbers do."""
    return _finished(z * _GOLDEN)


def _finished(z: Bits) -> Bits:
    """Return the last steps of splitmix64 on int64 of torch or numpy."""
    z = (z ^ _shifted(z, 30)) * _FIRST
    z = (z ^ _shifted(z, 27)) * _SECOND
    return z ^ _shifted(z, 31)


def _shifted(z: Bits, bits: int) -> Bits:
    """Shifted right with zeros coming in, which `>>` on signed numbers does not do."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _unit(z: Tensor) -> Tensor:
    """Return a number in (0, 1) of each, 23 random bits and never either end."""
    return (_shifted(mixed(z), 41).to(torch.float32) + 0.5) * 2.0**-23


Seeds = NDArray[np.uint64]


def splitmix64(seeds: Seeds, stream: int = 0) -> Seeds:
    """Return a well-mixed 64-bit number per seed (Steele et al. 2014); each `stream` gives another, all bijective."""
    z = np.asarray(seeds, dtype=np.uint64) + np.uint64((_GOLDEN * (stream + 1)) % 2**64)
    return _finished(z.view(np.int64)).view(np.uint64)


def uniform(seeds: Seeds, stream: int = 0) -> NDArray[np.float64]:
    """Return a number in [0, 1) per seed, with 53 random bits."""
    return (splitmix64(seeds, stream) >> np.uint64(11)).astype(np.float64) * 2.0**-53


RULES = ("shape-reader", "texture-reader", "uniform-guesser", "constant-responder", "noisy-shape-reader")


@dataclass(frozen=True)
class IdealObserver:
    """An observer whose answers follow a rule. Raises UnknownName for an unknown rule."""

    card: ModelCard

    def __post_init__(self) -> None:
        if self.card.arch not in RULES:
            raise unknown_name("ideal observer", self.card.arch, RULES)
        chance = self.card.options.get("p", 0.75)
        if not isinstance(chance, int | float) or not 0 <= chance <= 1:
            raise CardError(f"card '{self.card.name}': option 'p': expected a probability, found {chance!r}.")

    @cached_property
    def identity(self) -> str:
        """Return the digest of the rule and its options: not the name."""
        return digest_data({"ideal": self.card.arch, "options": self.card.options})

    def answer(
        self, labels: Mapping[str, NDArray[Any]], seeds: Seeds, categories: tuple[str, ...]
    ) -> NDArray[np.float32]:
        """Return one-hot answers [n, categories] from label columns [n] and seeds [n]; each depends on its own
        trial alone. Raises LabelError if a label is not a category."""
        rule, options, count = self.card.arch, self.card.options, len(categories)
        # The option `seed` keeps two copies of an observer apart.
        salt = splitmix64(np.asarray([options.get("seed", 0)], dtype=np.uint64), 7)[0]
        salted = np.asarray(seeds, dtype=np.uint64) ^ salt
        column = "texture" if rule == "texture-reader" else "shape" if "shape" in labels else "category"
        if rule == "constant-responder":
            chosen = np.full(len(salted), int(options.get("answer", 0)) % count)
        elif rule == "uniform-guesser" or (column == "texture" and column not in labels):
            chosen = (uniform(salted, 1) * count).astype(np.int64)
        elif column not in labels:
            raise LabelError("the stimuli have neither a 'shape' nor a 'category' column.")
        else:
            places = {name: index for index, name in enumerate(categories)}
            chosen = np.asarray([places.get(str(value), -1) for value in labels[column]], dtype=np.int64)
            if (chosen < 0).any():
                value = labels[column][chosen.argmin()]
                raise LabelError(f"label '{value}' in column '{column}' is not one of the {count} categories.")
        if rule == "noisy-shape-reader":
            wrong = (chosen + 1 + (uniform(salted, 1) * (count - 1)).astype(np.int64)) % count
            chosen = np.where(uniform(salted) < float(options.get("p", 0.75)), chosen, wrong)
        answers = np.zeros((len(chosen), count), dtype=np.float32)
        answers[np.arange(len(chosen)), chosen] = 1.0
        return answers
