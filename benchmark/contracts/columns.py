"""Columns of a big trial table: text as a vocabulary and whole numbers, so that 50,000 images under 76 conditions take
tens of megabytes and not gigabytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts.shown import Array


@dataclass(frozen=True)
class Coded:
    """A column of text. words: [k] different texts, of which some may not occur; codes: [n] each trial's place among
    them, whole numbers of any width."""

    words: Array
    codes: Array

    def __len__(self) -> int:
        return len(self.codes)

    def plain(self) -> Array:
        """[n] the text itself."""
        text: Array = self.words[self.codes]
        return text

    @property
    def used(self) -> list[str]:
        """The texts that occur."""
        there = np.bincount(self.codes, minlength=len(self.words)) > 0
        found: list[str] = self.words[there].tolist()
        return found

    def in_order(self) -> Coded:
        """The same text with the words that occur, sorted: as `coded` gives it of plain text."""
        places, codes = np.unique(self.codes, return_inverse=True)
        words, place = np.unique(self.words[places], return_inverse=True)
        return Coded(words, narrowed(place.reshape(-1)[codes.reshape(-1)], len(words)))

    def at(self, chosen: Array) -> Coded:
        """The trials at these places, or where these flags are true."""
        return Coded(self.words, self.codes[chosen])


Column = Array | Coded


def coded(column: Column) -> Coded:
    """A column of text as codes. Of a plain one the words are sorted."""
    if isinstance(column, Coded):
        return column
    words, codes = np.unique(np.asarray(column).astype(str), return_inverse=True)
    return Coded(words, narrowed(codes.reshape(-1), len(words)))


def narrowed(codes: Array, count: int) -> Array:
    """Places among `count` words in the narrowest whole numbers."""
    return codes.astype(np.min_scalar_type(max(0, count - 1)), copy=False)


def alike(a: Column, b: Column) -> NDArray[np.bool_]:
    """[n] whether two columns of text hold the same text."""
    one, other = coded(a), coded(b)
    place = {word: at for at, word in enumerate(other.words.tolist())}
    same = np.array([place.get(word, -1) for word in one.words.tolist()], dtype=np.int32)
    return np.asarray(same[one.codes] == other.codes, dtype=bool)


class Columns(Mapping[str, Array]):
    """Columns by name, text kept as codes. A column of text is made anew each time that it is asked for."""

    def __init__(self, held: Mapping[str, Column]) -> None:
        self.held = dict(held)

    def __getitem__(self, name: str) -> Array:
        column = self.held[name]
        return column.plain() if isinstance(column, Coded) else column

    def __contains__(self, name: object) -> bool:
        return name in self.held

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)


def held(columns: Mapping[str, Array]) -> Mapping[str, Column]:
    """The columns as they lie in memory."""
    return columns.held if isinstance(columns, Columns) else columns


def chosen(columns: Mapping[str, Array], at: Array) -> Columns:
    """The trials at these places, or where these flags are true."""
    return Columns(
        {
            name: column.at(at) if isinstance(column, Coded) else column[at]
            for name, column in held(columns).items()
        }
    )
