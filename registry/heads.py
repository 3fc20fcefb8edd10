"""Two heads above a network: a classifier fitted to its features, and the rule by which a detector's boxes answer. That
rule gives the category of the best box among those asked for, and no answer ("na") below the threshold."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from registry.files import absence, digest_data, digest_state, is_file, write_whole
from registry.labels import label_space
from registry.user_errors import CardError, LabelError, WeightsError, foreign, reason, shown

Kind = Literal["linear", "nearest-class"]


@dataclass(frozen=True, kw_only=True)
class Head:
    """A head classifies features linearly, and knows what it was fitted to."""

    weight: Tensor  # [classes, features] float32
    bias: Tensor  # [classes]
    classes: tuple[str, ...]
    trained_on: str  # digest of the training set
    backbone: str  # digest of the weights whose features these were

    @property
    def digest(self) -> str:
        """Return the digest of the numbers, the classes and the backbone."""
        numbers = digest_state({"weight": self.weight, "bias": self.bias})
        return digest_data([numbers, self.classes, self.trained_on, self.backbone])


def write_head(head: Head, path: Path) -> None:
    """Freeze a head to a safetensors file, in one move."""
    from safetensors.torch import save

    tensors = {"weight": head.weight.contiguous(), "bias": head.bias.contiguous()}
    notes = json.dumps({name: value for name, value in vars(head).items() if name not in tensors}, ensure_ascii=True)
    write_whole(path, save(tensors, {"head": notes}))


def read_frozen(path: Path, key: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the notes under `key` and the tensors of a file that a registration wrote. Raises WeightsError."""
    from safetensors import safe_open

    if not is_file(path):
        raise WeightsError(f"head {shown(path)} {absence(path)}. Restore it, or register the model again.")
    with foreign("head", path, WeightsError, "Register the model again."), safe_open(path, "pt") as file:
        notes: dict[str, Any] = json.loads((file.metadata() or {})[key])
        return notes, {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - no mapping


def read_head(path: Path) -> tuple[Tensor, Tensor]:
    """Return the weight and bias of a head's file. Raises WeightsError: missing file, or no head."""
    _, tensors = read_frozen(path, "head")
    with foreign("head", path, WeightsError, "It is no head of `bench register --probe`: fit it again."):
        weight, bias = tensors["weight"], tensors["bias"]
        if weight.dim() != 2 or bias.shape != weight.shape[:1]:
            raise ValueError("expected weight [classes, features] and bias [classes]")
        if not bool(weight.isfinite().all() and bias.isfinite().all()):
            raise ValueError("its numbers are not finite")
        return weight, bias


def without_head(module: nn.Module, side: int) -> frozenset[str]:
    """Take the classifier off a network, in place, and return the names that its state dict has lost. timm names
    the classifier. Otherwise it is the linear layer whose output the network returns, if there is one."""
    before = set(module.state_dict())
    reset: Any = getattr(module, "reset_classifier", None)
    if callable(reset) and hasattr(module, "num_classes"):
        reset(0)
        return frozenset(before - set(module.state_dict()))
    outputs: dict[str, tuple[Tensor, int]] = {}  # the version: an activation in place comes after the layer, too
    hooks = [
        part.register_forward_hook(lambda _part, _args, y, name=name: outputs.update({name: (y, y._version)}))
        for name, part in module.named_modules()
        if name and isinstance(part, nn.Linear)
    ]
    training = module.training
    try:
        with torch.no_grad():
            answer = module.eval()(torch.zeros(1, 3, side, side))
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    for name in [name for name, (y, version) in outputs.items() if y is answer and y._version == version][:1]:
        parent, _, last = name.rpartition(".")
        setattr(module.get_submodule(parent), last, nn.Identity())
    return frozenset(before - set(module.state_dict()))


def pooled_features(output: Any) -> Tensor:
    """Return [n, d]: features, or means of feature maps [n, d, h, w]. Raises WeightsError for anything else."""
    if isinstance(output, Tensor) and output.dim() == 2:
        return output
    if isinstance(output, Tensor) and output.dim() == 4:
        return output.mean(dim=(2, 3))
    returned = str(tuple(output.shape)) if isinstance(output, Tensor) else type(output).__name__
    raise WeightsError(f"the backbone returned {returned}: expected features [n, d] or a feature map [n, d, h, w].")


class WithHead(nn.Module):
    """A backbone answers by the linear classifier that was fitted on its features."""

    def __init__(self, backbone: nn.Module, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(weight.shape[1], weight.shape[0])
        self.head.load_state_dict({"weight": weight, "bias": bias})

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] to logits [n, classes]."""
        logits: Tensor = self.head(pooled_features(self.backbone(x)))
        return logits


PREFIX = "detector:"
COCO = "coco80"
#: Score below which a box is not asked for: it keeps the network's own search short, and no threshold is lower.
FLOOR = 1e-3


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """How boxes become answers."""

    columns: tuple[int, ...]  # the detector's number of each class of the label space, in its order
    outputs: int  # classes that the detector knows, its background among them
    threshold: float  # score from which a box is an answer

    @classmethod
    def of(cls, option: Mapping[str, Any]) -> Boxes:
        """Return the boxes of a card's option `boxes`. Raises CardError."""
        try:
            columns, outputs = tuple(map(int, option["columns"])), int(option["outputs"])
            threshold = float(option["threshold"])
            fits = all(0 < column < outputs for column in columns) and len({*columns}) == len(columns)
            if not fits or not FLOOR <= threshold < 1:
                raise ValueError(f"columns from 1 to outputs - 1, each once; a threshold from {FLOOR:g} to 1")
        except (KeyError, TypeError, ValueError) as error:
            raise CardError(f"options.boxes: expected columns, outputs and threshold ({reason(error)}).") from error
        return cls(columns=columns, outputs=outputs, threshold=threshold)


def is_detector(arch: str) -> bool:
    """Return whether an architecture answers with boxes: a detector of torchvision, or one declared as such."""
    return arch.startswith(PREFIX) or bool(re.fullmatch(r"torchvision:\w*(?:rcnn|retinanet|fcos|ssd)\w*", arch))


def boxes_in_space(arch: str, labels: str, threshold: float | None) -> dict[str, Any]:
    """Return a card's option `boxes`: how a detector's boxes answer in a label space. "coco80": torchvision's numbering
    of COCO, with its gaps; another: numbers 1, 2, ... in the order of its classes. Raises LabelError, CardError."""
    count = len(label_space(labels).classes)
    columns = [*range(1, count + 1)]
    if labels == COCO and "keypoint" in arch:
        raise LabelError(f"arch '{arch}': published keypoint networks detect only people. Another needs --labels.")
    if labels == COCO:
        published = import_module("torchvision.models.detection").FasterRCNN_ResNet50_FPN_Weights
        numbered = published.DEFAULT.meta["categories"]
        count, columns = len(numbered) - 1, [numbered.index(name) for name in label_space(COCO).classes]
    option = {"columns": columns, "outputs": count + 1, "threshold": 0.05 if threshold is None else threshold}
    Boxes.of(option)
    return option


class BoxAnswers(nn.Module):
    """A detector answers with one logit per class and one for nothing."""

    def __init__(self, detector: nn.Module, boxes: Boxes) -> None:
        super().__init__()
        self.detector = detector
        self._columns, self._threshold = boxes.columns, boxes.threshold
        # Lower the score from which a detector of torchvision reports boxes.
        for part in (detector, getattr(detector, "roi_heads", None)):
            if isinstance(getattr(part, "score_thresh", None), float):
                part.score_thresh = FLOOR  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] to logits [n, classes + 1]."""
        answers = self.detector(list(x))
        expected = "Expected a list with a mapping of boxes, labels and scores for each image, as of torchvision."
        with foreign("the detector's answer", "", WeightsError, expected):
            found = [(answer["labels"], answer["scores"].float()) for answer in answers]
            if len(found) != len(x):
                raise ValueError(f"{len(found)} answers to {len(x)} images")
            scored = []
            for labels, scores in found:
                of_class = scores[:, None].where(labels[:, None] == labels.new_tensor(self._columns), FLOOR)
                best = torch.cat([scores.new_full((1, len(self._columns)), FLOOR), of_class]).max(dim=0).values
                scored.append(torch.cat([best, scores.new_tensor([self._threshold])]))
        return torch.logit(torch.stack(scored).clamp(FLOOR, 1 - 2**-24))  # of a score of 1 they would be infinite


# Heads fitted to the features of networks without their classifier.
#
# Both kinds are one matrix and one bias, on features as the backbone gives them:
#
# linear          multinomial logistic regression with an L2 penalty on standardised features
# nearest-class   the class whose mean is closest, by Euclidean distance of standardised features
#                 (Mensink et al. 2013, "Distance-based image classification", with the identity as metric):
#                 -|z - m|^2 / 2 without |z|^2, which is the same for all classes, is linear in z

#: Penalties that are tried, on the mean loss per image.
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fit gives a head's weight and bias, and says how well they did while the penalty was chosen."""

    weight: Tensor
    bias: Tensor
    right: int  # correct answers among `held` images held out
    held: int
    penalty: float = 0.0  # the chosen one


