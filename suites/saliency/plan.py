"""Which stimuli are shown. Reading a leaderboard imports this module, so it must not import torch."""

from dataclasses import replace
from functools import cache
from typing import Any

from benchmark.contracts import Block, Plan, Shelf, Transform
from benchmark.failures import MissingStimuli
from benchmark.stimuli.datasets import subset
from benchmark.stimuli.roles import sets_of
from suites.saliency.config import CLICKED, CLICKME_SIDE, MASKED, OWN, SHOWN, SaliencyConfig


def plan(_config: SaliencyConfig, shelf: Shelf) -> Plan:
    """Plan images with object masks (conflict images whole, photographs as the card states), and with clicks."""
    counts, blocks = SHOWN.get(shelf.space, OWN), []
    sets, missing = sets_of(shelf, counts)
    for role, whole_set in sets.items():
        stimuli = subset(whole_set, counts[role])
        if role == CLICKED:
            whole = Transform(name="bilinear", params={"side": CLICKME_SIDE}, apply=_clickme_side)
            blocks.append(Block(stimuli=stimuli, transform=whole, presentation="whole", role=role))
            continue
        # Every network asks for the masks: each is drawn or read once.
        mask, ignored = (read and cache(read) for read in (stimuli.mask, stimuli.ignored))
        stimuli = replace(stimuli, mask=mask, ignored=ignored)
        blocks.append(Block(stimuli=stimuli, presentation="card" if role == MASKED else "whole", role=role))
    if not blocks:
        raise MissingStimuli("; ".join(missing.values()))
    return Plan(tuple(blocks), missing)


def _clickme_side(images: Any, _seeds: Any) -> Any:  # of tensors; its name is part of the trials' key
    from torch.nn import functional

    return functional.interpolate(images, (CLICKME_SIDE, CLICKME_SIDE), mode="bilinear", align_corners=False)
