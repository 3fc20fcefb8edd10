"""Intervals and paired tests for the metrics of a plug-in: pure functions of arrays."""

from benchmark.stats import (
    Comparison,
    adjust,
    bootstrap_ratio,
    compare_ratio,
    confidence_sequence,
    holm,
    mcnemar_exact,
    mean_interval,
    paired_difference,
    rank_intervals,
    ratio_score,
    wilson,
)

__all__ = [
    "Comparison", "adjust", "bootstrap_ratio", "compare_ratio", "confidence_sequence", "holm",
    "mcnemar_exact", "mean_interval", "paired_difference", "rank_intervals", "ratio_score",
    "wilson",
]  # fmt: skip