def held_out(targets: Tensor) -> Tensor:
    """Return [n] bool: every fifth image of each class, to choose the penalty and to estimate the accuracy."""
    import pandas as pd  # takes longer to import than a network to load

    classes = pd.Series(targets.numpy())
    return torch.from_numpy((classes.groupby(classes).cumcount() % 5 == 4).to_numpy(copy=True))


def fit(kind: Kind, features: Tensor, targets: Tensor, classes: int) -> Fitted:
    """Fit a head to features [n, d] and class numbers [n]: first without the images held out, to measure it on those,
    then on all. Deterministic. Raises WeightsError for features that no head can be fitted to."""
    if not bool(torch.isfinite(features).all()):
        raise WeightsError("the backbone gave features that are NaN or infinite: nothing is fitted.")
    if classes < 2:
        raise WeightsError(f"a head needs at least two classes, found {classes}.")
    held = held_out(targets)
    usual = PENALTIES[2] if kind == "linear" else 0.0
    right, chosen = -1, usual
    for penalty in PENALTIES if kind == "linear" and bool(held.any()) else (usual,):
        weight, bias = _solve(kind, features[~held], targets[~held], classes, penalty)
        answers = functional.linear(features[held].double(), weight, bias).argmax(dim=1)
        if (count := int((answers == targets[held]).sum())) >= right:  # of equals the stronger penalty
            right, chosen = count, penalty
    weight, bias = _solve(kind, features, targets, classes, chosen)
    return Fitted(weight=weight.float(), bias=bias.float(), right=right, held=int(held.sum()), penalty=chosen)


