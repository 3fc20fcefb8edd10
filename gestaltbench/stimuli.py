"""Stimulus sets for a plug-in: a part of a set, a set with its categories restricted, the sixteen categories."""

from benchmark.stimuli.catalogue import GEIRHOS16, NO_ANSWER
from benchmark.stimuli.datasets import restrict, subset

__all__ = ["GEIRHOS16", "NO_ANSWER", "restrict", "subset"]
