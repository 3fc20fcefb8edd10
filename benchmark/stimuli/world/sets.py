"""The world's stimulus sets: which stimuli each one holds, and how to draw one of them.

A set is a value: everything about stimulus `index` follows from the set's condition, seed and that index, so stimuli
can be drawn in any order, alone or in parallel."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.stimuli.world.render import Scene, drawn, filled, painting, swatch
from benchmark.stimuli.world.shapes import TURNS
from benchmark.stimuli.world.streams import Stream
from benchmark.stimuli.world.textures import FAMILIES

CATEGORIES: tuple[str, ...] = tuple(TURNS)
TEXTURES: tuple[str, ...] = tuple(FAMILIES)  # texture i belongs to category i
GENERATOR_VERSION = 1  # raised whenever any pixel of any set changes

_COUNT = len(CATEGORIES)
_PAIRS = tuple((s, t) for s in range(_COUNT) for t in range(_COUNT) if s != t)
_LABELS = 3  # the random stream of a stimulus that chooses its texture and spill
_NATURAL_SEED, _STYLISED_SEED, _CONFLICT_SEED = 101, 102, 103
_TRAINING_SEED = 1_000_000  # training seeds start here, evaluation seeds stay below


@dataclass(frozen=True)
class WorldStimulus:
    """An image, (64, 64, 3) uint8, and its object's mask, (64, 64) bool."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class WorldSet:
    """A named set; the label columns have one entry for each stimulus."""

    name: str
    condition: str
    seed: int
    size: int
    ids: tuple[str, ...]
    shape: tuple[str, ...]  # "" where there is no figure
    texture: tuple[str, ...]  # the category whose texture it carries, "" for line and fill
    category: tuple[str, ...]  # what a right answer says: the shape, else the texture


@dataclass(frozen=True)
class _Condition:
    """How a condition chooses textures, how it is drawn, and a fixed spill if any."""

    pair: Callable[[tuple[int, int]], tuple[int, int]]  # from (seed, index)
    draw: Callable[[Scene], tuple[NDArray[np.uint8], NDArray[np.bool_]]]
    spill: float | None = None
    shown: tuple[bool, bool] = (True, True)  # whether shape and texture can be seen


def _same(key: tuple[int, int]) -> tuple[int, int]:
    return key[1] % _COUNT, key[1] % _COUNT


def _conflict(key: tuple[int, int]) -> tuple[int, int]:
    return _PAIRS[key[1] % len(_PAIRS)]


CONDITIONS: Mapping[str, _Condition] = {
    "natural": _Condition(_same, painting),
    "stylised": _Condition(lambda key: (key[1] % _COUNT, Stream(*key, _LABELS, 1).pick(_COUNT)), painting),
    "cue-conflict": _Condition(_conflict, painting),
    "cue-conflict-alpha0": _Condition(_conflict, painting, spill=0.0),
    "cue-conflict-alpha1": _Condition(_conflict, painting, spill=1.0),
    "silhouettes": _Condition(_same, filled, shown=(True, False)),
    "edges": _Condition(_same, drawn, shown=(True, False)),
    "textures": _Condition(_same, swatch, shown=(False, True)),
}


def _make(name: str, condition: str, size: int, seed: int) -> WorldSet:
    how = CONDITIONS[condition]
    pairs = [how.pair((seed, i)) for i in range(size)]
    shape = tuple(CATEGORIES[s] if how.shown[0] else "" for s, _ in pairs)
    texture = tuple(CATEGORIES[t] if how.shown[1] else "" for _, t in pairs)
    mixed = how.pair is not _same
    ids = tuple(
        f"{s}-{t}-{i:04d}" if mixed else f"{s or t}-{i:04d}"
        for i, (s, t) in enumerate(zip(shape, texture, strict=True))
    )
    category = tuple(s or t for s, t in zip(shape, texture, strict=True))
    return WorldSet(name, condition, seed, size, ids, shape, texture, category)


def training_set(condition: str, n: int, seed: int) -> WorldSet:
    """Return a set of n stimuli for training; no evaluation set shares its stimuli."""
    return _make(f"world-training-{condition}-{seed}", condition, n, _TRAINING_SEED + seed)


def render(world_set: WorldSet, index: int) -> WorldStimulus:
    """Return the image and mask of one stimulus of a set."""
    how = CONDITIONS[world_set.condition]
    key = (world_set.seed, index)
    shape, texture = how.pair(key)
    # Ground texture contrast as a share of the figure's: uniform, a third of them full.
    spill = min(1.0, 1.5 * Stream(*key, _LABELS).unit()) if how.spill is None else how.spill
    scene = Scene(key, CATEGORIES[shape], TEXTURES[texture], spill)
    return WorldStimulus(*how.draw(scene))


WORLD_SETS: Mapping[str, WorldSet] = {
    f"world-{condition}": _make(f"world-{condition}", condition, size, seed)
    for condition, size, seed in (
        ("natural", 480, _NATURAL_SEED),
        ("stylised", 480, _STYLISED_SEED),
        ("cue-conflict", 960, _CONFLICT_SEED),
        ("cue-conflict-alpha0", 240, _CONFLICT_SEED),
        ("cue-conflict-alpha1", 240, _CONFLICT_SEED),
        ("silhouettes", 160, _NATURAL_SEED),
        ("edges", 160, _NATURAL_SEED),
        ("textures", 160, _NATURAL_SEED),
    )
}
