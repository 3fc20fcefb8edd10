"""Image names of the human experiments (Geirhos et al. 2018, 2019, 2021): prefixes, categories, exemplars."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import PurePath

import numpy as np

from benchmark.contracts import Array, Trials
from benchmark.stats.clusters import exemplar_columns, shared_levels

GEIRHOS16 = (
    "airplane", "bear", "bicycle", "bird", "boat", "bottle", "car", "cat",
    "chair", "clock", "dog", "elephant", "keyboard", "knife", "oven", "truck",
)  # fmt: skip
NO_ANSWER = "na"
SHAPE = "shape_exemplar"
WNID = re.compile(r"n\d{8}")
#: The cues in the name of a cue-conflict image; `cat7.png` has the shape alone.
_EXEMPLAR = r"(?P<{0}_exemplar>(?P<{0}>" + "|".join(GEIRHOS16) + r")\d+)"
_CUES = re.compile(f"{_EXEMPLAR.format('shape')}(?:-{_EXEMPLAR.format('texture')})?")


def wnid_of(name: str) -> str:
    """Return the WordNet id that a name is or begins with ("n01440764_tench"), or ""."""
    match = re.match(r"n\d{8}(?=[_ ]|$)", name)
    return match[0] if match else ""


def any_answer(responses: Iterable[str]) -> bool:
    """Return whether any response is an answer."""
    return any(response != NO_ANSWER for response in responses)


def stimulus_id(condition: str, image: str) -> str:
    """Name a stimulus: the image's name, after its condition if the experiment has several ("c05/cat1.png")."""
    return f"{condition}/{image}" if condition else image


@lru_cache(maxsize=2**16)  # a hundred observers answer the same images, and each metric asks
def cues_of(name: str) -> Mapping[str, str]:
    """Read `cat7-elephant1.png`: shape "cat", shape_exemplar "cat7", texture and texture_exemplar likewise; `cat7.png`
    has a shape alone, other names have {}."""
    match = _CUES.fullmatch(PurePath(name).stem)
    return {cue: text for cue, text in match.groupdict().items() if text} if match else {}


def exemplars(trials: Trials) -> dict[str, Array]:
    """Return the exemplars of shape and texture as columns [n]: label columns that end in "_exemplar", otherwise read
    from names (`cat7-elephant1.png`: "cat7", "elephant1"; `cat7.png`: "cat7", ""; others: "")."""
    columns = exemplar_columns(trials)
    if columns or not len(trials):
        return columns
    stimulus = trials.coded("stimulus")
    places, index = np.unique(stimulus.codes, return_inverse=True)
    cues = [cues_of(name) for name in stimulus.words[places].tolist()]
    return {cue: np.array([own.get(cue, "") for own in cues])[index] for cue in (SHAPE, "texture_exemplar")}


def shared_exemplars(trials: Trials, stimulus: Array, *, elsewhere: bool = False) -> dict[str, Array]:
    """Return the factors that the images `stimulus` [n] share: factor -> level [n]; empty if images are independent.
    With `elsewhere`, the shape is included if every image has one, as other experiments may show the same shape."""
    names, first = np.unique(trials["stimulus"], return_index=True)
    at = first[np.searchsorted(names, stimulus)]
    columns = {name: np.asarray(column)[at] for name, column in exemplars(trials).items()}
    shapes = elsewhere and SHAPE in columns and (columns[SHAPE] != "").all()
    return ({SHAPE: columns[SHAPE]} if shapes else {}) | shared_levels(columns, stimulus)
