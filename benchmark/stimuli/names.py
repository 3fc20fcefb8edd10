"""What is read from names: categories, exemplars, conditions. Every rule is one explicit pattern.

Image names of the human experiments (Geirhos et al. 2018, 2019, 2021) carry a prefix that differs
per observer, `0001_s5n_s01_0_bird_00_bird3-bird2.png`; what follows it names the image and is its
id here.
"""

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
#: One condition only: the condition column of their tables says "0" or "NaN" and means nothing.
SINGLE_CONDITION = frozenset(
    {
        "cue-conflict",
        "edges",
        "silhouettes",
        "sketch",
        "stylized",
        "original",
        "greyscale",
        "texture",
    }
)
NUMERIC = frozenset(
    {
        "high-pass",
        "low-pass",
        "phase-scrambling",
        "power-equalisation",
        "rotation",
        "salt-and-pepper",
        "uniform-noise",
    }
)
WNID = re.compile(r"n\d{8}")
#: number, experiment, observer, condition, category, context: the parts of a prefix.
PREFIX = re.compile(
    r"^\d{4}_[a-z0-9]+_(?:dnn|s\d+)_(?P<condition>[^_]+)_(?P<category>[a-z]+)_\d+_(?=.)"
)
_EXEMPLAR = re.compile(r"([a-z]+)\d+")


class Pair(NamedTuple):
    """A cue-conflict image: category of the shape, category of the texture, exemplar of the
    shape."""

    shape: str
    texture: str
    exemplar: str


def any_answer(responses: Iterable[str]) -> bool:
    """Whether any of these is an answer; of none, no."""
    return any(response != NO_ANSWER for response in responses)


def image_id(name: str) -> str:
    """The image's own name: `name` without its observer's prefix, or `name` whole where it has
    none."""
    return PREFIX.sub("", name, count=1)


def stimulus_id(condition: str, image: str) -> str:
    """What is shown: the image's name, after its condition where there are several ("c05/cat1.png")."""
    return f"{condition}/{image}" if condition else image


@lru_cache(maxsize=2**16)  # a hundred observers of the same images
def read_pair(name: str) -> Pair | None:
    """The cues of `cat7-elephant1.png`; None where the name is not of that form or of the 16
    categories."""
    shape, dash, texture = PurePath(name).stem.rpartition("-")
    first, second = _EXEMPLAR.fullmatch(shape), _EXEMPLAR.fullmatch(texture)
    if not (dash and first and second):
        return None
    pair = Pair(first[1], second[1], shape)
    return pair if pair.shape in GEIRHOS16 and pair.texture in GEIRHOS16 else None


def read_shape(name: str) -> str:
    """The exemplar whose shape an image has: "cat7" of `cat7-elephant1.png`, of its edges and of its silhouette, both
    `cat7.png`; "" of other names."""
    pair = read_pair(name)
    alone = _EXEMPLAR.fullmatch(PurePath(name).stem)
    return pair.exemplar if pair else alone[0] if alone and alone[1] in GEIRHOS16 else ""


def canonical_condition(experiment: str, text: str) -> str:
    """One spelling per condition, so that tables of people and of networks meet.

    Experiments of one condition: "" whatever the table says. Numeric ones: the shortest decimal
    ("0.20" and "0.2" -> "0.2", "3.0" -> "3", "inf" stays). Others: lower case ("True" -> "true",
    "c05" stays).
    """
    text = text.strip().lower()
    if experiment in SINGLE_CONDITION:
        return ""
    if experiment in NUMERIC:
        return _short_number(text)
    return text


def _short_number(text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return text
    return f"{value:.10g}"
