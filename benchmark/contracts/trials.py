"""Observers, the policy of a run, and stored trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts.shown import Array

# Big trial tables store text as a vocabulary and integers, so that 50,000 images under 76 conditions take tens of
# megabytes, not gigabytes.


@dataclass(frozen=True)
class Coded:
    """A column of text."""

    words: Array  # [k] different texts; some may be unused
    codes: Array  # [n] each trial's position in `words`, integers of any width

    def __len__(self) -> int:
        return len(self.codes)

    def plain(self) -> Array:
        """Return the text [n]."""
        return np.asarray(self.words[self.codes])

    @property
    def used(self) -> list[str]:
        """The texts that occur."""
        there = np.bincount(self.codes, minlength=len(self.words)) > 0
        return [str(word) for word in self.words[there]]

    def in_order(self) -> Coded:
        """Return the same text with its used words sorted, as `coded` returns plain text."""
        places, codes = np.unique(self.codes, return_inverse=True)
        words, place = np.unique(self.words[places], return_inverse=True)
        return Coded(words, narrowed(place.reshape(-1)[codes.reshape(-1)], len(words)))


Column = Array | Coded


def coded(column: Column) -> Coded:
    """Convert a column of text to codes. The words of plain text are sorted."""
    if isinstance(column, Coded):
        return column
    words, codes = np.unique(np.asarray(column).astype(str), return_inverse=True)
    return Coded(words, narrowed(codes.reshape(-1), len(words)))


def narrowed(codes: Array, count: int) -> Array:
    """Convert positions among `count` words to the narrowest integers."""
    return codes.astype(np.min_scalar_type(max(0, count - 1)), copy=False)


def alike(a: Column, b: Column) -> NDArray[np.bool_]:
    """Return [n] whether two columns hold equal text."""
    a, b = coded(a), coded(b)
    position = {word: i for i, word in enumerate(b.words.tolist())}
    same = np.array([position.get(word, -1) for word in a.words.tolist()], dtype=np.int32)
    return np.asarray(same[a.codes] == b.codes, dtype=bool)


class Columns(Mapping[str, Array]):
    """Columns by name, with text as codes. Each access to a column of text builds the text."""

    def __init__(self, held: Mapping[str, Column]) -> None:
        self.held = dict(held)

    def __getitem__(self, name: str) -> Array:
        column = self.held[name]
        return column.plain() if isinstance(column, Coded) else column

    def __contains__(self, name: object) -> bool:
        return name in self.held  # without building the text

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)


def as_coded(columns: Mapping[str, Array]) -> Mapping[str, Column]:
    """Return the columns as stored in memory, without building text."""
    return columns.held if isinstance(columns, Columns) else columns


def stacked_tables(parts: Sequence[Mapping[str, Column]]) -> Columns:
    """Concatenate tables, columns in order of first mention. One that a part lacks is filled with "" (text) or NaN
    (numbers and flags, which become numbers). Raises ValueError if kinds or shapes differ between parts."""
    sizes, columns = [len(next(iter(part.values()), ())) for part in parts], dict[str, Column]()
    for name in dict.fromkeys(name for part in parts for name in part):
        pairs = [(part.get(name), n) for part, n in zip(parts, sizes, strict=True)]
        there = [column for column, _ in pairs if column is not None]
        kinds = {("U", ()) if isinstance(column, Coded) else (column.dtype.kind, column.shape[1:]) for column in there}
        if len({shape for _, shape in kinds}) != 1 or len({kind == "U" for kind, _ in kinds}) != 1:
            seen = sorted({f"{kind}{list(shape)}" for kind, shape in kinds})
            raise ValueError(f"column '{name}' does not fit together across blocks: {', '.join(seen)}")
        if not any(isinstance(column, Coded) for column in there):
            ((_, shape), *_) = kinds
            empty: Any = "" if ("U", shape) in kinds else np.nan
            whole: list[Any] = [np.full((n, *shape), empty) if column is None else column for column, n in pairs]
            columns[name] = np.concatenate(whole)
            continue
        # Columns of text, with words in order of first mention.
        place, codes, last = dict[str, int](), list[Array](), tuple[Array, ...]()
        for column, n in pairs:
            text = Coded(np.array([""]), np.zeros(n, np.uint8)) if column is None else coded(column)
            if not last or text.words is not last[0]:  # blocks of one set share their words
                known = [place.setdefault(word, len(place)) for word in text.words.tolist()]
                last = text.words, narrowed(np.array(known, dtype=np.int64), len(place))
            codes.append(last[1][text.codes])
        columns[name] = Coded(np.array(list(place), dtype=str), narrowed(np.concatenate(codes), len(place)))
    return Columns(columns)


KEY = "\x1f"  # joins role, condition and stimulus; occurs in no name
#: group: several people as one observer (all their trials pooled); simulated: a network in the place of a person
ObserverKind = Literal["network", "human", "published", "reported", "ideal", "simulated", "group"]
PEOPLE = "people"  # the name of people as a group


@dataclass(frozen=True, kw_only=True)
class Observer:
    """Anything that answers trials."""

    name: str
    kind: ObserverKind
    #: Digest of what decides its answers: weights, preprocessing, labels; for imported observers, the name of their
    #: source.
    identity: str
    card: Mapping[str, Any] = field(default_factory=dict)  # the model card as plain data; {} for people


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How numbers are computed; part of an observation's identity."""

    device: str = "cpu"  # "cpu", "cuda" or "mps", without an index
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    compile: bool = False
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Stored responses of one observer: columns of equal length.

    Columns always include "role", "condition", "stimulus" (image name) and the label columns, then the results of
    `observe`. A label column "condition" (one set, many conditions) replaces that of the block. A column that a block
    lacks is filled with "" (text) or NaN (numbers)."""

    columns: Mapping[str, Array]
    missing: Mapping[str, str] = field(default_factory=dict)  # role -> why it has no trials
    training: tuple[str, ...] = ()  # recipe tags of the observer's card

    def __len__(self) -> int:
        return len(next(iter(as_coded(self.columns).values()), ()))

    def __getitem__(self, column: str) -> Array:
        return self.columns[column]

    def where(self, keep: NDArray[np.bool_]) -> Trials:
        """Select the trials at which `keep` [n] is true."""
        columns = as_coded(self.columns).items()
        kept = {n: Coded(c.words, c.codes[keep]) if isinstance(c, Coded) else c[keep] for n, c in columns}
        return replace(self, columns=Columns(kept))

    def coded(self, column: str) -> Coded:
        """Return a column of text as codes: for a big table far cheaper than building the text."""
        return coded(as_coded(self.columns)[column])

    def of(self, role: str) -> Trials:
        """Select the trials of one role. The result is cached, as every observer asks for those of people."""
        if role not in self._by_role:
            roles = self.coded("role")
            own = np.asarray(roles.words == role, dtype=bool)[roles.codes]
            if own.all():
                return self
            self._by_role[role] = self.where(own)
        return self._by_role[role]

    @cached_property
    def _by_role(self) -> dict[str, Trials]:
        return {}

    @cached_property
    def keys(self) -> Array:
        """[n] identity of each trial as one text: role, condition and stimulus with KEY between them."""
        named = (self[name].tolist() for name in ("role", "condition", "stimulus"))
        return np.array([KEY.join(parts) for parts in zip(*named, strict=True)], dtype=str)

    @cached_property
    def by_key(self) -> Array:
        """[n] positions of the trials in the order of their keys."""
        return np.argsort(self.keys, kind="stable")
