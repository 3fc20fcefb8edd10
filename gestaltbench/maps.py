"""Saliency maps and measures of a plug-in (entry-point group `bench.saliency`)."""

from suites.saliency.map_plugins import Map, Measure

__all__ = ["Map", "Measure"]
