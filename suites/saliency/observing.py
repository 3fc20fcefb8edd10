"""What is kept of each gradient. Imported when a network is shown something, for it needs torch."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.contracts import Array, View
from suites.saliency.gradients import input_gradients, noise_of, smooth_gradient
from suites.saliency.localisation import (
    Flags,
    Floats,
    area_share,
    auc_of_own,
    average_ranks,
    mass_ratio,
    mean_auc_of_others,
    rank_accuracy,
    skill,
)
from suites.saliency.masks import Pool, masked, objects, own_masks, pool_of
from suites.saliency.metrics import MAIN
from suites.saliency.protocol import SHOWN, Config
from suites.saliency.references import reference_maps
from suites.saliency.targets import membership, target_rows
from suites.saliency.texture import centred_cosine, gini, grad_centroid, log_norm, saliency


def observe(config: Config, view: View) -> Mapping[str, Array]:
    """The answer [n] and, per image, every metric of the gradient; on the main sets, of the reference maps too."""
    images = view.images
    table = membership(view)
    shape = objects(view.block.stimuli)[view.index]
    textures = np.asarray(view.labels.get("texture", shape))
    textures = np.where(textures == "", shape, textures)
    targets = [target_rows(table, view.categories, shape)]
    if view.block.role == "cue-conflict" and bool((textures != shape).any()):
        targets.append(target_rows(table, view.categories, textures))
    found = [_array(part) for part in input_gradients(view.forward, images, targets)]
    place = _place(config, view, images)
    return {
        "response": view.responses,
        "area": area_share(place.masks),
        **_vanilla(_array(images), found[0], place),
        **_textured(found[1] if len(found) > 1 else None, shape != textures, place),
        **_smooth(config, view, targets[0], place),
        **(_references(_array(images), view, place) if view.block.role in MAIN else {}),
    }


@dataclass(frozen=True)
class _Place:
    """Where the objects of a batch are: own masks [n, h, w], their categories [n], the pool."""

    masks: Flags
    own: Array
    pool: Pool


def _areas(place: _Place, maps: Array, name: str) -> dict[str, Floats]:
    """AUC of maps [n, h, w] against the own mask, and its mean against masks of other categories."""
    ranks = average_ranks(maps)
    others = mean_auc_of_others(ranks, place.own, place.pool.masks, place.pool.categories)
    flat = place.masks.reshape(len(place.masks), -1)
    return {f"{name}_auc": auc_of_own(ranks, flat), f"{name}_auc_other": others}


def _place(config: Config, view: View, images: Tensor) -> _Place:
    source = masked(view.block.stimuli, (images.shape[2], images.shape[3]))
    own = objects(view.block.stimuli)[view.index]
    return _Place(own_masks(source, view.index), own, pool_of(source, config.pool))


def _vanilla(images: Array, gradients: Array, place: _Place) -> dict[str, Floats]:
    maps = saliency(gradients)
    return {
        **_areas(place, maps, "grad"),
        "mass_ratio": mass_ratio(maps, place.masks),
        "skill": skill(maps, place.masks),
        "rank_accuracy": rank_accuracy(maps, place.masks),
        "centroid": grad_centroid(gradients),
        "gini": gini(maps),
        "centred_cosine": centred_cosine(images, gradients),
        "log_norm": log_norm(gradients),
    }


def _textured(gradients: Array | None, conflict: Flags, place: _Place) -> dict[str, Floats]:
    """The same areas with the texture's category as target, on images whose cues disagree."""
    nothing = np.full(len(conflict), np.nan)
    if gradients is None:
        return {"texture_auc": nothing, "texture_auc_other": nothing}
    areas = _areas(place, saliency(gradients), "texture")
    return {name: np.where(conflict, values, np.nan) for name, values in areas.items()}


def _smooth(config: Config, view: View, target: Tensor, place: _Place) -> dict[str, Floats]:
    nothing = np.full(len(view.index), np.nan)
    if not config.draws or view.block.role != next(iter(SHOWN[view.block.stimuli.space])):
        return {"smooth_auc": nothing, "smooth_auc_other": nothing}
    images = view.images
    shape = tuple(images.shape[1:])
    noise = noise_of(view.seeds, shape, config.draws, config.sigma)
    added = [torch.from_numpy(part).to(images.device) for part in noise]
    gradients = smooth_gradient(view.forward, images, target, added)
    return _areas(place, saliency(_array(gradients)), "smooth")


def _references(images: Array, view: View, place: _Place) -> dict[str, Floats]:
    items = [view.block.stimuli.items[int(i)] for i in view.index]
    found: dict[str, Floats] = {}
    for name, maps in reference_maps(images, items).items():
        found |= _areas(place, maps, name)
    return found


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float32)
