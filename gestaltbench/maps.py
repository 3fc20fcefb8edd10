"""Saliency maps and measures of a plug-in (entry-point group `bench.saliency`)."""

from suites.saliency.added import Map, Measure

__all__ = ["Map", "Measure"]
