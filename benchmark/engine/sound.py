"""Observers whose answers depend on more than the image fail: at load, and in the course of a run."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.engine.tuning import TunedModel
from benchmark.errors import ModelFailure
from registry.soundness import FORWARD, TOLERANCE, check_load, distance

#: One image in so many is shown again, alone.
REPLAYED = 512
#: Largest relative difference that a precision's rounding explains.
_ROUNDING = {"fp32": TOLERANCE, "tf32": 1e-2, "bf16": 0.1}
_LARGEST_BATCH = 64


class Unsound(ModelFailure):
    """A network whose answers depend on its batch, on chance or on what it was shown before."""


def require_sound(feed: TunedModel, precision: str) -> None:
    """Raise Unsound, with every reason, where the loaded network or its tuned form fails a check.

    Want of memory and a forward pass that fails are the run's to deal with: nothing is judged then.
    """
    batch = min(feed.tuning.batch, _LARGEST_BATCH)
    try:
        rows = check_load(feed.model, feed.run, batch, _ROUNDING[precision])
    except (RuntimeError, MemoryError):
        return
    failed = [f"{row.name}: {row.detail}" for row in rows if not row.ok and row.name != FORWARD]
    if failed:
        raise Unsound(
            f"{feed.model.card.name} was not run, because {'; '.join(failed)}. "
            "`bench models check` shows all checks."
        )


def replayed(seeds: NDArray[np.uint64]) -> int | None:
    """Which of the images is shown again, if any; it follows from the seeds alone."""
    draw = int(seeds[0] % np.uint64(REPLAYED))
    return draw if draw < len(seeds) else None


def require_same(name: str, shown: Tensor, again: Tensor) -> None:
    """Raise Unsound where an image's answer in the run and alone differ by more than rounding."""
    reduced = torch.is_autocast_enabled(shown.device.type)
    gap = distance(shown, again)
    if gap > (0.25 if reduced else 10 * TOLERANCE):
        raise Unsound(
            f"{name} answers an image differently when it is shown again alone (by {gap:.2g} of the largest logit): "
            "its answers depend on the batch or on chance"
        )
