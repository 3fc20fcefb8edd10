"""Which stimuli are shown. Reading a leaderboard imports this module, so it must not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.contracts import Array, Block, Plan, Shelf, Stimuli, View
from benchmark.stimuli.sets import subset

#: Decision space -> role -> how many images, evenly spaced; the first role is the one that the board ranks by. The
#: built-in conflict sets go through all pairs of shape and texture in turn: a prime number of images meets every
#: shape and every texture about alike.
SHOWN: Mapping[str, Mapping[str, int]] = {
    "world16": {
        "natural": 192,
        "cue-conflict": 137,
        "cue-conflict-alpha0": 97,
        "cue-conflict-alpha1": 97,
    },
    "geirhos16": {"cue-conflict": 320},
}


@dataclass(frozen=True)
class Config:
    """draws: noisy copies per image for SmoothGrad, on the first role (0: none); sigma: their noise, of the range
    [0,1]; pool: how many masks a map is held against (with the published conflict set: each silhouette once)."""

    draws: int = 4
    sigma: float = 0.15
    pool: int = 160


def plan(_config: Config, shelf: Shelf) -> Plan:
    """Images with object masks, whole, so that the masks lie pixel on pixel: conflict images; in the built-in world
    natural ones first, and conflict images with the texture on the object alone (alpha 0) or all over (alpha 1).
    """
    sizes = SHOWN[shelf.space]
    return Plan(tuple(_block(role, subset(shelf.find(role), n)) for role, n in sizes.items()))


def observe(config: Config, view: View) -> Mapping[str, Array]:
    """The answer [n] and, per image, every metric of the gradient (see `observing`)."""
    from suites.saliency.observing import observe as measure

    return measure(config, view)


def _block(role: str, stimuli: Stimuli) -> Block:
    return Block(stimuli, presentation="whole", role=role)
