"""Whether the answer, and the gradient, depend on the object: networks above the maps that know no network."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.report.figures.chosen import Scene
from benchmark.report.figures.dots import metric_dots
from benchmark.report.figures.figure import Figure

METRICS = ("object_reliance", "object_auc_excess", "object_auc", "target_contrast")


def figures(scene: Scene) -> Iterator[Figure]:
    """One figure, a panel for each of the main measures."""
    made = metric_dots(
        "object-reliance",
        "The object against the ground",
        scene.board,
        METRICS,
        "Reference rows (edges, darkness, the centre, noise) are maps that know no network: gradients that do no "
        "better say nothing about the network.",
    )
    if made is not None:
        yield made
