"""Image names of the human experiments (Geirhos et al. 2018, 2019, 2021): prefixes, categories, exemplars."""

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import PurePath
from typing import NamedTuple

GEIRHOS16 = (
    "airplane", "bear", "bicycle", "bird", "boat", "bottle", "car", "cat",
    "chair", "clock", "dog", "elephant", "keyboard", "knife", "oven", "truck",
)  # fmt: skip
NO_ANSWER = "na"
WNID = re.compile(r"n\d{8}")
_EXEMPLAR = re.compile(r"([a-z]+)\d+")


class CuePair(NamedTuple):
    """The cues of a cue-conflict image."""

    shape: str
    texture: str
    exemplar: str  # exemplar of the shape, such as "cat7"
    ground: str  # exemplar of the texture, such as "elephant1"


def wnid_of(name: str) -> str:
    """Return the WordNet id that a name is or begins with ("n01440764_tench"), or ""."""
    match = re.match(r"n\d{8}(?=_|$)", name)
    return match[0] if match else ""


def any_answer(responses: Iterable[str]) -> bool:
    """Return whether any response is an answer."""
    return any(response != NO_ANSWER for response in responses)


def stimulus_id(condition: str, image: str) -> str:
    """Name a stimulus: the image's name, after its condition if the experiment has several ("c05/cat1.png")."""
    return f"{condition}/{image}" if condition else image


@lru_cache(maxsize=2**16)  # a hundred observers answer the same images, and each metric asks
def read_pair(name: str) -> CuePair | None:
    """Read the cues of `cat7-elephant1.png`; None if the name has another form or names none of the 16 categories."""
    shape, dash, texture = PurePath(name).stem.rpartition("-")
    first, second = _EXEMPLAR.fullmatch(shape), _EXEMPLAR.fullmatch(texture)
    if not (dash and first and second):
        return None
    pair = CuePair(shape=first[1], texture=second[1], exemplar=shape, ground=texture)
    return pair if pair.shape in GEIRHOS16 and pair.texture in GEIRHOS16 else None


@lru_cache(maxsize=2**16)
def read_shape(name: str) -> str:
    """Read the exemplar of the shape: "cat7" for `cat7-elephant1.png` and `cat7.png`; "" for other names."""
    pair = read_pair(name)
    alone = _EXEMPLAR.fullmatch(PurePath(name).stem)
    return pair.exemplar if pair else alone[0] if alone and alone[1] in GEIRHOS16 else ""