def _solve(kind: Kind, features: Tensor, targets: Tensor, classes: int, penalty: float) -> tuple[Tensor, Tensor]:
    """Return weight and bias, float64, on features as they came."""
    x = features.double()
    mean, spread = x.mean(dim=0), x.std(dim=0, correction=0)
    spread = torch.where(spread > 1e-12 * spread.max().clamp(min=1e-30), spread, torch.inf)  # a constant says nothing
    z = (x - mean) / spread
    if kind == "nearest-class":  # over d: differences of logits are mean squared distances, whatever the width
        member = functional.one_hot(targets, classes).to(z.dtype)
        means = (member.T @ z) / member.sum(dim=0).clamp(min=1)[:, None]
        weight, bias = means / z.shape[1], -means.square().sum(dim=1) / (2 * z.shape[1])
        return weight / spread, bias - (weight / spread) @ mean
    # Convex, so the start decides nothing; the bias is free of the penalty.
    weight = torch.zeros(classes, z.shape[1], dtype=z.dtype, requires_grad=True)
    bias = torch.zeros(classes, dtype=z.dtype, requires_grad=True)
    search = torch.optim.LBFGS(
        [weight, bias], max_iter=300, tolerance_grad=1e-7, tolerance_change=1e-12,
        history_size=20, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def loss() -> Tensor:
        search.zero_grad()
        value = functional.cross_entropy(functional.linear(z, weight, bias), targets)
        value = value + penalty / 2 * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        search.step(loss)  # type: ignore[no-untyped-call]
    own = weight.detach() / spread
    return own, bias.detach() - own @ mean
