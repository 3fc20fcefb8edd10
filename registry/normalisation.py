"""The normalisation that some training scripts save inside the checkpoint: robustness, RobustBench and
most code of the MadryLab put the mean and standard deviation of the input beside the network.

It says how the network's input was made. A card that assumes another one would score another network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from registry.cards import ModelCard, Preprocess, Triple
from registry.errors import WeightsError

Named = Sequence[tuple[str, Tensor]]
#: "normalizer.new_mean", "normalize.std", "0.mean" (the first of two in a sequence), "mu", "sigma".
_NAME = re.compile(
    r"(?:(?:input_)?(?:normali[sz](?:er?|ation)|norm_layer|preprocess(?:ing)?|0)\.)?"
    r"(?:new_|input_)?(?:(?P<mean>mean|mu)|(?P<std>std|sigma))"
)
#: Attributes that wrap a network beside its input statistics: DataParallel, torch.compile, Lightning,
#: robustness libraries, a program of a fixed batch. "1." is the network after a normalisation in a sequence of two.
_WRAPPERS = frozenset(
    {"module", "_orig_mod", "model", "net", "network", "attacker", "ema_model", "program", "1"}
)
#: Published means are rounded to three or four digits.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation per channel of pixels in [0,1] * scale, and the names of both in the
    checkpoint.
    """

    mean: Triple
    std: Triple
    scale: float
    where: str

    def __str__(self) -> str:
        return _text(self.mean, self.std, self.scale)


def as_text(how: Preprocess) -> str:
    """Mean, standard deviation and scale in words."""
    return _text(how.mean, how.std, how.scale)


def _text(mean: Triple, std: Triple, scale: float) -> str:
    pixels = "" if scale == 1 else f" of pixels times {scale:g}"
    return f"mean {_numbers(mean)}, std {_numbers(std)}{pixels}"


def _numbers(values: Triple) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


def stated_in(found: Named, origin: str) -> Normalisation | None:
    """The normalisation that a checkpoint's input statistics state; None where there is not both a mean
    and a standard deviation.

    found: (key without wrappers, tensor), copies included. Raises WeightsError where copies contradict
    one another or are not one number a channel, with standard deviations above 0.
    """
    means, stds = (_kind(found, kind) for kind in ("mean", "std"))
    if not means or not stds:
        return None
    mean, std = _one(means, origin), _one(stds, origin)
    if min(std) <= 0:
        raise WeightsError(f"checkpoint {origin}: {stds[0][0]} must be above 0, found {std}.")
    where = f"{means[0][0]}, {stds[0][0]}"
    return Normalisation(mean, std, 255.0 if max(mean) > 1.5 else 1.0, where)


def kind_of(bare: str) -> str:
    """ "mean", "std" or "" for a key without its wrappers."""
    match = _NAME.fullmatch(bare)
    return "" if match is None else "mean" if match["mean"] else "std"


def bare_name(name: str, more: Set[str] = frozenset()) -> str:
    """A key without what wraps its network: the usual attributes, and `more`."""
    while "." in name and name.partition(".")[0] in _WRAPPERS | more:
        name = name.partition(".")[2]
    return name


def require_once(state: Mapping[str, Tensor], card: ModelCard) -> None:
    """Raise WeightsError where the network that has this state normalises its input, and the card does so too."""
    how = card.preprocess
    if how is None or (how.mean, how.std) == ((0, 0, 0), (1, 1, 1)):
        return
    own = {
        kind_of(bare_name(name)): name
        for name, tensor in state.items()
        if kind_of(bare_name(name)) and tensor.numel() in (1, 3)
    }
    if {"mean", "std"} <= own.keys():
        raise WeightsError(
            f"the network of model '{card.name}' normalises its input itself ({own['mean']}, {own['std']}), and its "
            f"preprocessing says {as_text(how)}: the input would be normalised twice. Give --mean 0,0,0 --std 1,1,1."
        )


def _kind(found: Named, kind: str) -> list[tuple[str, Tensor]]:
    return [(name, tensor) for name, tensor in found if kind_of(name) == kind]


def _one(copies: Named, origin: str) -> Triple:
    """The three numbers that all copies hold, in the shortest form that gives the same float32."""
    values: set[Triple] = set()
    for name, tensor in copies:
        flat = tensor.detach().float().reshape(-1)
        if len(flat) not in (1, 3) or not bool(flat.isfinite().all()):
            raise WeightsError(
                f"checkpoint {origin}: {name} {tuple(tensor.shape)} should be one number a channel."
            )
        red, green, blue = (float(str(np.float32(value))) for value in flat.expand(3).tolist())
        values.add((red, green, blue))
    if len(values) > 1:
        raise WeightsError(
            f"checkpoint {origin} holds {len(values)} different normalisations under "
            f"{', '.join(name for name, _ in copies)}: {' and '.join(map(_numbers, sorted(values)))}. "
            "Save the one that the network was evaluated with."
        )
    return values.pop()


def require_agreement(stated: Normalisation | None, card: ModelCard, origin: str) -> None:
    """Raise WeightsError, with both printed, where a checkpoint says otherwise than the card."""
    how = card.preprocess
    if stated is None or how is None or agrees(stated, how):
        return
    raise WeightsError(
        f"checkpoint {origin} holds a normalisation ({stated.where}): {stated}. The preprocessing of "
        f"model '{card.name}' says {as_text(how)}. One of them is wrong, and "
        "every score would be of another network: leave out --mean, --std and --scale to take the "
        "checkpoint's, or save the weights without it."
    )


def agrees(stated: Normalisation, how: Preprocess) -> bool:
    """Whether both bring pixels to the same input, as far as published digits go."""
    mine = [value / how.scale for value in (*how.mean, *how.std)]
    theirs = [value / stated.scale for value in (*stated.mean, *stated.std)]
    return all(abs(a - b) <= TOLERANCE for a, b in zip(mine, theirs, strict=True))
