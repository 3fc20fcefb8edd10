"""Stimulus sets for a plug-in: a part of a set, a set with its categories restricted, the sixteen categories."""

from benchmark.stimuli.datasets import restrict, subset
from benchmark.stimuli.image_names import GEIRHOS16, NO_ANSWER

__all__ = ["GEIRHOS16", "NO_ANSWER", "restrict", "subset"]
