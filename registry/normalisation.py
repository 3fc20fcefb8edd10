"""The normalisation that some training scripts save inside the checkpoint: robustness, RobustBench and most code of the
MadryLab put the mean and standard deviation of the input beside the network.

A card with another normalisation would score another network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from registry.cards import ModelCard, Preprocess, Triple
from registry.errors import WeightsError

#: "normalizer.new_mean", "normalize.std", "0.mean" (the first of two in a sequence), "mu", "sigma".
_NAME = re.compile(
    r"(?:(?:input_)?(?:normali[sz](?:er?|ation)|norm_layer|preprocess(?:ing)?|0)\.)?"
    r"(?:new_|input_)?(?:(?P<mean>mean|mu)|(?P<std>std|sigma))"
)
#: Attributes that wrap a network beside its input statistics: DataParallel, torch.compile, Lightning, robustness
#: libraries, a program of a fixed batch. "1." is the network after a normalisation in a sequence of two.
_ATTRIBUTES = frozenset({"module", "_orig_mod", "model", "net", "network", "attacker", "ema_model", "program", "1"})
#: Published means are rounded to three or four digits.
TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Mean and standard deviation per channel of pixels in [0,1] * scale, and the names of both in the checkpoint."""

    mean: Triple
    std: Triple
    scale: float
    where: str


def as_text(how: Preprocess | Normalisation) -> str:
    """Mean, standard deviation and scale in words."""
    mean, std = ("(" + ", ".join(f"{value:g}" for value in values) + ")" for values in (how.mean, how.std))
    pixels = "" if how.scale == 1 else f" of pixels times {how.scale:g}"
    return f"mean {mean}, std {std}{pixels}"


def stated_in(statistics: Sequence[tuple[str, Tensor]], origin: str) -> Normalisation | None:
    """Return the normalisation that a checkpoint's input statistics state; None if there is not both a mean and a
    standard deviation.

    statistics: (key without wrappers, tensor), copies included. Raises WeightsError if copies contradict one another
    or are not one number a channel, with standard deviations above 0."""
    values: dict[str, set[Triple]] = {"mean": set(), "std": set()}
    names: dict[str, str] = {}
    for name, tensor in statistics:
        flat = tensor.detach().float().reshape(-1)
        if len(flat) not in (1, 3) or not bool(flat.isfinite().all()):
            raise WeightsError(f"checkpoint {origin}: {name} {tuple(tensor.shape)} should be one number a channel.")
        # The shortest form that gives the same float32.
        red, green, blue = (float(str(np.float32(value))) for value in flat.expand(3).tolist())
        values[statistic(name)].add((red, green, blue))
        names.setdefault(statistic(name), name)
    if len(names) < 2:
        return None
    for kind, copies in values.items():
        if len(copies) > 1:
            raise WeightsError(
                f"checkpoint {origin} holds {len(copies)} different normalisations: {names[kind]} is "
                f"{' and '.join(map(str, sorted(copies)))}. Save the one that the network was evaluated with."
            )
    ((mean,), (std,)) = values.values()
    if min(std) <= 0:
        raise WeightsError(f"checkpoint {origin}: {names['std']} must be above 0, found {std}.")
    return Normalisation(
        mean=mean, std=std, scale=255.0 if max(mean) > 1.5 else 1.0, where=f"{names['mean']}, {names['std']}"
    )


def statistic(key: str) -> str:
    """ "mean", "std" or "" for a key without its wrappers."""
    match = _NAME.fullmatch(key)
    return "" if match is None else "mean" if match["mean"] else "std"


def unwrapped(key: str, more: Set[str] = frozenset()) -> str:
    """Return a key without the usual wrapping attributes and those in `more`."""
    while "." in key and key.partition(".")[0] in _ATTRIBUTES | more:
        key = key.partition(".")[2]
    return key


def require_once(state: Mapping[str, Tensor], card: ModelCard) -> None:
    """Raise WeightsError if the network that has this state normalises its input, and the card does so too."""
    how = card.preprocess
    if how is None or (how.mean, how.std) == ((0, 0, 0), (1, 1, 1)):
        return
    own = {statistic(unwrapped(name)): name for name, tensor in state.items() if tensor.numel() in (1, 3)}
    if {"mean", "std"} <= own.keys():
        raise WeightsError(
            f"the network of model '{card.name}' normalises its input itself ({own['mean']}, {own['std']}), and its "
            f"preprocessing says {as_text(how)}: the input would be normalised twice. Give --mean 0,0,0 --std 1,1,1."
        )


def agrees(stated: Normalisation, how: Preprocess) -> bool:
    """Whether both bring pixels to the same input, as far as published digits go."""
    ours = [value / how.scale for value in (*how.mean, *how.std)]
    theirs = [value / stated.scale for value in (*stated.mean, *stated.std)]
    return all(abs(a - b) <= TOLERANCE for a, b in zip(ours, theirs, strict=True))
