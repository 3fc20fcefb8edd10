"""Ideal observers: they read a stimulus's labels instead of its pixels, so their scores are known
in closed form.

shape-reader answers the shape (the category where a set has no shapes), texture-reader the texture
(else a guess), uniform-guesser any category, constant-responder always the same, noisy-shape-reader
the shape with probability `p` (option, 0.75) and any *other* category else. All chance comes from
the stimulus's seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from registry.cards import ModelCard
from registry.digests import digest_data
from registry.errors import CardError, LabelError, unknown_name

Seeds = NDArray[np.uint64]
Labels = Mapping[str, NDArray[Any]]
Indices = NDArray[np.int64]

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def splitmix64(seeds: Seeds, stream: int = 0) -> Seeds:
    """A well-mixed 64-bit number per seed (Steele et al. 2014); each `stream` gives another, all
    bijective.
    """
    offset = np.uint64((_GOLDEN * (stream + 1)) % 2**64)
    z = np.asarray(seeds, dtype=np.uint64) + offset
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


def uniform(seeds: Seeds, stream: int = 0) -> NDArray[np.float64]:
    """A number in [0, 1) per seed, with 53 random bits."""
    return (splitmix64(seeds, stream) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _guess(seeds: Seeds, count: int, stream: int) -> Indices:
    """One of `count` numbers per seed, each equally likely."""
    return (uniform(seeds, stream) * count).astype(np.int64)


@dataclass(frozen=True)
class _Trial:
    """What an observer decides from. `salt` keeps two copies of a noisy observer independent."""

    labels: Labels
    seeds: Seeds
    categories: tuple[str, ...]
    options: Mapping[str, Any]

    def read(self, *columns: str) -> Indices | None:
        """Positions of the labels of the first column there is, among the categories."""
        for column in columns:
            if column in self.labels:
                return self._positions(column)
        return None

    def _positions(self, column: str) -> Indices:
        place = {name: index for index, name in enumerate(self.categories)}
        found = [place.get(str(value), -1) for value in self.labels[column]]
        if -1 in found:
            value = self.labels[column][found.index(-1)]
            raise LabelError(
                f"label '{value}' in column '{column}' is none of the {len(place)} categories "
                f"({', '.join(self.categories[:5])}, ...): stimuli and decision space do not fit."
            )
        return np.asarray(found, dtype=np.int64)

    def guess(self, count: int, stream: int) -> Indices:
        """A uniform guess among `count`, from the seeds alone."""
        return _guess(self.seeds ^ self._salt, count, stream)

    def chance(self) -> NDArray[np.float64]:
        """A uniform number per trial."""
        return uniform(self.seeds ^ self._salt, 0)

    @property
    def _salt(self) -> np.uint64:
        seed = np.asarray([self.options.get("seed", 0)], dtype=np.uint64)
        return np.uint64(splitmix64(seed, 7)[0])


def _shape(trial: _Trial) -> Indices:
    found = trial.read("shape", "category")
    if found is None:
        raise LabelError("the stimuli have neither a 'shape' nor a 'category' column.")
    return found


def _texture(trial: _Trial) -> Indices:
    found = trial.read("texture")
    return _uniform_guess(trial) if found is None else found


def _uniform_guess(trial: _Trial) -> Indices:
    return trial.guess(len(trial.categories), 1)


def _constant(trial: _Trial) -> Indices:
    index = int(trial.options.get("answer", 0)) % len(trial.categories)
    return np.full(len(trial.seeds), index, dtype=np.int64)


def _noisy(trial: _Trial) -> Indices:
    """Right with probability p; else the truth plus a uniform step of 1 .. categories - 1."""
    truth = _shape(trial)
    count = len(trial.categories)
    wrong = (truth + 1 + trial.guess(count - 1, 1)) % count
    return np.where(trial.chance() < float(trial.options.get("p", 0.75)), truth, wrong)


_RULES: Mapping[str, Callable[[_Trial], Indices]] = {
    "shape-reader": _shape,
    "texture-reader": _texture,
    "uniform-guesser": _uniform_guess,
    "constant-responder": _constant,
    "noisy-shape-reader": _noisy,
}


@dataclass(frozen=True)
class IdealObserver:
    """An observer whose answers follow a rule. Raises UnknownName for an arch that is none of the
    rules.
    """

    card: ModelCard
    gradients: bool = False

    def __post_init__(self) -> None:
        if self.card.arch not in _RULES:
            raise unknown_name("ideal observer", self.card.arch, _RULES)
        chance = self.card.options.get("p", 0.75)
        if not isinstance(chance, int | float) or not 0 <= chance <= 1:
            raise CardError(
                f"card '{self.card.name}': option 'p': expected a probability, found {chance!r}."
            )

    @cached_property
    def identity(self) -> str:
        """Digest of the rule and its options: not the name."""
        return digest_data({"ideal": self.card.arch, "options": self.card.options})

    def answer(
        self, labels: Labels, seeds: Seeds, categories: tuple[str, ...]
    ) -> NDArray[np.float32]:
        """One-hot answers [n, categories] from label columns [n] and seeds [n].

        A trial's answer depends on its own labels and seed: not on batch size, order or subset.
        Raises LabelError where a label that the rule reads is none of the categories.
        """
        trial = _Trial(labels, np.asarray(seeds, dtype=np.uint64), categories, self.card.options)
        chosen = _RULES[self.card.arch](trial)
        answers = np.zeros((len(chosen), len(categories)), dtype=np.float32)
        answers[np.arange(len(chosen)), chosen] = 1.0
        return answers
