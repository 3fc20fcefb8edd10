"""Functions that only decide, of a Python file or module. `predict(images)` of [n, 3, h, w] float32 in [0,1] returns
[n] labels ("na" or -1: no answer), probabilities [n, classes] (rows of at least 0 that sum to 1), or logits."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from registry.architectures import factory, source_code, whole_arch
from registry.cards import ModelCard
from registry.determinism_checks import pictures
from registry.families.family import Draft
from registry.files import WeightSources
from registry.labels import LEAST, LabelSpace, label_space
from registry.preprocessing import StatedInput
from registry.user_errors import AnswerError, CardError, foreign, shown

PREFIX = "predict:"
#: Logit of what was not answered, where the answer's is 0: its probability rounds to 0.
NEVER = -1e4


def predicting(arch: str) -> str:
    """ "predict:PLACE" where "python:PLACE" names a function or class that predicts, and not a network's factory."""
    place = whole_arch(arch).removeprefix("python:")
    return PREFIX + place if arch.startswith("python:") and _function(place) else arch


def _function(place: str) -> Callable[[NDArray[np.float32]], Any] | None:
    """Return a function whose first parameter is called `images`, or the method `predict` of an instance of a class."""
    value: Any = factory(place)
    with foreign("arch", f"'python:{place}'", CardError, failed="cannot be made"):
        if isinstance(value, type):
            predicts = hasattr(value, "predict") and not issubclass(value, nn.Module)
            observer: Any = value() if predicts else None
            return observer.predict if predicts else None
        return value if next(iter(inspect.signature(value).parameters), "") == "images" else None


def describe(draft: Draft, _folder: Path, _place: WeightSources) -> Draft:
    """Return the draft of a function: pixels in [0,1] at the size that classifiers are shown."""
    if draft.weights is not None:
        raise CardError(f"--weights is not for {shown(draft.arch)}: a function contains its own weights.")
    arch = PREFIX + whole_arch("python:" + draft.arch.removeprefix(PREFIX)).removeprefix("python:")
    fields = {"size": 224, "resize": 256, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    stated = StatedInput(fields, "a function is shown pixels in [0,1]")
    return replace(draft, source="predict", arch=arch, options={}, stated=stated)


def network(card: ModelCard, _place: WeightSources, _outputs: int, *, bare: bool) -> tuple[nn.Module, str]:
    """Return the function as a network, and the digest of its file and of all that this reaches."""
    place = card.arch.removeprefix(PREFIX)
    function = _function(place)
    if bare or function is None or card.preprocess is None:
        raise CardError(f"'{card.name}': expected predict(images), which decides and has no features.")
    module = Function(function, label_space(card.labels), card.name)
    module.settle(pictures(4, card.preprocess.size), place, "Its images are [n, 3, h, w] float32 (--size).")
    return module.eval(), source_code("python:" + place, module)


class Function(nn.Module):
    """A function of images as a network: its answers as logits, the last of them for no answer."""

    normalised = False

    def __init__(self, function: Callable[[NDArray[np.float32]], Any], space: LabelSpace, name: str) -> None:
        super().__init__()
        self.function, self.name, self.classes = function, name, len(space.classes)
        self.places = {word: at for names in (space.words, space.classes) for at, word in enumerate(names)} | {"na": -1}

    def settle(self, images: Any, place: str, expected: str) -> None:
        """Try a few images, and learn from them whether the function gives probabilities. Raises CardError."""
        with foreign("arch", f"'python:{place}'", CardError, expected, f"fails on {len(images)} images"):
            values = self.values(images)
        self.normalised = values.ndim == 2 and are_probabilities(values)

    def values(self, images: Tensor) -> NDArray[Any]:
        """Return the function's answers for [n, 3, h, w]. Raises AnswerError for another shape."""
        given = self.function(np.ascontiguousarray(images.cpu().numpy()))
        values = np.asarray(given.detach().cpu() if isinstance(given, Tensor) else given)
        shapes = [(len(images),), (len(images), self.classes)]
        if values.shape not in (shapes if values.dtype.kind in "biuf" else shapes[:1]):  # a table is of real numbers
            found = f"{values.shape} of {values.dtype} for {len(images)} images"
            raise AnswerError(f"'{self.name}' returned {found}: expected {shapes[0]} labels, or {shapes[1]} numbers.")
        return values

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] to logits [n, classes + 1]."""
        values = self.values(x)
        if values.ndim == 1:
            return chosen_alone(list(map(self._place, values.tolist())), self.classes).to(x.device)
        rows = torch.as_tensor(log_probabilities(values) if self.normalised else values, dtype=torch.float32)
        return torch.cat([rows, rows.amin(dim=1, keepdim=True) + NEVER], dim=1).to(x.device)

    def _place(self, value: Any) -> int:
        place = self.places.get(value) if isinstance(value, str) else value
        if type(place) is not int or not -1 <= place < self.classes:
            expected = f"a class, its number from 0 to {self.classes - 1}, or 'na' or -1"
            raise AnswerError(f"'{self.name}' answered {shown(value)[:80]!r}: expected {expected}.")
        return place


def chosen_alone(places: list[int], classes: int) -> Tensor:
    """Return logits [n, classes + 1] of bare decisions: all on the place; -1: no answer, the last column."""
    logits = torch.full((len(places), classes + 1), NEVER)
    logits[torch.arange(len(places)), torch.tensor(places, dtype=torch.int64)] = 0.0
    return logits


def are_probabilities(values: NDArray[Any]) -> bool:
    """Return whether all rows of [n, classes] are at least 0 and sum to 1."""
    return bool((values >= 0).all() and np.allclose(values.sum(axis=1, dtype=np.float64), 1, atol=1e-3))


def log_probabilities(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return logits that give these probabilities back. Raises AnswerError if they are none."""
    if not are_probabilities(values):
        raise AnswerError("an observer that answers with probabilities gave rows that are none (at least 0, sum 1).")
    return np.asarray(np.log(values.astype(np.float64).clip(LEAST)), dtype=np.float32)
