"""Which object an image with many is of: data sets of scenes do not say, a classifier must."""

from collections.abc import Mapping

from benchmark.stimuli.items import LeftOut
from benchmark.stimuli.names import GEIRHOS16

#: A second category with more than this share of the main one's area makes an image ambiguous.
RIVAL = 0.5


def main_object(areas: Mapping[str, float]) -> str | LeftOut:
    """The category of the sixteen that an image is of, or why it is of none.

    areas: category -> pixels of all its objects together, of every category of the data set, the
    sixteen under their own names. The main category has the largest area; an image counts if that
    one is of the sixteen and no other category, of any kind, has more than half of its area.
    """
    ranked = sorted((item for item in areas.items() if item[1] > 0), key=lambda item: -item[1])
    if not ranked:
        return LeftOut("no object")
    category, area = ranked[0]
    if len(ranked) > 1 and ranked[1][1] > RIVAL * area:
        return LeftOut("a second category is more than half as large as the largest")
    if category not in GEIRHOS16:
        return LeftOut("the largest object is of none of the 16 categories")
    return category
