"""Other maps, for pictures only. They are not scored: docs/suites/saliency.md says what each of them measures instead.

A picture function takes a network, one image [1, 3, h, w] in [0,1] and the outputs of its category [1, classes] bool.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isqrt

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.errors import ModelFailure, unknown_name
from registry.model import LoadedModel
from suites.saliency.config import Config
from suites.saliency.maps.gradients import (
    Forward,
    input_gradients,
    log_odds,
    noise_of,
    smooth_gradient,
)

STEPS, COPIES = 32, 16


@dataclass(frozen=True)
class Picture:
    """make: -> [1, 3, h, w] signed, or [1, h, w] >= 0. warning: why it is no score; "" where it is one."""

    make: Callable[[LoadedModel, Tensor, Tensor], Tensor]
    warning: str = ""


def gradient(model: LoadedModel, image: Tensor, target: Tensor) -> Tensor:
    """The gradient that the suite scores."""
    return input_gradients(model.forward, image, [target])[0]


def smoothed(model: LoadedModel, image: Tensor, target: Tensor) -> Tensor:
    """SmoothGrad, with more copies than the score takes."""
    shape = tuple(image.shape[1:])
    noise = noise_of(np.array([0], dtype=np.uint64), shape, COPIES, Config().sigma)
    return smooth_gradient(model.forward, image, target, list(torch.from_numpy(noise)))


def gradient_x_input(model: LoadedModel, image: Tensor, target: Tensor) -> Tensor:
    """Gradient times pixel value: black pixels are 0 whatever the network does."""
    return gradient(model, image, target) * image


def integrated_gradients(
    forward: Forward, image: Tensor, target: Tensor, steps: int = STEPS
) -> Tensor:
    """[1, 3, h, w] attributions from a black image to this one (Sundararajan et al. 2017), midpoint rule.

    They add up to the difference of the log-odds as `steps` grows. Gradients are taken a few steps at a time.
    """
    shares = (torch.arange(steps, dtype=torch.float32, device=image.device) + 0.5) / steps
    along = shares[:, None, None, None] * image
    (found,) = input_gradients(forward, along, [target.expand(steps, -1)])
    return found.mean(dim=0, keepdim=True) * image


def grad_cam(model: LoadedModel, image: Tensor, target: Tensor) -> Tensor:
    """[1, h, w] >= 0 at the image's size (Selvaraju et al. 2017), on the last features that have places.

    relu(sum_c w_c f_c), w_c the mean gradient of channel c. Raises ModelFailure where no layer keeps places.
    """
    kept: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _layer, _given, out: kept.append(out))
        for layer in _layers(model.module)
    ]
    try:
        with torch.enable_grad():
            score = log_odds(model.forward(image.detach().clone().requires_grad_()), target).sum()
    finally:
        for hook in hooks:
            hook.remove()
    tokens = len(hooks) == 1
    features = next((one for one in reversed(kept) if _has_places(one, tokens)), None)
    if features is None:
        raise ModelFailure(f"{model.card.name}: none of its layers keeps places for Grad-CAM")
    (slope,) = torch.autograd.grad(score, features)
    f, g = (_by_channel(model.module, one.detach()) for one in (features, slope))
    weights = g.mean(dim=(2, 3), keepdim=True)
    coarse = (weights * f).sum(dim=1, keepdim=True).relu()
    size = list(image.shape[2:])
    return functional.interpolate(coarse, size, mode="bilinear", align_corners=False)[:, 0]


def _layers(module: nn.Module) -> list[nn.Module]:
    """Where features may be: of a transformer the input of its last attention, for what comes after it reaches the
    class token alone; of other networks every layer."""
    blocks = getattr(module, "blocks", None)
    if hasattr(module, "num_prefix_tokens") and isinstance(blocks, nn.Sequential):
        last = getattr(blocks[-1], "norm1", None)
        if isinstance(last, nn.Module):
            return [last]
    return list(module.modules())


def _has_places(out: object, tokens: bool) -> bool:
    if not isinstance(out, Tensor) or not out.requires_grad:
        return False
    return out.dim() == 3 if tokens else out.dim() == 4 and min(out.shape[2:]) > 1


def _by_channel(module: nn.Module, features: Tensor) -> Tensor:
    """[1, channels, h, w] of features by channel, by token, or channels last."""
    if features.dim() == 3:
        tokens = features[:, int(getattr(module, "num_prefix_tokens", 0)) :]
        side = isqrt(tokens.shape[1])
        return tokens[:, : side * side].transpose(1, 2).reshape(len(tokens), -1, side, side)
    channels = getattr(module, "num_features", None)
    if channels == features.shape[3] != features.shape[1]:
        return features.permute(0, 3, 1, 2)
    return features


def _integrated(model: LoadedModel, image: Tensor, target: Tensor) -> Tensor:
    return integrated_gradients(model.forward, image, target)


BRIGHTNESS = "it follows the image's brightness, for an untrained network as for a trained one"
PICTURES: Mapping[str, Picture] = {
    "gradient": Picture(gradient),
    "smoothgrad": Picture(smoothed),
    "gradient-x-input": Picture(gradient_x_input, BRIGHTNESS),
    "integrated-gradients": Picture(_integrated, BRIGHTNESS),
    "grad-cam": Picture(
        grad_cam,
        "it points at the object even where decisions follow the ground, and is often empty",
    ),
}


def picture_named(name: str) -> Picture:
    """The picture of that name. Raises UnknownName with close matches."""
    if name not in PICTURES:
        raise unknown_name("map", name, PICTURES)
    return PICTURES[name]
