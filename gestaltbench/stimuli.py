"""Stimulus sets for a plug-in: a part of a set, a set with its categories restricted, the sixteen categories."""

from benchmark.stimuli.names import GEIRHOS16, NO_ANSWER
from benchmark.stimuli.sets import restrict, subset

__all__ = ["GEIRHOS16", "NO_ANSWER", "restrict", "subset"]
