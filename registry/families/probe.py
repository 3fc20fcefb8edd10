"""Heads fitted to the features of networks without their classifier."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from registry.errors import WeightsError, foreign, shown
from registry.files import absence, digest_data, digest_state, is_file, write_whole

# Both kinds are one matrix and one bias, on features as the backbone gives them:
#
# linear          multinomial logistic regression with an L2 penalty on standardised features
# nearest-class   the class whose mean is closest, by Euclidean distance of standardised features
#                 (Mensink et al. 2013, "Distance-based image classification", with the identity as metric):
#                 -|z - m|^2 / 2 without |z|^2, which is the same for all classes, is linear in z

Kind = Literal["linear", "nearest-class"]
KINDS: tuple[str, ...] = get_args(Kind)
#: Penalties that are tried, on the mean loss per image.
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True, kw_only=True)
class Head:
    """weight: [classes, features], bias: [classes], float32. trained_on: digest of the training set; images: how many
    it has; backbone: digest of the weights whose features these were."""

    weight: Tensor
    bias: Tensor
    kind: Kind
    classes: tuple[str, ...]
    trained_on: str
    backbone: str
    images: int

    def ordered(self, order: Sequence[int]) -> Head:
        """The same head with its classes in another order: `order` are their places now."""
        rows = list(order)
        classes = tuple(self.classes[i] for i in rows)
        return replace(self, weight=self.weight[rows], bias=self.bias[rows], classes=classes)

    @property
    def digest(self) -> str:
        """Digest of the numbers, the classes and the backbone."""
        numbers = digest_state({"weight": self.weight, "bias": self.bias})
        return digest_data([numbers, self.classes, self.trained_on, self.backbone])


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """weight, bias: as of `Head`. right, held: correct answers among the images held out while the penalty was chosen;
    penalty: the chosen one, or 0."""

    weight: Tensor
    bias: Tensor
    right: int
    held: int
    penalty: float = 0.0


def held_out(targets: Tensor) -> Tensor:
    """Return [n] bool: every fifth image of each class, from its fifth on, to choose the penalty and to estimate the
    accuracy; targets: [n] class numbers."""
    counts: Counter[int] = Counter()
    flags = []
    for target in targets.tolist():
        counts[target] += 1
        flags.append(counts[target] % 5 == 0)
    return torch.tensor(flags)


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
    """Weight and bias, float64, on features as they came."""
    x = features.double()
    mean, spread = x.mean(dim=0), x.std(dim=0, correction=0)
    spread = torch.where(spread > 1e-12 * spread.max().clamp(min=1e-30), spread, torch.inf)  # a constant says nothing
    z = (x - mean) / spread
    if kind == "linear":
        weight, bias = logistic(z, targets, classes, penalty)
    else:  # divided by d, so that differences of logits are mean squared distances, whatever the width
        member = functional.one_hot(targets, classes).to(z.dtype)
        means = (member.T @ z) / member.sum(dim=0).clamp(min=1)[:, None]
        weight, bias = means / z.shape[1], -means.square().sum(dim=1) / (2 * z.shape[1])
    weight = weight / spread
    return weight, bias - weight @ mean


def logistic(z: Tensor, targets: Tensor, classes: int, penalty: float) -> tuple[Tensor, Tensor]:
    """Minimise mean cross-entropy + penalty/2 * |weight|^2 (the bias is free) by L-BFGS from zero: convex, so the start
    decides nothing. z: [n, d] float64."""
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
    return weight.detach(), bias.detach()


def write_head(head: Head, path: Path) -> None:
    """Freeze a head to a safetensors file, in one move."""
    from safetensors.torch import save

    notes = {name: getattr(head, name) for name in ("kind", "trained_on", "backbone")}
    notes |= {"classes": json.dumps(head.classes), "images": str(head.images)}
    tensors = {"weight": head.weight.contiguous(), "bias": head.bias.contiguous()}
    write_whole(path, save(tensors, {"head": json.dumps(notes, ensure_ascii=True)}))


def read_head(path: Path, outputs: int) -> Head:
    """Return the head of a file. Raises WeightsError: missing file, no head, or another number of classes than
    `outputs`."""
    if not is_file(path):
        raise WeightsError(
            f"head {shown(path)} {absence(path)}. Restore it, or fit it again: `bench register --probe`."
        )
    from safetensors import safe_open

    with foreign("head", path, WeightsError, "It is no head of `bench register --probe`: fit it again."):
        with safe_open(path, "pt") as file:
            notes = json.loads((file.metadata() or {})["head"])
            weight, bias = (file.get_tensor(name).float() for name in ("weight", "bias"))
        if weight.dim() != 2 or bias.shape != weight.shape[:1]:
            raise ValueError("expected weight [classes, features] and bias [classes]")
        if not bool(weight.isfinite().all() and bias.isfinite().all()):
            raise ValueError("its numbers are not finite")
        kind: Kind = "nearest-class" if notes.get("kind") == "nearest-class" else "linear"
        classes = tuple(map(str, json.loads(notes.get("classes", "[]"))))
        head = Head(
            weight=weight,
            bias=bias,
            kind=kind,
            classes=classes,
            trained_on=str(notes.get("trained_on", "")),
            backbone=str(notes.get("backbone", "")),
            images=int(notes.get("images", 0)),
        )
    if len(weight) != outputs:
        raise WeightsError(f"head {shown(path)} has {len(weight)} classes, its card's label space {outputs}.")
    return head


def without_head(module: nn.Module, side: int) -> frozenset[str]:
    """Take the classifier off a network, in place, and return the names that its state dict has lost.

    timm's networks name their classifier. For others it is the linear layer whose output the network returns; without
    such a layer the network is already a backbone and is left unchanged. side: of the square input, in pixels."""
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


def pooled(output: Any) -> Tensor:
    """Return features [n, d] of a backbone's output: itself, or the mean over positions of a feature map [n, d, h, w].

    Raises WeightsError for anything else."""
    if isinstance(output, Tensor) and output.dim() == 2:
        return output
    if isinstance(output, Tensor) and output.dim() == 4:
        return output.mean(dim=(2, 3))
    returned = str(tuple(output.shape)) if isinstance(output, Tensor) else type(output).__name__
    raise WeightsError(
        f"the backbone returned {returned}: expected features [images, numbers] or a feature map [images, numbers, "
        "height, width]. Wrap it in a function that returns one of these (--arch python:MODULE:FUNCTION)."
    )


class WithHead(nn.Module):
    """A backbone and the linear classifier that was fitted on its features."""

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(head.weight.shape[1], head.weight.shape[0])
        self.head.load_state_dict({"weight": head.weight, "bias": head.bias})

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] to logits [n, classes]."""
        logits: Tensor = self.head(pooled(self.backbone(x)))
        return logits
