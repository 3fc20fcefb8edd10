"""Observe the columns of each image. A leaderboard is read without torch, which is imported when this is called."""

from collections.abc import Mapping

from benchmark.contracts import Array, View
from suites.saliency.config import SaliencyConfig


def observe(config: SaliencyConfig, view: View) -> Mapping[str, Array]:
    """Return the answer [n] and, per image, every metric of the gradient (see `measured`)."""
    from suites.saliency.saliency_columns import gradient_columns

    return gradient_columns(config, view)
