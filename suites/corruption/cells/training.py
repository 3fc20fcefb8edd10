"""Which conditions a recipe trained on, from the tags of its card."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from benchmark.contracts import Array, Trials
from benchmark.transforms.listing import own_list
from suites.corruption.cells.cell import CLEAN, COMMON, cells_of

_TAG = re.compile(r"\s*([^()]+?)\s*(?:\((.*)\))?\s*")
#: noise(KIND): the experiments' and ImageNet-C's corruptions of that kind, with the plain names of other libraries.
_NOISES = {
    "salt-and-pepper": ("salt-and-pepper", "impulse_noise"),
    "impulse": ("salt-and-pepper", "impulse_noise"),
    "uniform": ("uniform-noise",),
    "gaussian": ("gaussian_noise",),
    "shot": ("shot_noise",),
    "poisson": ("shot_noise",),
    "speckle": ("speckle_noise",),
}
#: Tags of recipes that show a degradation under another name.
_RECIPES = {
    "greyscale": ("colour/bw",),
    "grayscale": ("colour/bw",),
    "stylised": ("stylised", "stylized-imagenet"),
    "stylized": ("stylised", "stylized-imagenet"),
}
#: Recipes without any of the test corruptions; several leave them out on purpose.
_NONE = ("standard", "augmix", "adversarial", "deepaugment", "finetuned", "colour", "color")


def seen(tags: Sequence[str], trials: Trials) -> Array:
    """[n] bool: trials under a condition that a recipe with these tags trained on: all levels, unless one is named."""
    conditions = np.asarray(trials["condition"]).astype(str) if len(trials) else np.empty(0, str)
    names, at = np.unique(conditions, return_inverse=True)
    known = seen_conditions(tags, names.tolist())
    return np.asarray([name in known for name in names.tolist()], dtype=bool)[at]


def seen_conditions(tags: Sequence[str], conditions: Iterable[str]) -> set[str]:
    """Those of the conditions that a recipe with these tags trained on. Unimpaired ones are never seen corruptions."""
    wanted = {_plain(name) for tag in tags for name in _named(tag)}
    found = set()
    for cell in cells_of(conditions):
        names = {cell.condition, cell.corruption, *([cell.family] if cell.family else [])}
        if _is_common(cell.corruption):
            names.add(COMMON)
        if not cell.plain and cell.condition != CLEAN and wanted & {_plain(n) for n in names}:
            found.add(cell.condition)
    return found


def _named(tag: str) -> tuple[str, ...]:
    """Corruptions, families or conditions that a tag names."""
    match = _TAG.fullmatch(tag.lower())
    if match is None:
        return ()
    kind, inside = match.group(1), match.group(2)
    listed = tuple(part.strip() for part in (inside or "").split(",") if part.strip())
    if kind == "corruption":
        return listed
    if kind == "noise":
        return tuple(name for part in listed or ("noise",) for name in _NOISES.get(part, (part,)))
    if kind in _NONE:
        return ()
    return _RECIPES.get(kind, (kind,))


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _is_common(corruption: str) -> bool:
    entry = own_list("imagenet-c").get(corruption)
    return entry is not None and entry.family != "extra"
