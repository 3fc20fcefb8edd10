"""ImageNet-C's corruptions as transforms, planned without torch. Names, families and order are in `imagenet_c.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from benchmark.contracts import Transform
from benchmark.failures import StimuliError
from benchmark.transforms.listing import FROST_USED, constants_of

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

VERSION = 1  # raised whenever any pixel of any corruption changes


def corruption(
    name: str, severity: int, frost: Sequence[NDArray[np.uint8]] = (), jpeg85: bool = False, quantise: str = "truncate"
) -> Transform:
    """Build the transform of one corruption at severity 1 to 5, from uint8 to uint8, or within [0,1]. `frost` has the
    published textures, HWC uint8 RGB, for the corruption "frost". `jpeg85` stores the result as a JPEG of quality 85,
    as published. `quantise` drops the fraction of a level ("truncate", as published) or rounds it ("round")."""
    what = constants_of()[name]
    constants = what["constants"][severity - 1]
    params = dict(zip(what["units"], constants, strict=True))
    params |= {"severity": severity, "version": VERSION, "jpeg85": jpeg85, "quantise": quantise}
    if name == "frost":
        textures = list(frost[:FROST_USED])
        if len(textures) < FROST_USED:
            raise StimuliError(f"'frost' needs {FROST_USED} textures of ImageNet-C; {len(textures)} were given")
        constants = (*constants, textures)
        # The shape is included, as 2 x 8 and 4 x 4 px may have equal bytes.
        texts = [",".join(map(str, texture.shape)).encode() + texture.tobytes() for texture in textures]
        params["textures"] = [sha256(text).hexdigest()[:16] for text in texts]

    def apply(images: torch.Tensor, seeds: NDArray[np.uint64]) -> torch.Tensor:
        from benchmark.transforms.corruptions import changed  # with torch, whose import takes longer than a plan

        half = 0.5 * (quantise == "round")
        return changed(images, seeds, f"{name}/{severity}", constants, jpeg85=jpeg85, half=half)

    here = jpeg85 or what.get("on_processor", False)
    return Transform(name=f"{name}/{severity}", params=params, apply=apply, stored=True, on_processor=here)
