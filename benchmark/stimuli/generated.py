"""The built-in world's sets as `contracts.Stimuli`, generated on demand without files."""

from dataclasses import replace
from functools import partial

import numpy as np

from benchmark.contracts import Stimuli
from benchmark.failures import unknown_name
from benchmark.stimuli.image_files import stimuli_of, text_digest
from benchmark.stimuli.world.sets import GENERATOR_VERSION, WORLD_SETS, WorldSet, mask, render, training_set

PREFIX = "world-"
SPACE = "world16"


def is_generated(name: str) -> bool:
    """Return whether a name belongs to the built-in world."""
    return name.startswith(PREFIX)


def generated_set(name: str) -> Stimuli:
    """Open a set of the built-in world. Raises UnknownName. An item's digest covers its recipe (generator version,
    condition, seed, position), which decides its pixels."""
    if name not in WORLD_SETS:
        raise unknown_name("stimulus set", name, WORLD_SETS)
    whole = _stimuli(WORLD_SETS[name])
    return replace(whole, mask=partial(mask, WORLD_SETS[name]), whole=len(whole), origin="generated")


def training_stimuli(count: int) -> Stimuli:
    """Generate natural images of the world for fitting a network; suites show none of them."""
    return _stimuli(training_set("natural", count, seed=0))


def _stimuli(source: WorldSet) -> Stimuli:
    start = f"world:{GENERATOR_VERSION}:{source.condition}:{source.seed}"
    ids, items = tuple(source.ids), tuple(text_digest(f"{start}:{i}") for i in range(source.size))
    columns = {"category": source.category, "shape": source.shape, "texture": source.texture}
    labels = {name: np.array(values) for name, values in columns.items() if any(values)}
    return stimuli_of(
        name=source.name, space=SPACE, ids=ids, items=items, labels=labels, decode=partial(render, source)
    )
