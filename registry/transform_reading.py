"""A network's own transform as the fields of a card, if a card can express it exactly: read from its parts, and
tried on images."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from registry.cards import ModelCard, Preprocess
from registry.model import Pixels, present
from registry.own_transform import Given, Transform, network_input
from registry.preprocessing import StatedInput
from registry.user_errors import CardError

#: Largest difference of a pixel in [0,1] that the rounding of float32 explains.
_ROUNDING = 1e-5


def sample_images() -> list[Pixels]:
    """Return images of waves with odd and even sides, wider and higher, smaller and larger than usual inputs."""
    images = []
    for height, width in ((97, 150), (175, 97), (101, 102), (640, 501)):
        rows, columns = np.mgrid[:height, :width]
        waves = np.stack([np.sin(rows / 9 + columns / 13), np.cos(rows / 7 - columns / 17), columns / width], axis=2)
        images.append((127 + 120 * waves).astype(np.uint8))
    return images


def pixel_differences(images: Sequence[Pixels], fed: Sequence[Given], how: Preprocess) -> Iterator[NDArray[np.float64]]:
    """Yield how far pixels [h, w, 3] in [0,1], `fed` to a network, are from a card's; infinity for another shape."""
    for image, given in zip(images, fed, strict=True):
        theirs = np.moveaxis(np.asarray(given, dtype=np.float64), 0, -1) if isinstance(given, Tensor) else np.empty(0)
        shown = present([image], how, "card")[0][..., :: -1 if how.channels == "bgr" else 1]
        ours = (shown / 255 * how.scale - how.mean) / how.std
        yield np.abs(ours - theirs) * how.std / how.scale if ours.shape == theirs.shape else np.full(1, np.inf)


def read_transform(transform: Transform, where: str) -> StatedInput:
    """Return the fields of a card that feeds exactly what the transform does; otherwise of one whose network makes its
    input itself (`resize_mode` "own"). where: who states it."""
    images, fed = _fed(transform)
    parts = _fields(transform)
    for scale, channels in product((1.0, 255.0), ("rgb", "bgr")):
        fields = {**parts, "scale": scale, "channels": channels}
        try:
            how = Preprocess.model_validate(fields)
        except ValidationError:  # no size, a filter that cards do not have, a mean of another scale
            continue
        if _is_expressed(images, fed, how):
            return StatedInput(fields, where)
    shape = tuple(fed[-1].shape) if isinstance(fed[-1], Tensor) else ()
    side = min(max(shape[-2:]), 4096) if len(shape) == 3 else 224
    plain = {"mean": (0.0,) * 3, "std": (1.0,) * 3, "fixed_size": False}
    return StatedInput({**plain, "size": side, "resize": side, "resize_mode": "own"}, where)


def _fed(transform: Transform) -> tuple[list[Pixels], list[Given]]:
    images = sample_images()
    return images, [network_input(transform, torch.from_numpy(image).permute(2, 0, 1)) for image in images]


def _is_expressed(images: Sequence[Pixels], fed: Sequence[Given], how: Preprocess) -> bool:
    return all(gap.max() <= _ROUNDING for gap in pixel_differences(images, fed, how))


def _fields(transform: Any) -> dict[str, Any]:
    """Return the fields of a card that parts of a transform name; what is misread shows in the pixels."""
    fields: dict[str, Any] = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    for part in _parts(transform):
        kind, given = type(part).__name__, {**getattr(part, "__dict__", {})}
        if "interpolation" in given:
            chosen = given["interpolation"]
            name = Image.Resampling(chosen).name if isinstance(chosen, int) else str(getattr(chosen, "value", chosen))
            fields["interpolation"] = name.lower()
        if "Resize" in kind and "size" in given:
            sides = _sides(given["size"])
            squash = {"resize_mode": "squash", "size": sides[0]} if len(sides) == 2 else {}
            fields |= {"resize": sides[0], **squash}
        elif "Crop" in kind and "size" in given:
            fields["size"] = _sides(given["size"])[0]
        elif "resize_size" in given:  # of torchvision's weights
            fields |= {name: _sides(given[f"{key}_size"])[0] for name, key in (("resize", "resize"), ("size", "crop"))}
        if "mean" in given and "std" in given:
            fields |= {name: tuple(np.ravel(np.asarray(given[name], dtype=float)).tolist()) for name in ("mean", "std")}
    return fields


def _parts(transform: Any) -> Iterator[Any]:
    inner = getattr(transform, "transforms", None)
    if isinstance(inner, list | tuple | torch.nn.ModuleList):
        for part in inner:
            yield from _parts(part)
    else:
        yield transform


def _sides(size: Any) -> list[int]:
    return [int(side) for side in np.ravel(np.asarray(size))]


def kept_transform(own: Transform | None, card: ModelCard) -> Transform | None:
    """Return the transform that makes the input of a card's network; None where the card expresses it. own: what the
    network's factory returns. Raises CardError if it feeds other pixels than the card says."""
    if card.own_transform and own is not None:
        return own
    if own is not None and card.preprocess is not None and _is_expressed(*_fed(own), card.preprocess):
        return None
    why = f"the transform that {card.arch} returns is not the one of its card"
    raise CardError(f"model '{card.name}': {why}. Restore it, or register the network again (`--replace`).")
