"""Intervals, paired tests and ranks. Pure functions of arrays, without pandas or torch."""

from benchmark.stats.clusters import (
    clustered_variance,
    clustered_wilson,
    mean_interval,
    ratio_influence,
    shared_clusters,
)
from benchmark.stats.comparisons import Comparison, adjust, holm
from benchmark.stats.intervals import confidence_sequence, mcnemar_exact, paired_difference, wilson
from benchmark.stats.paired import compare_ratio
from benchmark.stats.rankings import rank_intervals
from benchmark.stats.ratios import ratio_score

__all__ = [
    "Comparison", "adjust", "clustered_variance", "clustered_wilson",
    "compare_ratio", "confidence_sequence", "holm", "mcnemar_exact", "mean_interval",
    "paired_difference", "rank_intervals", "ratio_influence", "ratio_score", "shared_clusters",
    "wilson",
]  # fmt: skip
