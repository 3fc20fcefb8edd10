"""Image names of the human experiments (Geirhos et al. 2018, 2019, 2021): prefixes, categories, exemplars."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import PurePath

GEIRHOS16 = (
    "airplane", "bear", "bicycle", "bird", "boat", "bottle", "car", "cat",
    "chair", "clock", "dog", "elephant", "keyboard", "knife", "oven", "truck",
)  # fmt: skip
NO_ANSWER = "na"
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
