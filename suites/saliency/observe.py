"""Observe the columns of each image. Reading a leaderboard imports this module, so torch is imported only when
called."""

from collections.abc import Mapping

from benchmark.contracts import Array, View
from suites.saliency.config import SaliencyConfig


def observe(config: SaliencyConfig, view: View) -> Mapping[str, Array]:
    """Return the answer [n] and, per image, every metric of the gradient (see `measured`)."""
    from suites.saliency.saliency_columns import gradient_columns

    return gradient_columns(config, view)
