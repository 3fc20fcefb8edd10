"""Detectors, instance segmentation and keypoint networks as observers.

The answer is the category of the box with the highest score among all boxes of the categories that are asked for; boxes
of other categories (a person beside the dog) are not looked at. Equal scores: the first category in the order of the
label space, as everywhere. No box from the threshold on: no answer ("na"), which is never right and stays in every
count. The threshold is the score from which the network itself reports a box, unless another is given.

A category's logit is the log-odds of its best box, so its gradient is the gradient of the deciding score. A last
output, "nothing", has the log-odds of the threshold: whatever beats it is answered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from registry.errors import CardError, LabelError, WeightsError
from registry.labels import label_space
from registry.preprocessing import StatedInput

PREFIX = "detector:"
COCO = "coco80"
#: Score below which a box is not asked for: it keeps the network's own search short, and no threshold is lower.
FLOOR = 1e-3


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """How boxes become answers. columns: the detector's number of each class of the label space, in its order; outputs:
    how many classes the detector knows, its background among them; threshold: score from which a box is an answer."""

    columns: tuple[int, ...]
    outputs: int
    threshold: float

    @classmethod
    def of(cls, option: Mapping[str, Any]) -> Boxes:
        """Read a card's option `boxes`. Raises CardError."""
        try:
            columns = tuple(map(int, option["columns"]))
            boxes = cls(columns=columns, outputs=int(option["outputs"]), threshold=float(option["threshold"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CardError(
                f"options.boxes: expected columns, outputs and threshold ({type(error).__name__}: {error})."
            ) from error
        fits = all(0 < column < boxes.outputs for column in columns) and len(set(columns)) == len(columns)
        if not fits or not FLOOR <= boxes.threshold < 1:
            raise CardError(
                f"options.boxes: expected columns from 1 to outputs - 1, each once; a threshold from {FLOOR:g} to 1."
            )
        return boxes

    def option(self) -> dict[str, Any]:
        """As a card holds it."""
        return {"columns": list(self.columns), "outputs": self.outputs, "threshold": self.threshold}


def is_detector(arch: str) -> bool:
    """Return whether an architecture answers with boxes: a detector of torchvision, or one declared as such."""
    return arch.startswith(PREFIX) or bool(re.fullmatch(r"torchvision:\w*(?:rcnn|retinanet|fcos|ssd)\w*", arch))


def boxes_of(arch: str, labels: str, threshold: float | None) -> Boxes:
    """How a detector's boxes answer in a label space. "coco80": torchvision's numbering of COCO, with its gaps;
    another: numbers 1, 2, ... in the order of its classes. Raises LabelError, CardError."""
    plain = {"threshold": 0.05 if threshold is None else threshold}
    if labels != COCO:
        count = len(label_space(labels).classes)
        return Boxes.of({"columns": range(1, count + 1), "outputs": count + 1, **plain})
    if "keypoint" in arch:
        raise LabelError(
            f"arch '{arch}': the published keypoint networks detect only people. "
            "A network for other classes needs --labels."
        )
    published = import_module("torchvision.models.detection").FasterRCNN_ResNet50_FPN_Weights
    numbered = published.DEFAULT.meta["categories"]
    columns = [numbered.index(name) for name in label_space(COCO).classes]
    return Boxes.of({"columns": columns, "outputs": len(numbered), **plain})


def stated_by_detector(arch: str) -> StatedInput:
    """A detector of torchvision takes images in [0,1] of any size, resizes and normalises them itself. The size is that
    at which classifiers are shown the same images."""
    if not arch.startswith("torchvision:"):
        return StatedInput()
    fields = {"size": 224, "resize": 256, "mean": (0.0,) * 3, "std": (1.0,) * 3, "fixed_size": False}
    return StatedInput(fields, "the detector resizes and normalises images itself")


class BoxAnswers(nn.Module):
    """A detector that answers with one logit per class and one for nothing."""

    def __init__(self, detector: nn.Module, boxes: Boxes) -> None:
        super().__init__()
        self.detector = detector
        self._place = {column: at for at, column in enumerate(boxes.columns)}
        self._threshold = boxes.threshold
        # Lower the score from which a detector of torchvision reports boxes.
        for part in (detector, getattr(detector, "roi_heads", None)):
            if isinstance(getattr(part, "score_thresh", None), float):
                part.score_thresh = FLOOR  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] to logits [n, classes + 1]."""
        answers = self.detector(list(x))
        if not isinstance(answers, Sequence) or len(answers) != len(x):
            raise WeightsError(
                f"the detector returned {type(answers).__name__} for {len(x)} images: expected a list with a mapping "
                "of boxes, labels and scores for each, as torchvision's detectors return."
            )
        scored = []
        for answer in answers:
            try:
                labels, scores = answer["labels"].tolist(), answer["scores"].float()
            except (KeyError, TypeError, AttributeError) as error:
                raise WeightsError(
                    f"the detector's answer to an image has no labels and scores ({type(error).__name__}): expected a "
                    "mapping of boxes, labels and scores, as torchvision's detectors return."
                ) from error
            best = [x.new_tensor(FLOOR, dtype=torch.float32)] * len(self._place)
            first: dict[int, int] = {}
            for row in scores.detach().argsort(descending=True, stable=True).tolist():
                first.setdefault(labels[row], row)
            for label, row in first.items():
                if label in self._place:
                    best[self._place[label]] = scores[row]
            scored.append(torch.stack([*best, x.new_tensor(self._threshold, dtype=torch.float32)]))
        return torch.logit(torch.stack(scored).clamp(FLOOR, 1 - 2**-24))  # of a score of 1 they would be infinite
