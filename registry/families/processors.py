"""What transformers' image processors do, as fields of `Preprocess`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry.documents import MOST_BYTES, shown
from registry.errors import CardError
from registry.families.extras import library
from registry.places import is_file
from registry.stated_input import Stated

FILE = "preprocessor_config.json"
#: PIL's numbers of the filters that a card can name.
_FILTERS = {0: "nearest", 2: "bilinear", 3: "bicubic"}
#: From this side on ConvNeXt's processor brings both sides to the size and crops nothing.
_WARPED_FROM = 384


def stated_by_processor(folder: Path, config: Mapping[str, Any]) -> Stated:
    """What a folder's preprocessor_config.json states, with what its class adds; no more than the size where there is
    none. Raises CardError for what no card can say.
    """
    file = folder / FILE
    if not is_file(file):
        side = config.get("image_size")
        size = {"size": side, "resize": side} if isinstance(side, int) else {}
        return Stated(size, "config.json (no preprocessor_config.json)")
    if file.stat().st_size > MOST_BYTES:
        raise CardError(f"{shown(file)} is larger than {MOST_BYTES // 2**20} MiB: not read.")
    try:
        return Stated(fields_of(_processor(folder)), f"{FILE} of {shown(folder.name)}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CardError(
            f"{shown(file)}: {type(error).__name__}: {shown(error)}. Expected the image processor of a classifier."
        ) from error


def _processor(folder: Path) -> dict[str, Any]:
    """The processor's settings, with the defaults of its class."""
    transformers = library("transformers", "hf", "arch 'hf:...'")
    try:
        found = transformers.AutoImageProcessor.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise CardError(
            f"{shown(folder / FILE)}: transformers cannot read it ({shown(reason)})."
        ) from error
    plain: dict[str, Any] = json.loads(found.to_json_string())
    return plain


def fields_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `Preprocess` from a processor's settings. Raises ValueError, KeyError or TypeError for what is none."""
    given = {name: value for name, value in settings.items() if value is not None}
    fields = {**_resizing(given), **_levels(given)}
    if "resample" in given:
        number = int(given["resample"])
        if number not in _FILTERS:
            raise ValueError(f"resample {number} is no filter of a card: {_FILTERS}")
        fields["interpolation"] = _FILTERS[number]
    if given.get("do_flip_channel_order"):
        fields["channels"] = "bgr"
    return fields


def _resizing(given: Mapping[str, Any]) -> dict[str, Any]:
    """Size, resize and what it means, in pixels."""
    if not given.get("do_resize"):
        raise ValueError("do_resize is off: images of any size reach the network as they are")
    crops = bool(given.get("do_center_crop"))
    size = given["size"]
    if "crop_pct" in given and "shortest_edge" in size:
        side = int(size["shortest_edge"])
        if side < _WARPED_FROM:
            return {"size": side, "resize": int(side / given["crop_pct"])}
        return {"size": side, "resize": side, "resize_mode": "squash"}
    if "shortest_edge" in size:
        edge = int(size["shortest_edge"])
        return {"size": _square(given["crop_size"]) if crops else edge, "resize": edge}
    side = _square(size)
    inner = _square(given["crop_size"]) if crops else side
    return {"size": inner, "resize": side, "resize_mode": "squash"}


def _square(size: Mapping[str, Any] | int) -> int:
    if isinstance(size, int):
        return size
    if size["height"] != size["width"]:
        raise ValueError(f"the input is no square: {size['height']} x {size['width']}")
    return int(size["height"])


def _levels(given: Mapping[str, Any]) -> dict[str, Any]:
    """Mean, standard deviation and scale of pixels in [0,1]."""
    scale, offset = 255.0, 0.0
    if given.get("do_rescale"):
        scale = 255 * float(given.get("rescale_factor", 1 / 255))
        offset = 1.0 if given.get("rescale_offset") else 0.0
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if given.get("do_normalize"):
        mean, std = tuple(given["image_mean"]), tuple(given["image_std"])
    if given.get("include_top"):  # EfficientNet's processor divides by the deviation once more
        again = std if given.get("do_normalize") else tuple(given["image_std"])
        std = tuple(one * two for one, two in zip(std, again, strict=True))
    fields: dict[str, Any] = {"mean": tuple(value + offset for value in mean), "std": std}
    if abs(scale - 1) > 1e-6:
        fields["scale"] = scale
    return fields
