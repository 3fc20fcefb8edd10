"""The built-in world's sets as `contracts.Stimuli`, generated on demand without files."""

from dataclasses import replace
from functools import partial

import numpy as np

from benchmark.contracts import Array, Stimuli, Trials
from benchmark.failures import unknown_name
from benchmark.stats.clusters import exemplar_columns, shared_levels
from benchmark.stimuli.image_files import set_digest, text_digest
from benchmark.stimuli.image_names import cues_of
from benchmark.stimuli.world.sets import GENERATOR_VERSION, WORLD_SETS, WorldSet, mask, render, training_set

SHAPE = "shape_exemplar"
PREFIX = "world-"
SPACE = "world16"


def is_generated(name: str) -> bool:
    """Return whether a name belongs to the built-in world."""
    return name.startswith(PREFIX)


def generated_set(name: str) -> Stimuli:
    """Open a set of the built-in world. Raises UnknownName with close matches. An item's digest covers its recipe
    (generator version, condition, seed, position), from which the generator draws equal pixels on every machine."""
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
    return Stimuli(
        name=source.name,
        digest=set_digest(ids, items, labels),
        space=SPACE,
        ids=ids,
        items=items,
        labels=labels,
        decode=partial(render, source),
    )


def exemplars(trials: Trials) -> dict[str, Array]:
    """Return the exemplars of shape and texture as columns [n]: the label columns that end in "_exemplar", if there are
    any; otherwise read from names (`cat7-elephant1.png`: "cat7", "elephant1"; `cat7.png`: "cat7", ""; others: "").

    They are not labels of the published set, whose digest covers its labels."""
    columns = exemplar_columns(trials)
    if columns or not len(trials):
        return columns
    stimulus = trials.coded("stimulus")
    places, index = np.unique(stimulus.codes, return_inverse=True)
    cues = [cues_of(name) for name in stimulus.words[places].tolist()]
    return {cue: np.array([own.get(cue, "") for own in cues])[index] for cue in (SHAPE, "texture_exemplar")}


def shared_exemplars(trials: Trials, stimulus: Array, *, elsewhere: bool = False) -> dict[str, Array]:
    """Return the factors that the images `stimulus` [n] share: factor -> level [n]; empty if images are independent.
    elsewhere: include the shape if every image has one, as other experiments may show the same shape."""
    names, first = np.unique(trials["stimulus"], return_index=True)
    at = first[np.searchsorted(names, stimulus)]
    columns = {name: np.asarray(column)[at] for name, column in exemplars(trials).items()}
    shapes = elsewhere and SHAPE in columns and (columns[SHAPE] != "").all()
    return ({SHAPE: columns[SHAPE]} if shapes else {}) | shared_levels(columns, stimulus)
