"""Functions that only decide: `predict(images) -> labels, probabilities or logits`, of a Python file or module.

images: NumPy, [n, 3, h, w] float32 in [0,1], RGB, what the card's resizing gives (`--mean 0 --std 1` unless others are
given). What comes back may be of NumPy, torch, JAX or a list: [n] labels, each the name or the number of a class, "na"
or -1 for no answer; or [n, classes] in the order of the label space, probabilities where all rows are at least 0 and
sum to 1, else logits. Which of the three is found out once, at load, on four pictures."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from registry.architectures import factory, its_own_fault, source_code, whole_arch
from registry.cards import ModelCard
from registry.determinism_checks import pictures
from registry.errors import AnswerError, CardError
from registry.families.family import Draft
from registry.files import Place
from registry.foreign import shown
from registry.labels import LEAST, LabelSpace, label_space
from registry.preprocessing import StatedInput

PREFIX = "predict:"
#: Logit of what was not answered, where the answer's is 0: its probability rounds to 0.
NEVER = -1e4
Answers = Literal["labels", "probabilities", "logits"]


def predicting(arch: str) -> str:
    """ "predict:PLACE" where "python:PLACE" names a function or class that predicts, and not a network's factory."""
    place = whole_arch(arch).removeprefix("python:")
    return PREFIX + place if arch.startswith("python:") and _function(place) else arch


def _function(place: str) -> Callable[[NDArray[np.float32]], Any] | None:
    """A function whose first parameter is called `images`, or the method `predict` of what a class makes."""
    value = factory(place)
    with its_own_fault(place, "it cannot be made"):
        if inspect.isclass(value):
            predicts = callable(getattr(value, "predict", None)) and not issubclass(value, nn.Module)
            return value().predict if predicts else None
        return value if next(iter(inspect.signature(value).parameters), "") == "images" else None


def describe(draft: Draft, _folder: Path, _place: Place) -> Draft:
    """What a card says of a function: pixels in [0,1], and the size at which classifiers are shown the same images."""
    if draft.weights is not None:
        raise CardError(f"--weights is not for {shown(draft.arch)}: a function has with it what it decides by.")
    fields = {"size": 224, "resize": 256, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    arch = PREFIX + whole_arch("python:" + draft.arch.removeprefix(PREFIX)).removeprefix("python:")
    stated = StatedInput(fields, "a function is shown pixels in [0,1]")
    return replace(
        draft, source="predict", arch=arch, labels=draft.labels or "imagenet1k", options={}, stated=stated
    )  # fmt: skip


def network(card: ModelCard, _place: Place, _outputs: int, *, bare: bool) -> tuple[nn.Module, str]:
    """The function as a network, and the digest of its file and of all that this reaches."""
    place = card.arch.removeprefix(PREFIX)
    function = _function(place)
    if bare:
        raise CardError(f"'{card.name}' answers with decisions: it has no features.")
    if function is None:
        raise CardError(f"arch '{shown(card.arch)}': expected predict(images), or a class with such a method.")
    assert card.preprocess is not None
    module = Function(function, label_space(card.labels), card.name)
    with its_own_fault(place, "predict failed on 4 images", "Its images are [n, 3, h, w] float32 (--size)."):
        module.kind = module.kind_of(pictures(4, card.preprocess.size))
    return module.eval(), source_code("python:" + place, module)


class Function(nn.Module):
    """A function of images as a network: its answers as logits, the last of them for no answer."""

    kind: Answers | None = None

    def __init__(self, function: Callable[[NDArray[np.float32]], Any], space: LabelSpace, name: str) -> None:
        super().__init__()
        self.function, self.name, self.classes = function, name, len(space.classes)
        self.places = {word: at for names in (space.words, space.classes) for at, word in enumerate(names)} | {"na": -1}

    def kind_of(self, images: Tensor) -> Answers:
        """What the function answers with. Raises AnswerError where it is none of the three."""
        values = self._values(images)
        if values.ndim == 1:
            return "labels"
        return "probabilities" if are_probabilities(values) else "logits"

    def _values(self, images: Tensor) -> NDArray[Any]:
        given = self.function(np.ascontiguousarray(images.cpu().numpy()))
        values = np.asarray(given.detach().cpu() if isinstance(given, Tensor) else given)
        if values.shape not in ((len(images),), (len(images), self.classes)):
            raise AnswerError(
                f"'{self.name}' returned {values.shape} for {len(images)} images: expected a label each "
                f"({len(images)},), or probabilities or logits ({len(images)}, {self.classes}), by its --labels."
            )
        return values

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] to logits [n, classes + 1]."""
        values, at = self._values(x), x.device
        if values.ndim == 1 or self.kind == "labels":
            return chosen_alone([self._place(value) for value in values.tolist()], self.classes).to(at)
        if self.kind == "probabilities":
            if not are_probabilities(values):
                raise AnswerError(f"'{self.name}' answered with probabilities, and now with rows that are none.")
            values = log_probabilities(values)
        rows = torch.as_tensor(values, dtype=torch.float32)
        return torch.cat([rows, rows.amin(dim=1, keepdim=True) + NEVER], dim=1).to(at)

    def _place(self, value: Any) -> int:
        place = self.places.get(value, -2) if isinstance(value, str) else value
        if type(place) is not int or not -1 <= place < self.classes:
            raise AnswerError(
                f"'{self.name}' answered {shown(value)[:80]!r}: expected the name of a class, its number from 0 to "
                f"{self.classes - 1}, or 'na' or -1 for no answer."
            )
        return place


def chosen_alone(places: list[int], classes: int) -> Tensor:
    """Logits [n, classes + 1] of bare decisions: all on the place; -1: no answer, the last column."""
    logits = torch.full((len(places), classes + 1), NEVER)
    logits[torch.arange(len(places)), torch.tensor(places, dtype=torch.int64)] = 0.0
    return logits


def are_probabilities(values: NDArray[Any]) -> bool:
    """Whether all rows of [n, classes] are at least 0 and sum to 1."""
    sums = values.astype(np.float64).sum(axis=1)
    return bool((values >= 0).all() and np.allclose(sums, 1, atol=1e-3))


def log_probabilities(values: NDArray[Any]) -> NDArray[np.float32]:
    """Logits that give these probabilities back; none is minus infinity."""
    return np.log(np.clip(values.astype(np.float64), LEAST, None)).astype(np.float32)
