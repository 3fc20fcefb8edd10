"""Tables of trials below one another. A table: column name -> one value per trial along the first axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.contracts import Array


def stacked(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The parts below one another, columns in order of first mention; none: {}.

    A column that a part lacks is "" there (text) or NaN (numbers and flags, which become numbers: nobody measured
    them). Raises ValueError where a column is text in one part and numbers in another, or of other shapes.
    """
    names = dict.fromkeys(name for part in parts for name in part)
    sizes = [len(next(iter(part.values()), ())) for part in parts]
    return {name: _column(name, [part.get(name) for part in parts], sizes) for name in names}


def _column(name: str, values: Sequence[Array | None], sizes: Sequence[int]) -> Array:
    there = [one for one in values if one is not None]
    shapes = {one.shape[1:] for one in there}
    if len(shapes) != 1 or len({one.dtype.kind == "U" for one in there}) != 1:
        seen = sorted({f"{one.dtype.kind}{list(one.shape[1:])}" for one in there})
        raise ValueError(f"column '{name}' does not fit together across blocks: {', '.join(seen)}")
    empty: Any = "" if there[0].dtype.kind == "U" else np.nan
    (shape,) = shapes
    pairs = zip(values, sizes, strict=True)
    return np.concatenate(
        [np.full((size, *shape), empty) if one is None else one for one, size in pairs]
    )
