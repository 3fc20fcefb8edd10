"""Kappa on clustered images where no image pulls at it."""

import numpy as np

from benchmark.stats.agreement import _independent_share


def test_without_spread_each_cluster_counts_as_one_image():
    right = np.array([1, 0, 1, 0, 1, 1])
    shapes, textures = np.array(list("aabbcc")), np.array(list("xyxyxy"))
    # the same answers: two textures, fewer than the shapes, stand for six images
    assert _independent_share(right, right, [shapes, textures], 0.95) == 2 / 6
