"""Galleries of maps, also of maps that are not scored (docs/suites/saliency.md gives the reasons). A map is made of a
network, one image [1, 3, h, w] in [0,1] and the outputs of its category [1, classes] bool."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from benchmark.contracts import Array, Stimuli
from benchmark.failures import ModelFailure, unknown_name
from registry.labels import decide
from registry.model import LoadedModel
from suites.saliency.config import SaliencyConfig
from suites.saliency.maps.gradients import input_gradients, log_odds, membership, noise_of, smooth_gradient, target_rows
from suites.saliency.saliency_columns import untrained

STEPS, COPIES = 32, 16

#: A map of a network: (network, image, outputs of its category) -> [1, 3, h, w] signed, or [1, h, w] >= 0.
Make = Callable[[LoadedModel, Tensor, Tensor], Tensor]


def gradient(model: LoadedModel, image: Tensor, target: Tensor) -> Tensor:
    """Return the gradient that the suite scores."""
    return input_gradients(model.forward, image, [target])[0]


def smoothed(model: LoadedModel, image: Tensor, target: Tensor) -> Tensor:
    """Return SmoothGrad, with more copies than the score takes."""
    noise = noise_of(np.zeros(1, np.uint64), tuple(image.shape[1:]), COPIES, SaliencyConfig().sigma)
    return smooth_gradient(model.forward, image, target, noise)


def gradient_x_input(model: LoadedModel, image: Tensor, target: Tensor) -> Tensor:
    """Return the gradient times pixel value: black pixels are 0 whatever the network does."""
    return gradient(model, image, target) * image


def integrated_gradients(model: LoadedModel, image: Tensor, target: Tensor, steps: int = STEPS) -> Tensor:
    """Return [1, 3, h, w] attributions from a black image to this one (Sundararajan et al. 2017), midpoint rule."""
    shares = (torch.arange(steps, dtype=torch.float32, device=image.device) + 0.5) / steps
    along = shares[:, None, None, None] * image
    (slopes,) = input_gradients(model.forward, along, [target.expand(steps, -1)])
    return slopes.mean(dim=0, keepdim=True) * image


def grad_cam(model: LoadedModel, image: Tensor, target: Tensor) -> Tensor:
    """Return [1, h, w] >= 0 (Selvaraju et al. 2017). Raises ModelFailure where features are tokens (transformers)."""
    kept: list[Tensor] = []
    layers = model.module.modules()
    hooks = [layer.register_forward_hook(lambda _layer, _given, out: kept.append(out)) for layer in layers]
    try:
        with torch.enable_grad():
            score = log_odds(model.forward(image.detach().clone().requires_grad_()), target).sum()
    finally:
        for hook in hooks:
            hook.remove()
    graded = (f for f in reversed(kept) if isinstance(f, Tensor) and f.requires_grad and f.dim() in (3, 4))
    features = next((f for f in graded if min(f.shape[2:]) > 1), None)
    if features is None or features.dim() == 3:  # tokens
        raise ModelFailure(f"{model.card.name}: none of its layers keeps places for Grad-CAM")
    (slope,) = torch.autograd.grad(score, features)
    channels = getattr(model.module, "num_features", None)
    last = channels == features.shape[3] != features.shape[1]
    f, g = (part.detach().permute(0, 3, 1, 2) if last else part.detach() for part in (features, slope))
    coarse = (g.mean(dim=(2, 3), keepdim=True) * f).sum(dim=1, keepdim=True).relu()
    return functional.interpolate(coarse, image.shape[2:], mode="bilinear", align_corners=False)[:, 0]


BRIGHTNESS = "it follows the image's brightness, for an untrained network as for a trained one"
#: Name -> the map, and why it is no score; "" where it is one.
PICTURES: Mapping[str, tuple[Make, str]] = {
    "gradient": (gradient, ""),
    "smoothgrad": (smoothed, ""),
    "gradient-x-input": (gradient_x_input, BRIGHTNESS),
    "integrated-gradients": (integrated_gradients, BRIGHTNESS),
    "grad-cam": (grad_cam, "it points at the object even where decisions follow the ground, and is often empty"),
}


# The gradient figure of Tsipras et al. (2019): signed gradients as colour, one row a network, one column an image.
# Stimuli are chosen by a rule, never by looks, and nothing is smoothed.

Pixels = NDArray[np.uint8]
SMALL = 112


@dataclass(frozen=True, kw_only=True)
class GalleryRow:
    """One row of the figure: tiles [h, w, 3] uint8 of any size, a caption below each ("" for none)."""

    name: str
    tiles: tuple[Pixels, ...]
    captions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Pictures of the maps of several models."""

    rows: tuple[GalleryRow, ...]  # the figure, images first
    masks: tuple[Pixels, ...]  # the objects as white on black; none if the set has no masks
    warning: str  # why such a map is not a score ("" if it is one)


