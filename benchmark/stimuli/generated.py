"""The built-in world's sets as `contracts.Stimuli`: drawn on demand, nothing on disk.

The world is imported when one of its sets is asked for, so that reading a catalogue stays quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Stimuli
from benchmark.stimuli.digests import set_digest, text_digest

if TYPE_CHECKING:
    from benchmark.stimuli.world.sets import WorldSet, WorldStimulus

PREFIX = "world-"
SPACE = "world16"


def is_generated(name: str) -> bool:
    """Whether a name belongs to the built-in world."""
    return name.startswith(PREFIX)


def generated_names() -> tuple[str, ...]:
    """Names of the world's sets."""
    return tuple(_world().WORLD_SETS)


def generated_set(name: str) -> Stimuli:
    """A set of the built-in world. Raises UnknownName with close matches.

    An item's digest is of its recipe (generator version, condition, seed, position): what the
    generator promises to draw alike on every machine.
    """
    from benchmark.errors import unknown_name

    world = _world()
    if name not in world.WORLD_SETS:
        raise unknown_name("stimulus set", name, world.WORLD_SETS)
    source = world.WORLD_SETS[name]
    items = _recipes(source, world.GENERATOR_VERSION)
    ids, labels = tuple(source.ids), _labels(source)
    return Stimuli(
        name=name,
        digest=set_digest(ids, items, labels),
        space=SPACE,
        ids=ids,
        items=items,
        labels=labels,
        decode=Drawn(name),
        mask=DrawnMask(name),
        whole=len(ids),
        origin="generated",
    )


@dataclass(frozen=True)
class Drawn:
    """decode(i): the i-th stimulus of a world set, HWC uint8."""

    name: str

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """HWC uint8."""
        return _render(self.name, index).image


@dataclass(frozen=True)
class DrawnMask:
    """mask(i): the object of the i-th stimulus of a world set, HW bool."""

    name: str

    def __call__(self, index: int) -> NDArray[np.bool_]:
        """HW bool."""
        return _render(self.name, index).mask


def training_stimuli(count: int) -> Stimuli:
    """Natural images of the world to fit a network to: no set that a suite shows shares one with them."""
    world = _world()
    source = world.training_set("natural", count, seed=0)
    ids, items = tuple(source.ids), _recipes(source, world.GENERATOR_VERSION)
    labels = _labels(source)
    digest = set_digest(ids, items, labels)
    return Stimuli(source.name, digest, SPACE, ids, items, labels, DrawnOf(source))


@dataclass(frozen=True)
class DrawnOf:
    """decode(i): the i-th stimulus of a set that has no name, HWC uint8."""

    source: WorldSet

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """HWC uint8."""
        drawn: WorldStimulus = _world().render(self.source, index)
        return drawn.image


@lru_cache(maxsize=64)
def _render(name: str, index: int) -> WorldStimulus:
    """A drawn stimulus; image and mask are usually asked for one after the other."""
    world = _world()
    drawn: WorldStimulus = world.render(world.WORLD_SETS[name], index)
    return drawn


def _recipes(source: WorldSet, version: int) -> tuple[str, ...]:
    start = f"world:{version}:{source.condition}:{source.seed}"
    return tuple(text_digest(f"{start}:{i}") for i in range(len(source.ids)))


def _labels(source: WorldSet) -> dict[str, Array]:
    columns = {"category": source.category, "shape": source.shape, "texture": source.texture}
    return {name: np.array(values) for name, values in columns.items() if any(values)}


def _world() -> Any:
    from benchmark.stimuli.world import sets

    return sets
