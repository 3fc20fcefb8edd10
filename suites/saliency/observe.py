"""The columns of each image; it imports torch only when called, because reading a leaderboard imports it."""

from collections.abc import Mapping

from benchmark.contracts import Array, View
from suites.saliency.config import SaliencyConfig


def observe(config: SaliencyConfig, view: View) -> Mapping[str, Array]:
    """Return the answer [n] and, per image, every metric of the gradient (see `measured`)."""
    from suites.saliency.saliency_columns import gradient_columns

    return gradient_columns(config, view)
