"""The degradations of the human experiments (Geirhos et al. 2018; in model-vs-human, Geirhos et al.
2021).

`GEIRHOS` is the table: per experiment its conditions as the published trial files spell them, their
levels and unit. `degradation(experiment, condition)` gives the transform.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.contracts import Transform
from benchmark.errors import StimuliError, unknown_name
from benchmark.transforms import degradations as d
from benchmark.transforms.batches import Seeds, in_parts
from benchmark.transforms.eidolon import disarray
from benchmark.transforms.fourier import equalise, scramble
from benchmark.transforms.opponent import false_colour, power_law
from benchmark.transforms.pixels import luminance, rounded, stored_levels, truncated, working
from benchmark.transforms.streams import Draws, Streams

VERSION = 1  # raised whenever any pixel of any condition changes
GRAIN = 10.0


@dataclass(frozen=True)
class Tables:
    """Files of the authors that some experiments need; where one is None a formula stands in.

    curve [256]: grey level -> light of the experiments' monitor (`x_gamma_function.npy`);
    spectrum [H, W]: centred mean amplitudes (`mean_power_spectrum_grey.npy`).
    """

    curve: NDArray[np.float64] | None = None
    spectrum: NDArray[np.float64] | None = None


Degrade = Callable[[torch.Tensor, Any, Draws, Tables], torch.Tensor]


@dataclass(frozen=True)
class Experiment:
    """One experiment: `conditions` maps each condition string to its level in `unit`; the first is
    unimpaired.

    degrade: (working images, level, draws, tables) -> images; humans: whether people did it;
    square: needs square images; together: how many images at a time (1: many megabytes per image);
    table: which of `Tables` it uses.
    """

    title: str
    unit: str
    conditions: Mapping[str, Any]
    degrade: Degrade = field(repr=False)
    humans: bool = True
    square: bool = False
    together: int = 4
    table: str = ""


def degradation(
    experiment: str, condition: str, tables: Tables | None = None, quantise: str = "round"
) -> Transform:
    """The transform of one condition; some experiments need square images.

    condition: the published string, or another spelling of its number ("0.1" for "0.10"). quantise:
    "round" as the stimuli of the experiments were saved, "truncate" as today's published code does.
    """
    if experiment not in GEIRHOS:
        raise unknown_name("experiment with degraded images", experiment, GEIRHOS)
    what = GEIRHOS[experiment]
    name = spelled(experiment, condition)
    if quantise not in _STORES:
        raise unknown_name("way of storing", quantise, _STORES)
    chosen, store = tables or Tables(), _STORES[quantise]

    def change(images: torch.Tensor, seeds: Seeds) -> torch.Tensor:
        draws = Streams(seeds, f"{experiment}/{name}", images.device)
        out = what.degrade(working(images), what.conditions[name], draws, chosen)
        levels = store(out).expand(-1, 3, -1, -1)
        return stored_levels(levels) if images.dtype == torch.uint8 else levels

    def apply(images: torch.Tensor, seeds: Seeds) -> torch.Tensor:
        _check(what, images, chosen)
        return in_parts(images, seeds, what.together, change).contiguous()

    return Transform(
        f"{experiment}/{name}", _params(what, name, chosen, quantise), apply, stored=True
    )


def spelled(experiment: str, condition: str) -> str:
    """The published spelling of a condition. Raises UnknownName."""
    known = GEIRHOS[experiment].conditions
    if condition in known:
        return condition
    for name in known:
        if _number(name) == _number(condition) or name.lower() == condition.lower():
            return name
    raise unknown_name(f"condition of {experiment}", condition, known)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _params(what: Experiment, name: str, tables: Tables, quantise: str) -> dict[str, Any]:
    params = {
        "level": what.conditions[name],
        "unit": what.unit,
        "quantise": quantise,
        "version": VERSION,
    }
    if what.table:
        given = getattr(tables, what.table)
        params[what.table] = "formula" if given is None else _digest(given)
    return params


def _digest(table: NDArray[np.float64]) -> str:
    from hashlib import sha256

    return sha256(np.ascontiguousarray(table, dtype="<f8").tobytes()).hexdigest()


def _check(what: Experiment, images: torch.Tensor, tables: Tables) -> None:
    height, width = images.shape[-2:]
    spectrum, curve = tables.spectrum, tables.curve
    if what.table == "spectrum" and spectrum is not None and spectrum.shape != (height, width):
        raise StimuliError(
            f"the amplitude spectrum is {spectrum.shape[1]} x {spectrum.shape[0]}; the images are "
            f"{width} x {height} px: give one of their size, or none"
        )
    if what.table == "curve" and curve is not None and curve.shape != (256,):
        raise StimuliError(f"the monitor's curve needs 256 values; it has shape {curve.shape}")
    if what.square and height != width:
        raise StimuliError(f"{what.title} needs square images; these are {width} x {height} px")


def _pure(function: Callable[[torch.Tensor, Any], torch.Tensor]) -> Degrade:
    return lambda images, level, _draws, _tables: function(images, level)


def _noisy(function: Callable[[torch.Tensor, Any, Draws], torch.Tensor]) -> Degrade:
    return lambda images, level, draws, _tables: function(images, level, draws)


def _colour(images: torch.Tensor, level: str) -> torch.Tensor:
    return images if level == "colour" else luminance(images)


def _false(images: torch.Tensor, level: str, _: Draws, tables: Tables) -> torch.Tensor:
    if level == "true":
        return images
    return false_colour(images, power_law() if tables.curve is None else tables.curve)


def _phase(images: torch.Tensor, width: float, draws: Draws) -> torch.Tensor:
    return scramble(luminance(images), width, draws)


def _power(images: torch.Tensor, level: str, _: Draws, tables: Tables) -> torch.Tensor:
    grey = luminance(images)
    return grey if level == "original" else equalise(grey, tables.spectrum)


def _eidolon(coherence: float) -> Degrade:
    return _noisy(
        lambda x, reach, draws: disarray((x * 255).round(), reach, coherence, GRAIN, draws) / 255
    )


def _eidolons(number: str, coherence: float) -> Experiment:
    return Experiment(
        f"Eidolon {number} (coherence {coherence:g})",
        "reach, px",
        {f"{2**k}-{coherence * 10:g}-10": float(2**k) for k in range(8)},
        _eidolon(coherence),
        square=True,
        together=1,
    )


def _numbers(text: str) -> dict[str, float]:
    return {word: float(word) for word in text.split()}


_STORES = {"round": rounded, "truncate": truncated}

GEIRHOS: Mapping[str, Experiment] = MappingProxyType(
    {
        "colour": Experiment("Colour or grey", "", {"cr": "colour", "bw": "grey"}, _pure(_colour)),
        "contrast": Experiment(
            "Contrast",
            "share of full contrast",
            {f"c{percent:02d}": percent / 100 for percent in (100, 50, 30, 15, 10, 5, 3, 1)},
            _pure(d.contrast),
        ),
        "uniform-noise": Experiment(
            "Uniform noise",
            "half width, share of the grey range",
            _numbers("0.00 0.03 0.05 0.10 0.20 0.35 0.60 0.90"),
            _noisy(d.uniform_noise),
        ),
        "salt-and-pepper": Experiment(
            "Salt-and-pepper noise",
            "share of pixels",
            _numbers("0.0 0.1 0.2 0.35 0.5 0.65 0.8 0.95"),
            _noisy(d.salt_and_pepper),
            humans=False,
        ),
        "low-pass": Experiment(
            "Low-pass", "sd, px", _numbers("0 1 3 5 7 10 15 40"), _pure(d.low_pass)
        ),
        "high-pass": Experiment(
            "High-pass",
            "sd, px",
            {"inf": math.inf} | _numbers("3 1.5 1 0.7 0.55 0.45 0.4"),
            _pure(d.high_pass),
        ),
        "phase-scrambling": Experiment(
            "Phase scrambling",
            "half width, degrees",
            _numbers("0 30 60 90 120 150 180"),
            _noisy(_phase),
            square=True,
        ),
        "power-equalisation": Experiment(
            "Power equalisation",
            "",
            {"0": "original", "pow": "equalised"},
            _power,
            square=True,
            table="spectrum",
        ),
        "rotation": Experiment(
            "Rotation",
            "degrees, counter-clockwise",
            _numbers("0 90 180 270"),
            _pure(d.rotate),
            square=True,
        ),
        "false-colour": Experiment(
            "Opponent colour", "", {"true": "true", "false": "opponent"}, _false, table="curve"
        ),
        "eidolonI": _eidolons("I", 1.0),
        "eidolonII": _eidolons("II", 0.3),
        "eidolonIII": _eidolons("III", 0.0),
    }
)
