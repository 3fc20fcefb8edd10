"""Which stimuli are shown. Reading a leaderboard imports this module, so it must not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Block, Plan, Shelf, Stimuli, Transform, View
from benchmark.errors import MissingStimuli
from benchmark.stimuli.sets import subset
from suites.saliency.masks import kept

if TYPE_CHECKING:
    from torch import Tensor

CONFLICT, NATURAL, MASKED, CLICKED = "cue-conflict", "natural", "natural-masked", "clickme"
#: Decision space -> role -> how many images, evenly spaced. The built-in conflict sets go through all pairs of shape
#: and texture in turn: a prime number of images meets every shape and every texture about alike.
SHOWN: Mapping[str, Mapping[str, int]] = {
    "world16": {NATURAL: 192, CONFLICT: 137, f"{CONFLICT}-alpha0": 97, f"{CONFLICT}-alpha1": 97},
    "geirhos16": {CONFLICT: 320, MASKED: 320},
    "imagenet1k": {MASKED: 320, CLICKED: 320},
}
#: The roles that have a board of their own; in the built-in world the natural images alone.
BOARDS = (NATURAL, MASKED, CONFLICT)
#: Side in pixels at which the published scores of ClickMe show its images.
CLICKME_SIDE = 224


@dataclass(frozen=True)
class Config:
    """draws: noisy copies per image for SmoothGrad, on the sets that have a board (0: none); sigma: their noise, of
    the range [0,1]; pool: how many masks a map is held against, evenly spaced over the set; added: (name, digest of
    the code) of other packages' maps and measures."""

    draws: int = 4
    sigma: float = 0.15
    pool: int = 160
    added: tuple[tuple[str, str], ...] = ()


def plan(_config: Config, shelf: Shelf) -> Plan:
    """Images with object masks: conflict images, whole, so that the masks lie pixel on pixel; where the user has
    them, photographs with masks, cropped as the card says, and images with maps of people's clicks; in the built-in
    world natural images, and conflict images with the texture on the object alone (alpha 0) or all over (alpha 1).

    Raises MissingStimuli where none of a space's sets is here.
    """
    blocks, missing = [], {}
    for role, count in SHOWN[shelf.space].items():
        try:
            blocks.append(_block(role, subset(shelf.find(role), count)))
        except MissingStimuli as error:
            missing[role] = str(error)
    if not blocks:
        raise MissingStimuli("; ".join(missing.values()))
    return Plan(tuple(blocks), missing)


def observe(config: Config, view: View) -> Mapping[str, Array]:
    """The answer [n] and, per image, every metric of the gradient (see `observing`)."""
    from suites.saliency.observing import observe as measure

    return measure(config, view)


def has_board(block: Block) -> bool:
    """Whether the main metrics of a block rank: SmoothGrad is computed on those alone."""
    return block.role == BOARDS[0] or (
        block.role in BOARDS and NATURAL not in SHOWN[block.stimuli.space]
    )


def has_references(block: Block) -> bool:
    """Whether reference maps stand beside a block's scores."""
    return block.role in BOARDS


def _block(role: str, stimuli: Stimuli) -> Block:
    if role == CLICKED:
        whole = Transform("bilinear", {"side": CLICKME_SIDE}, _clickme_side)
        return Block(stimuli, transform=whole, presentation="whole", role=role)
    return Block(kept(stimuli), presentation="card" if role == MASKED else "whole", role=role)


def _clickme_side(images: Tensor, _seeds: NDArray[np.uint64]) -> Tensor:
    """Whole images at the published size, bilinear without antialiasing."""
    from torch.nn import functional

    side = (CLICKME_SIDE, CLICKME_SIDE)
    return functional.interpolate(images, side, mode="bilinear", align_corners=False)
