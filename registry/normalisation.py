"""The normalisation of the input that a checkpoint holds beside the network, or that a network contains: buffers of
mean and deviation, or a first layer that does the same."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from registry.cards import Preprocess, Triple
from registry.user_errors import WeightsError

# Robustness, RobustBench, MMPretrain, detectron2 and many scripts save mean and deviation of the input beside the
# network, or put a layer before it. A card with another normalisation would score another network.

#: Names of buffers: "new_mean", "pixel_std", "mu", "sds", "inv_std".
FIELD = re.compile(
    r"_?(?:(?:new|input|pixel|image|img|imagenet|channel|rgb|data)_)?"
    r"(?:(?P<mean>means?|mu)|(?P<std>std|sigma|sds?|stds)|(?P<var>var|variance)|(?P<inverse>inv_?std|std_inv))"
)
_DEVIATION = {"std": torch.abs, "var": torch.sqrt, "inverse": torch.reciprocal}
#: Modules before a network: the first of a sequence, and what normalising ones are called.
BEFORE = re.compile(r"0|.*(?:norm|preproc|transform|scal|standardi|mean|stat|input|bn0|bn_data|data_bn).*", re.I)
#: Of a batch norm, unless somebody changed it: it is no tensor of the file.
_EPSILON = 1e-5
#: Published means are rounded to three or four digits.
_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Mean and standard deviation per channel of pixels in [0,1] * scale, and the names of both in the checkpoint."""

    mean: Triple
    std: Triple
    scale: float
    where: str


def scale_of(mean: Sequence[float], std: Sequence[float]) -> float:
    """Return the largest value of the pixels that have such statistics: 1 or 255."""
    return 255.0 if max(*mean, *std) > 1.5 else 1.0


def as_text(how: Preprocess | Normalisation) -> str:
    """Return mean, standard deviation and scale in words."""
    mean, std = ("(" + ", ".join(f"{value:g}" for value in values) + ")" for values in (how.mean, how.std))
    pixels = "" if how.scale == 1 else f" of pixels times {how.scale:g}"
    return f"mean {mean}, std {std}{pixels}"


def agrees(stated: Normalisation | Preprocess, how: Preprocess) -> bool:
    """Return whether both bring pixels to the same input, as far as published digits go."""
    ours = [value / how.scale for value in (*how.mean, *how.std)]
    theirs = [value / stated.scale for value in (*stated.mean, *stated.std)]
    return all(abs(a - b) <= _TOLERANCE for a, b in zip(ours, theirs, strict=True))


def normalising_parts(tensors: Mapping[str, Tensor]) -> Iterator[tuple[tuple[str, ...], Tensor, Tensor]]:
    """Yield the names, mean [3] and deviation [3] of everything that normalises an input of three channels."""
    groups = defaultdict[str, dict[str, str]](dict)
    for name in tensors:
        place, _, field = name.rpartition(".")
        groups[place][field] = name
    for place, fields in groups.items():
        kinds = {match.lastgroup: name for field, name in fields.items() if (match := FIELD.fullmatch(field))}
        kinds = {kind: name for kind, name in kinds.items() if tensors[name].numel() in (1, 3)}
        if "mean" in kinds and len(kinds) == 2:
            (other,) = kinds.keys() - {"mean"}
            mean, spread = (tensors[kinds[kind]].detach().float().reshape(-1) for kind in ("mean", str(other)))
            yield tuple(kinds.values()), mean.expand(3), _DEVIATION[str(other)](spread).expand(3)
        elif BEFORE.fullmatch(place.rpartition(".")[2]):
            layer = {field: tensors[name].detach().double() for field, name in fields.items()}
            if (statistics := _of_layer(layer)) is not None:
                yield tuple(fields.values()), statistics[0].float(), statistics[1].float()


def _of_layer(layer: Mapping[str, Tensor]) -> tuple[Tensor, Tensor] | None:
    """Return mean and deviation of a batch norm of three channels, or of a 1x1 convolution that mixes none."""
    weight, bias = layer.get("weight"), layer.get("bias", torch.zeros(3))
    if bias.shape != (3,) or layer.keys() - {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}:
        return None
    if {"running_mean", "running_var"} <= layer.keys() and layer["running_mean"].shape == (3,):
        mean, spread = layer["running_mean"], (layer["running_var"] + _EPSILON).sqrt()
        if min(mean) < 0 or max(spread) > 0.6 * scale_of(mean.tolist(), [0.0]):
            return None  # its input was no pixels: numbers within 0..1 have a deviation of .5 at most
        std = spread / (torch.ones(3) if weight is None else weight)
        return mean - bias * std, std
    if weight is None or weight.shape not in ((3, 1, 1, 1), (3, 3, 1, 1), (3, 3)):
        return None
    factors = weight.reshape(3, -1)
    if factors.shape[1] == 3:
        if not torch.equal(factors, factors.diag().diag()):
            return None
        factors = factors.diag()
    std = 1 / factors.reshape(3)
    return -bias * std, std


def may_normalise(name: str, tensor: Tensor) -> bool:
    """Return whether a tensor may be of what changes an input: statistics, a batch norm or layer of 3 channels."""
    field = name.rpartition(".")[2]
    statistics = FIELD.fullmatch(field) and tensor.numel() in (1, 3)
    norm = field in ("running_mean", "running_var") and tensor.shape == (3,)
    return bool(statistics or norm or (tensor.shape[0:2] in ((3, 3), (3, 1)) and tensor.dim() in (2, 4)))


def stated_in(tensors: Mapping[str, Tensor], origin: str) -> Normalisation | None:
    """Return the normalisation that tensors beside a network state (name without wrappers -> tensor); None if they
    state none. Raises WeightsError if copies contradict one another or no card can express it."""
    found: dict[tuple[Triple, Triple], str] = {}
    for names, *statistics in normalising_parts(tensors):
        # the shortest form that gives the same float32
        plain = [float(str(np.float32(value))) for values in statistics for value in values.tolist()]
        found.setdefault(((plain[0], plain[1], plain[2]), (plain[3], plain[4], plain[5])), ", ".join(names))
    if not found:
        return None
    if len(found) > 1:
        every = " and ".join(f"{where} {mean}, {std}" for (mean, std), where in found.items())
        raise WeightsError(f"{origin} holds {len(found)} different normalisations: {every}. Save the right one.")
    (((mean, std), where),) = found.items()
    scale = scale_of(mean, std)
    if not (min(std) > 0 <= min(mean) and max(mean) <= scale and np.isfinite([*mean, *std]).all()):
        how = f"{where}, which no option expresses (mean {mean}, std {std})"
        raise WeightsError(f"checkpoint {origin} holds {how}: register a function (--arch python:FILE.py:FUNCTION).")
    return Normalisation(mean=mean, std=std, scale=scale, where=where)
