"""Intervals, paired tests and ranks. Pure functions of arrays, without pandas or torch.

intervals     of proportions (Wilson, Tango, exact McNemar test), Student's t, bootstrap of a ratio of sums over stimuli
ratios        a metric that is a ratio of sums -> `Score` with the interval that fits its data
clusters      variance and interval over stimuli that share shapes and textures, and over people
differences   tests of a difference with the interval that inverts them
comparisons   a comparison's outcome, and families of them (Holm)
paired        two observers, or one and people, on the stimuli that both answered -> `Comparison`
agreement     error consistency of two observers
ranks         rank intervals, each at its level by itself
correlations  rank, linear and partial correlation over observers, families resampled as wholes
sequences     intervals of a proportion that hold at every n at once (sampling that stops early)
threads       one thread for small matrix products
"""

from benchmark.stats.clusters import (
    clustered_variance,
    clustered_wilson,
    mean_interval,
    ratio_influence,
    shared_clusters,
)
from benchmark.stats.comparisons import Comparison, adjust, holm
from benchmark.stats.intervals import bootstrap_ratio, mcnemar_exact, paired_difference, wilson
from benchmark.stats.paired import compare_ratio
from benchmark.stats.ranks import rank_intervals
from benchmark.stats.ratios import ratio_score
from benchmark.stats.sequences import confidence_sequence

__all__ = [
    "Comparison", "adjust", "bootstrap_ratio", "clustered_variance", "clustered_wilson",
    "compare_ratio", "confidence_sequence", "holm", "mcnemar_exact", "mean_interval",
    "paired_difference", "rank_intervals", "ratio_influence", "ratio_score", "shared_clusters",
    "wilson",
]  # fmt: skip
