"""ImageNet-C (Hendrycks and Dietterich 2019): 15 common corruptions and 4 extra ones, 5 severities.

`corruption(name, severity)` gives the transform; the constants are in `benchmark.transforms.corruptions`.
They are those of the published code at 224 px and are pixels of the image that is shown, so they mean
the benchmark only at that size.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmark.contracts import Transform
from benchmark.errors import StimuliError, unknown_name
from benchmark.transforms import digital, weather
from benchmark.transforms.batches import Seeds, in_parts
from benchmark.transforms.corruptions import CORRUPTIONS, Corruption
from benchmark.transforms.listing import own_list
from benchmark.transforms.pixels import grey_levels, stored_levels
from benchmark.transforms.streams import Draws, Streams

__all__ = [
    "CORRUPTIONS",
    "SIZE",
    "VERSION",
    "corrupted",
    "corruption",
    "load_textures",
    "names",
]

VERSION = 1  # raised whenever any pixel of any corruption changes
SIZE = 224  # px that the constants were published for


def corruption(
    name: str,
    severity: int,
    frost: Sequence[Path | str | weather.Texture] | None = None,
    jpeg85: bool = False,
    quantise: str = "truncate",
) -> Transform:
    """The transform of one corruption at one severity, 1 to 5.

    Its `apply` gives uint8 for uint8 and float32 in [0,1] for floating-point images in [0,1].
    frost: files of the published textures, frost1 to frost5 or frost6, or the pictures themselves (HWC uint8 RGB),
    for the corruption "frost";
    jpeg85: store the result as the published folder does, as a JPEG of quality 85;
    quantise: drop the fraction of a level ("truncate", as published) or "round".
    """
    what = _known(name, severity)
    if quantise not in ("truncate", "round"):
        raise StimuliError(f"quantise must be truncate or round; it was {quantise}")
    constants = what.constants[severity - 1]
    params = _params(what, severity) | {"jpeg85": jpeg85, "quantise": quantise}
    if name == "frost":
        textures = load_textures(frost or ())
        constants = (*constants, textures)
        params["textures"] = [_digest(texture) for texture in textures]

    levels_of = stored_levels if what.dtype == torch.uint8 else grey_levels

    def change(images: torch.Tensor, seeds: Seeds) -> torch.Tensor:
        draws = Streams(seeds, f"{name}/{severity}", images.device) if what.random else None
        stored = images.dtype == torch.uint8
        levels = images if stored else levels_of(images)
        out = corrupted(what, levels, constants, draws, half=0.5 * (quantise == "round"))
        out = digital.jpeg_compression(out, 85) if jpeg85 else out
        return out if stored else out.float().div_(255)

    def apply(images: torch.Tensor, seeds: Seeds) -> torch.Tensor:
        return in_parts(images, seeds, what.together, change)

    return Transform(f"{name}/{severity}", params, apply, stored=True)


def _params(what: Corruption, severity: int) -> dict[str, Any]:
    named = dict(zip(what.units, what.constants[severity - 1], strict=True))
    return {**named, "severity": severity, "version": VERSION}


def corrupted(
    what: Corruption,
    levels: torch.Tensor,
    constants: tuple[Any, ...],
    draws: Draws | None,
    half: float = 0.0,
) -> torch.Tensor:
    """Whole levels, of any number type -> whole levels, uint8: clipped and stored by dropping the fraction; draws:
    for what is random; half: what is added before, 0.5 to round.

    Levels given in float64 are worked on in float64.
    """
    extra = (draws,) if what.random else ()
    if what.dtype == torch.uint8:
        stored: torch.Tensor = what.function(levels.to(torch.uint8), *constants, *extra)
        return stored
    wide = torch.float64 in (what.dtype, levels.dtype) and levels.device.type != "mps"
    kind = torch.float64 if wide else torch.float32
    work = levels.to(kind, memory_format=torch.contiguous_format)
    out: torch.Tensor = what.function(work, *constants, *extra)
    if not what.whole:
        out.clamp_(0, 255)
        out = out.add_(half) if half else out
    return out.to(torch.uint8)  # which drops the fraction


def names(family: str = "common") -> tuple[str, ...]:
    """Names in the published order: of one family, of the 15 common ones or of all 19 ("all")."""
    listed = {name: entry.family for name, entry in own_list("imagenet-c").items()}
    if family not in (*listed.values(), "common", "all"):
        known = dict.fromkeys((*listed.values(), "common", "all"))
        raise unknown_name("family of corruptions", family, tuple(known))
    common = family == "common"
    return tuple(n for n, f in listed.items() if family in (f, "all") or (common and f != "extra"))


def load_textures(files: Sequence[Path | str | weather.Texture]) -> list[weather.Texture]:
    """The textures, decoded where they are files. Only the first five count, as in the published code."""
    if len(files) < weather.FROST_USED:
        raise StimuliError(
            f"the corruption 'frost' needs {weather.FROST_USED} texture files (frost1.png to "
            f"frost5.jpg of the ImageNet-C repository); {len(files)} were given"
        )
    return [_decoded(file) for file in files[: weather.FROST_USED]]


def _decoded(file: Path | str | weather.Texture) -> weather.Texture:
    if isinstance(file, np.ndarray):
        return file
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def _digest(texture: weather.Texture) -> str:
    from hashlib import sha256

    shape = ",".join(map(str, texture.shape))  # 2 x 8 and 4 x 4 px have the same bytes
    return sha256(shape.encode() + texture.tobytes()).hexdigest()[:16]


def _known(name: str, severity: int) -> Corruption:
    if name not in CORRUPTIONS:
        raise unknown_name("corruption", name, CORRUPTIONS)
    if severity not in (1, 2, 3, 4, 5):
        raise StimuliError(f"severity must be 1, 2, 3, 4 or 5; it was {severity}")
    return CORRUPTIONS[name]
