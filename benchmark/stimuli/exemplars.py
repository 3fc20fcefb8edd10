"""Which shape and which texture an image is made of: what intervals are clustered by (`benchmark.stats.clusters`)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import PurePath

import numpy as np

from benchmark.contracts import Array, Trials
from benchmark.stats.clusters import exemplar_columns, shared_levels
from benchmark.stimuli.names import read_pair, read_shape


def exemplars(trials: Trials) -> dict[str, Array]:
    """ "shape_exemplar" and "texture_exemplar" -> their names [n]: the label columns that end so, where there are any;
    else what names like `cat7-elephant1.png` say ("cat7", "elephant1"; "cat7" and "" of `cat7.png`; "" of other names).

    Names are read here and not made labels of the published set: labels are part of a set's digest.
    """
    told = exemplar_columns(trials)
    if told or not len(trials):
        return told
    shape, texture = zip(*map(_parts, trials["stimulus"].tolist()), strict=True)
    return {"shape_exemplar": np.array(shape), "texture_exemplar": np.array(texture)}


def shared_exemplars(trials: Trials, stimulus: Array) -> list[Array]:
    """What the images `stimulus` [n], all of them among the trials, share: one column [n] of shapes, one of textures.
    Empty where each image stands for itself.
    """
    names, first = np.unique(trials["stimulus"], return_index=True)
    at = first[np.searchsorted(names, stimulus)]
    told = {name: np.asarray(column)[at] for name, column in exemplars(trials).items()}
    return list(shared_levels(told, stimulus).values())


@lru_cache(maxsize=2**17)  # every name of the published experiments, several times over
def _parts(name: str) -> tuple[str, str]:
    return read_shape(name), PurePath(name).stem.rpartition("-")[2] if read_pair(name) else ""
