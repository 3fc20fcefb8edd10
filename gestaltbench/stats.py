"""Intervals and paired tests for the metrics of a plug-in: pure functions of arrays."""

from benchmark.stats import *  # noqa: F403  # the room keeps the list of what is public