def chosen_stimuli(stimuli: Stimuli, count: int) -> tuple[int, ...]:
    """Return the positions of at most `count` stimuli: the first of each category, categories evenly spaced by name."""
    names, first = np.unique(np.asarray(stimuli.labels["category"]), return_index=True)
    count = min(count, len(names))
    return tuple(int(first[i * len(names) // count]) for i in range(count))


def map_picture(values: Array) -> Pixels:
    """Return signed maps [3, h, w] as colour, maps [h, w] >= 0 as grey: white is their 99th percentile."""
    if values.ndim == 3:  # clipped at mean +- 3 standard deviations, that range on [0, 255]
        values = np.asarray(values, dtype=np.float64).transpose(1, 2, 0)
        mean, deviation = values.mean(), values.std()
        if not np.isfinite(deviation) or deviation == 0:
            return np.full(values.shape, 128, dtype=np.uint8)
        return np.asarray(np.round(255 * np.clip((values - mean) / (6 * deviation) + 0.5, 0, 1)), dtype=np.uint8)
    top = float(np.percentile(values, 99)) if np.isfinite(values).all() else 0.0
    unit = np.clip(values / top, 0, 1) if top > 0 else np.zeros(values.shape)
    return np.asarray(np.round(255 * unit), dtype=np.uint8)[..., None].repeat(3, axis=2)


def draw_gallery(
    models: Sequence[LoadedModel], stimuli: Stimuli, count: int, *, random: bool = False, kind: str = "gradient"
) -> Gallery:
    """Return the figure of `models`; random: a last row, the first one untrained; kind: a name of `PICTURES`."""
    if kind not in PICTURES:
        raise unknown_name("map", kind, PICTURES)
    (make, warning), index = PICTURES[kind], chosen_stimuli(stimuli, count)
    names: Array = np.asarray(stimuli.labels["category"])[list(index)]
    images = [stimuli.decode(i) for i in index]
    rows = [GalleryRow(name="image", tiles=tuple(images), captions=tuple(map(str, names)))]
    rows += [_row(model, stimuli.space, images, names, make) for model in models]
    if random:
        rows.append(replace(_row(untrained(models[0]), stimuli.space, images, names, make), name="random weights"))
    masks = () if stimuli.mask is None else (stimuli.mask(i)[..., None].repeat(3, axis=2) for i in index)
    return Gallery(rows=tuple(rows), masks=tuple(255 * mask.astype(np.uint8) for mask in masks), warning=warning)


def tile_strip(tiles: Sequence[Pixels]) -> Image.Image:
    """Return a row of tiles for a report, small: every second, third, ... pixel, for an average would look smoother."""
    steps = [-(-max(tile.shape[:2]) // SMALL) for tile in tiles]
    small = [tile[::step, ::step] for tile, step in zip(tiles, steps, strict=True)]
    height, width = (max(tile.shape[axis] for tile in small) for axis in (0, 1))
    room = [((0, height - len(tile)), (0, width - tile.shape[1]), (0, 0)) for tile in small]
    padded = [np.pad(tile, free, constant_values=255) for tile, free in zip(small, room, strict=True)]
    return Image.fromarray(np.hstack(padded))


def _row(model: LoadedModel, space: str, images: Sequence[Pixels], names: Array, make: Make) -> GalleryRow:
    """Return a network's maps, one image at a time; under each its answer and the right one's probability."""
    grouping = model.labels.grouping(space)
    table = membership(grouping.indices, len(model.labels.classes))
    tiles, captions = [], []
    for image, name in zip(images, names.tolist(), strict=True):
        pixels = model.fit(model.prepare([image], "whole"))
        target = target_rows(table, grouping.categories, np.asarray([name]))
        tiles.append(map_picture(make(model, pixels, target)[0].numpy()))
        with torch.no_grad():
            logits = model.forward(pixels)
        answer = grouping.categories[int(decide(logits, grouping).argmax(1))]
        share = f"{float(logits.double().softmax(1)[target].sum()):.2f}"
        captions.append(f"{name} {share}" if answer == name else f"says {answer} ({share})")
    return GalleryRow(name=model.card.name, tiles=tuple(tiles), captions=tuple(captions))
