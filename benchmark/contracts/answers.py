"""Who answers, and what is stored of it: observers, the policy of a run, trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts.columns import Coded, chosen, coded, held
from benchmark.contracts.shown import Array

KEY = "\x1f"  # joins role, condition and stimulus; occurs in no name
#: group: several people as one observer (all their trials pooled); simulated: a network that stands for a person
ObserverKind = Literal["network", "human", "published", "reported", "ideal", "simulated", "group"]


@dataclass(frozen=True)
class Observer:
    """Anything that answers trials. identity: digest of what decides its answers (weights, preprocessing, labels;
    for imported observers: their trials' source name). card: the model card as plain data, {} for people."""

    name: str
    kind: ObserverKind
    identity: str
    card: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Policy:
    """How numbers are computed; part of an observation's identity.

    device: "cpu", "cuda", "mps" (never an index); precision: "fp32", "tf32" or "bf16".
    """

    device: str = "cpu"
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    compile: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Trials:
    """Stored responses of one observer: columns of equal length, always with
    "role", "condition", "stimulus" (image name) and the label columns; then what `observe` returned.
    Where the stimuli have a label column "condition" (one set, many conditions), it stands for the block's.

    A column that a block does not have is filled with "" (text) or NaN (numbers).
    missing: role -> why there are no trials of it; training: the recipe tags of the observer's card.
    """

    columns: Mapping[str, Array]
    missing: Mapping[str, str] = field(default_factory=dict)
    training: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(held(self.columns).values()), ()))

    def __getitem__(self, column: str) -> Array:
        return self.columns[column]

    def where(self, keep: NDArray[np.bool_]) -> Trials:
        """The trials at which `keep` [n] is true."""
        return replace(self, columns=chosen(self.columns, keep))

    def coded(self, column: str) -> Coded:
        """A column of text as codes: in a big table far cheaper than the text, which is made each time it is read."""
        return coded(held(self.columns)[column])

    def of(self, role: str) -> Trials:
        """The trials of one role; found once: people are asked for theirs by every observer."""
        if role not in self._by_role:
            roles = self.coded("role")
            mine = np.asarray(roles.words == role, dtype=bool)[roles.codes]
            if mine.all():
                return self
            self._by_role[role] = self.where(mine)
        return self._by_role[role]

    @cached_property
    def _by_role(self) -> dict[str, Trials]:
        return {}

    @cached_property
    def keys(self) -> Array:
        """[n] what each answered, as one text: role, condition and stimulus with KEY between them."""
        named = (self[name].tolist() for name in ("role", "condition", "stimulus"))
        return np.array([KEY.join(parts) for parts in zip(*named, strict=True)], dtype=str)

    @cached_property
    def by_key(self) -> Array:
        """[n] the places of the trials in the order of their keys."""
        return np.argsort(self.keys, kind="stable")
