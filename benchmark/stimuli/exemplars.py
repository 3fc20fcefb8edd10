"""The exemplars of shape and texture that images share: intervals are over them."""

import numpy as np

from benchmark.contracts import Array, Trials
from benchmark.stats.clusters import exemplar_columns, shared_levels
from benchmark.stimuli.image_names import cues_of

SHAPE = "shape_exemplar"


def exemplars(trials: Trials) -> dict[str, Array]:
    """Return the exemplars of shape and texture as columns [n]: the label columns that end in "_exemplar", if there
    are any; otherwise read from names (`cat7-elephant1.png`: "cat7", "elephant1"; `cat7.png`: "cat7", ""; others:
    "")."""
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
