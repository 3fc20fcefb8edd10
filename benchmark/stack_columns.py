"""Tables of trials below one another. A table: column name -> one value per trial along the first axis."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.contracts import Array, Coded
from benchmark.contracts.trials import Column, Columns, coded, narrowed


def stacked(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The parts below one another, columns in order of first mention; none: {}.

    A column that a part lacks is "" there (text) or NaN (numbers and flags, which become numbers: nobody measured
    them). Raises ValueError where a column is text in one part and numbers in another, or of other shapes."""
    return dict(stacked_codes(parts))


def stacked_codes(parts: Sequence[Mapping[str, Column]]) -> Columns:
    """As `stacked`, with text left as codes."""
    names = dict.fromkeys(name for part in parts for name in part)
    sizes = [len(next(iter(part.values()), ())) for part in parts]
    return Columns({name: _column(name, [part.get(name) for part in parts], sizes) for name in names})


def _column(name: str, values: Sequence[Column | None], sizes: Sequence[int]) -> Column:
    there = [part for part in values if part is not None]
    kinds = {("U", ()) if isinstance(part, Coded) else (part.dtype.kind, part.shape[1:]) for part in there}
    if len({shape for _, shape in kinds}) != 1 or len({kind == "U" for kind, _ in kinds}) != 1:
        seen = sorted({f"{kind}{list(shape)}" for kind, shape in kinds})
        raise ValueError(f"column '{name}' does not fit together across blocks: {', '.join(seen)}")
    pairs = list(zip(values, sizes, strict=True))
    if any(isinstance(part, Coded) for part in there):
        return _below(
            Coded(np.array([""]), np.zeros(n, np.uint8)) if part is None else coded(part) for part, n in pairs
        )
    ((_, shape), *_) = kinds
    empty: Any = "" if ("U", shape) in kinds else np.nan
    return np.concatenate([np.full((n, *shape), empty) if part is None else part for part, n in pairs])


def _below(parts: Iterable[Coded]) -> Coded:
    """Columns of text below one another: the words in order of first mention."""
    place: dict[str, int] = {}
    codes: list[Array] = []
    last: tuple[Array, Array] | None = None
    for part in parts:
        if last is None or part.words is not last[0]:  # blocks of one set share their words
            known = [place.setdefault(word, len(place)) for word in part.words.tolist()]
            last = part.words, narrowed(np.array(known, dtype=np.int64), len(place))
        codes.append(last[1][part.codes])
    words = np.array(list(place), dtype=str)
    return Coded(words, narrowed(np.concatenate(codes), len(place)))
