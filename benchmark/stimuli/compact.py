"""Long columns of text in little memory: made when they are asked for, one value at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array

T_co = TypeVar("T_co", covariant=True)
DIGEST = 32  # bytes of a SHA-256


class _Column(Sequence[T_co], Generic[T_co]):
    """A sequence whose values are made by `_value(i)`, 0 <= i < len; a slice of it is a tuple."""

    def _value(self, index: int) -> T_co:
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T_co]: ...
    def __getitem__(self, index: int | slice) -> T_co | Sequence[T_co]:
        if isinstance(index, slice):
            return tuple(map(self._value, range(len(self))[index]))
        return self._value(range(len(self))[index])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Digests(_Column[str]):
    """SHA-256 digests as hex text. rows: uint8 [n, 32], the digests' bytes."""

    rows: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.rows)

    def _value(self, index: int) -> str:
        return bytes(self.rows[index]).hex()


def pick_digests(items: Sequence[str], index: Sequence[int]) -> Sequence[str]:
    """The digests at `index`, as compact as they were."""
    if isinstance(items, Digests):
        return Digests(items.rows[np.asarray(index, dtype=np.int64)])
    return tuple(items[i] for i in index)


@dataclass(frozen=True, eq=False)
class InClasses(_Column[str]):
    """Paths below a folder of classes, "CATEGORY/NAME". categories: [n] str."""

    names: tuple[str, ...]
    categories: Array

    def __len__(self) -> int:
        return len(self.names)

    def _value(self, index: int) -> str:
        return f"{self.categories[index]}/{self.names[index]}"


@dataclass(frozen=True, eq=False)
class Below(_Column[Path]):
    """Paths of files below one folder. files: their names from there on ("n01440764/a.JPEG")."""

    folder: Path
    files: Sequence[str]

    def __len__(self) -> int:
        return len(self.files)

    def _value(self, index: int) -> Path:
        return self.folder / self.files[index]
