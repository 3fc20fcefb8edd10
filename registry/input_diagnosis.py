"""Whether a network is fed as it was trained and its classes are in the order that is assumed, from photographs whose
classes are known: the first batch norm, the class orders of the same logits, and a dozen other inputs.

What no 64 photographs show (crop, filter, sizes within a fifth) is not tried."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize, stats
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from registry.cards import IMAGENET_MEAN, IMAGENET_STD, Triple
from registry.model import LoadedModel, Pixels

#: Symmetrised divergence of the first batch norm's input from its running statistics: networks that are fed as they
#: were trained have less than .02 on clean photographs, wrong normalisations .3 and more.
ODD, FITTING = 0.1, 0.05
#: Level of the tests, and the least gain in nats of the right class's log-probability: adversarially trained networks
#: gain significantly, and less, from softer inputs.
LEVEL, LEAST_GAIN = 0.01, 0.1
RACE = 16  # photographs after which inputs that are behind are dropped
FLIPS = 999

Order = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Input:
    """One way to bring pixels in [0, 1] to a network."""

    mean: Triple
    std: Triple
    scale: float = 1.0
    bgr: bool = False

    def flags(self) -> str:
        """Return the options of `bench register` that ask for this input."""
        mean, std = (",".join(f"{value:.3g}" for value in values) for values in (self.mean, self.std))
        more = (f" --scale {self.scale:g}" if self.scale != 1 else "") + (" --channels bgr" if self.bgr else "")
        return f"--mean {mean} --std {std}{more}"


def input_of(model: LoadedModel) -> Input:
    """Return the input that a network is given."""
    how = model.preprocess
    return Input(mean=how.mean, std=how.std, scale=how.scale, bgr=how.channels == "bgr")


def fed_with(model: LoadedModel, other: Input) -> LoadedModel:
    """Return the same network, given another input."""
    fields = {"mean": other.mean, "std": other.std, "scale": other.scale, "channels": "bgr" if other.bgr else "rgb"}
    how = model.preprocess.model_copy(update=fields)
    return replace(model, card=model.card.model_copy(update={"preprocess": how}))


def _same(value: float) -> Triple:
    return (value, value, value)


#: Name -> the normalisations that training code uses.
NORMALISATIONS: Mapping[str, Input] = {
    "ImageNet's mean and deviation": Input(mean=IMAGENET_MEAN, std=IMAGENET_STD),
    "mean .5, deviation .5": Input(mean=_same(0.5), std=_same(0.5)),
    "CLIP's mean and deviation": Input(
        mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711)
    ),
    "CIFAR's mean and deviation": Input(mean=(0.4914, 0.4822, 0.4465), std=(0.247, 0.2435, 0.2616)),
    "pixels in 0..1": Input(mean=_same(0.0), std=_same(1.0)),
    "pixels in 0..255": Input(mean=_same(0.0), std=_same(1.0), scale=255.0),
    "ImageNet's mean of 0..255 (Caffe)": Input(mean=(123.68, 116.779, 103.939), std=_same(1.0), scale=255.0),
    "ImageNet's mean alone": Input(mean=IMAGENET_MEAN, std=_same(1.0)),
    "ImageNet's deviation alone": Input(mean=_same(0.0), std=IMAGENET_STD),
    "ImageNet's, twice": Input(
        mean=cast(Triple, tuple(m + s * m for m, s in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True))),
        std=cast(Triple, tuple(s * s for s in IMAGENET_STD)),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What fits significantly better."""

    #: "input" (normalisation, scale, channels), "pixels" (turned or inverted) or "order" (of the classes).
    kind: str
    text: str
    #: Photographs that are right with it.
    right: int
    #: The options of `bench register` to paste.
    flags: str = ""


def _is_chance(right: int, n: int, classes: int) -> bool:
    """Return whether guessing gives so many right answers of n (p > .05)."""
    return bool(stats.binom.sf(right - 1, n, 1 / classes) > 0.05)


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """right of n photographs as fed; findings, the surest first; divergence of the first batch norm (None: the network
    has none that can be read)."""

    n: int
    right: int
    classes: int
    findings: tuple[Finding, ...]
    divergence: float | None

    @property
    def at_chance(self) -> bool:
        """Whether no input or order that was tried has more right answers than guessing gives (p > .05)."""
        best = max([self.right, *(each.right for each in self.findings)])
        return _is_chance(best, self.n, self.classes)


class _Reached(Exception):
    """The first batch norm has its input."""


def first_norm_input(module: nn.Module, x: Tensor) -> tuple[_BatchNorm, Tensor] | None:
    """Return the first batch norm that a pass reaches, and its input; nothing of the network after it is computed.

    None if the network has none with running statistics."""
    found: list[tuple[_BatchNorm, Tensor]] = []

    def reach(norm: nn.Module, inputs: Any) -> None:
        found.append((cast(_BatchNorm, norm), inputs[0]))
        raise _Reached

    norms = [each for each in module.modules() if isinstance(each, _BatchNorm) and each.running_mean is not None]
    handles = [norm.register_forward_pre_hook(reach) for norm in norms]
    try:
        with torch.no_grad():
            module(x)
    except _Reached:
        return found[0]
    finally:
        for handle in handles:
            handle.remove()
    return None


def divergence_of(mean: Tensor, var: Tensor, norm: _BatchNorm) -> float:
    """Return the symmetrised Kullback-Leibler divergence of normal distributions, averaged over live channels: those of
    a batch, [channels] each, and those of the running statistics."""
    m, v = cast(Tensor, norm.running_mean).double(), cast(Tensor, norm.running_var).double()
    live = v > 1e-6 * v.max()
    m, v, mean, var = (each[live] for each in (m, v, mean.double(), var.double().clamp(min=1e-12)))
    each = (var / v + v / var - 2 + (mean - m).square() * (1 / v + 1 / var)) / 4
    return float(each.mean())


def norm_divergence(module: nn.Module, x: Tensor) -> float | None:
    """Return the divergence at the first batch norm of an input [n, 3, h, w]; None without such a norm."""
    if (reached := first_norm_input(module, x)) is None:
        return None
    norm, batch = reached
    dims = [0, *range(2, batch.dim())]
    return divergence_of(batch.mean(dims), batch.var(dims, correction=0), norm)


def _other_inputs(as_fed: Input) -> dict[str, Input]:
    """Return the usual inputs in both orders of the channels, other than the one that is given."""
    both = {
        f"{name}{', BGR' if bgr else ''}": replace(each, bgr=bgr)
        for (name, each), bgr in product(NORMALISATIONS.items(), (False, True))
    }
    return {name: each for name, each in both.items() if each != as_fed}


#: Turns of the pixels themselves, [n, 3, h, w] -> the same.
TURNS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "upside down": lambda x: x.flip(2),
    "turned by 90 degrees": lambda x: x.rot90(1, (2, 3)),
    "turned by 270 degrees": lambda x: x.rot90(3, (2, 3)),
    "turned by 180 degrees": lambda x: x.rot90(2, (2, 3)),
    "inverted": lambda x: 1 - x,
}


def solve_input(module: nn.Module, x: Tensor) -> Input | None:
    """Return the mean and deviation per channel under which pixels x [n, 3, h, w] in [0, 1] have the running statistics
    of the first batch norm; None unless that norm follows a convolution of the pixels.

    The convolution is linear, so the moments of its output follow from those of each channel's part alone."""
    conv = next((each for each in module.modules() if isinstance(each, nn.Conv2d)), None)
    reached = first_norm_input(module, x)
    if conv is None or reached is None or conv.in_channels != 3 or conv.groups != 1:
        return None
    norm, batch = reached
    weight, zero = conv.weight.detach().float(), None if conv.bias is None else conv.bias.detach().float()
    with torch.no_grad():
        if batch.shape[1] != conv.out_channels or not torch.allclose(conv(x), batch, atol=1e-3, rtol=1e-3):
            return None
        parts = [
            functional.conv2d(values[:, [k]], weight[:, [k]], None, conv.stride, conv.padding, conv.dilation)
            for values in (x, torch.ones_like(x))
            for k in range(3)
        ]
    flat = torch.stack([part.transpose(0, 1).flatten(1) for part in parts], dim=1).double()  # [channels, 6, places]
    first = flat.mean(2)
    second = torch.einsum("cip,cjp->cij", flat, flat) / flat.shape[2] - first[:, :, None] * first[:, None, :]

    def misfit(values: NDArray[np.float64]) -> float:
        mean, deviation = torch.tensor(values[:3]), torch.tensor(np.exp(values[3:]))
        by = torch.cat([1 / deviation, -mean / deviation])
        spread = torch.einsum("i,cij,j->c", by, second, by)
        return divergence_of(first @ by + (0 if zero is None else zero), spread, norm)

    fits = [
        optimize.minimize(misfit, np.concatenate([mean, np.log(std)]), method="L-BFGS-B")
        for mean, std in (((0.5,) * 3, (0.5,) * 3), (IMAGENET_MEAN, IMAGENET_STD))
    ]
    best = min(fits, key=lambda fit: float(fit.fun))
    mean, std = best.x[:3], np.exp(best.x[3:])
    return Input(mean=cast(Triple, tuple(map(float, mean))), std=cast(Triple, tuple(map(float, std))))


def class_orders(words: Sequence[str]) -> dict[str, Order]:
    """Return the usual wrong orders of n classes: name -> output of each class [n]. words: readable names."""
    n = len(words)
    place = np.arange(n)
    texts = {
        "by name": [*words],
        "by name, whatever the case": [word.lower() for word in words],
        "as numbers in text (0, 1, 10, 100, ...)": [str(i) for i in range(n)],
    }
    orders = {name: np.argsort(sorted(range(n), key=each.__getitem__)) for name, each in texts.items()}
    orders |= {"one later": (place + 1) % n, "one earlier": (place - 1) % n, "reversed": place[::-1].copy()}
    return {name: order for name, order in orders.items() if (order != place).any()}


def _mcnemar(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the exact one-sided p of b being right more often than a on the same images."""
    gained, lost = int((b & ~a).sum()), int((a & ~b).sum())
    return float(stats.binom.sf(gained - 1, gained + lost, 0.5)) if gained + lost else 1.0


def _order_finding(logits: Tensor, targets: Order, orders: Mapping[str, Order]) -> list[Finding]:
    """Return the best of the orders under which significantly more answers are right (Holm over orders)."""
    answers = logits.argmax(1).numpy()
    right = answers == targets
    under = {name: answers == order[targets] for name, order in orders.items()}
    if logits.shape[1] <= 20:
        under["of another assignment"] = _assigned(logits, targets)
    p = {name: _mcnemar(right, each) for name, each in under.items()}
    best = max(under, key=lambda name: int(under[name].sum()), default="")
    if not best or p[best] * len(p) > LEVEL:
        return []
    n, hits = len(right), int(under[best].sum())
    return [
        Finding(kind="order", right=hits, text=f"classes {best}: {hits} of {n} are right instead of {int(right.sum())}")
    ]


def _assigned(logits: Tensor, targets: Order) -> NDArray[np.bool_]:
    """Return whether each answer is right under the assignment of outputs to classes that fits the other half of the
    photographs best."""
    scores, answers = logits.double().log_softmax(1).numpy(), logits.argmax(1).numpy()
    half = np.zeros(len(targets), dtype=bool)
    for each in np.unique(targets):
        half[np.flatnonzero(targets == each)[::2]] = True
    right = np.zeros(len(targets), dtype=bool)
    for fitted in (half, ~half):
        classes = np.unique(targets[fitted])
        profile = np.stack([scores[fitted & (targets == each)].mean(0) for each in classes])
        outputs = dict(zip(classes, optimize.linear_sum_assignment(-profile)[1], strict=True))
        right[~fitted] = [
            outputs.get(t) == answer for t, answer in zip(targets[~fitted], answers[~fitted], strict=True)
        ]
    return right


def _answers(model: LoadedModel, x: Tensor, targets: Order) -> tuple[NDArray[np.float64], NDArray[np.bool_], Tensor]:
    """Return the log-probability of the right class [n], whether it is the answer [n], and the logits."""
    with torch.no_grad():
        logits = torch.cat([model.forward(part) for part in torch.split(x, RACE)]).cpu()
    rows = torch.arange(len(x))
    chosen = logits.double().log_softmax(1)[rows, torch.from_numpy(targets)]
    return chosen.numpy(), logits.argmax(1).numpy() == targets, logits


def _better_input(
    model: LoadedModel, x: Tensor, targets: Order, known: tuple[NDArray[np.float64], NDArray[np.bool_]], fits: bool
) -> list[Finding]:
    """Return the input, of a dozen, under which the right classes are significantly more probable.

    The first photographs are a race: inputs that are behind after them are dropped. fits: whether the first batch norm
    fits as fed, so that another normalisation is not believed."""
    as_fed = input_of(model)
    others = {"BGR": replace(as_fed, bgr=not as_fed.bgr)}
    if not fits:
        others |= {name: each for name, each in _other_inputs(as_fed).items() if not each.bgr}
    ways: dict[str, tuple[LoadedModel, Callable[[Tensor], Tensor]]] = {
        **{name: (model, turn) for name, turn in TURNS.items()},
        **{name: (fed_with(model, other), lambda pixels: pixels) for name, other in others.items()},
    }
    logs, right = known
    found: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]] = {}
    for name, (fed, turn) in ways.items():
        first = _answers(fed, turn(x[:RACE]), targets[:RACE])
        if (first[0] - logs[:RACE]).mean() > 0:
            rest = _answers(fed, turn(x[RACE:]), targets[RACE:])
            found[name] = (np.concatenate([first[0], rest[0]]), np.concatenate([first[1], rest[1]]))
    if not found:
        return []
    gains = np.stack([each[0] - logs for each in found.values()])
    signs = np.random.default_rng(0).choice((-1.0, 1.0), (FLIPS, len(x)))
    most = (signs @ gains.T / len(x)).max(1)
    best = int(gains.mean(1).argmax())
    name, gain = list(found)[best], float(gains[best].mean())
    p = (1 + int((most >= gain).sum())) / (1 + FLIPS)
    hits = int(found[name][1].sum())
    if p > LEVEL or gain < LEAST_GAIN or hits < right.sum() or _is_chance(hits, len(x), len(model.labels.classes)):
        return []
    text = f"{name}: {hits} of {len(x)} are right instead of {int(right.sum())}"
    if name in TURNS:
        return [Finding(kind="pixels", text=text, right=hits)]
    return [Finding(kind="input", text=text, right=hits, flags=others[name].flags())]


def _fitting_input(model: LoadedModel, x: Tensor) -> tuple[str, Input, float] | None:
    """Return the input under which pixels have the running statistics of the first batch norm: of the usual ones, or
    one that is solved for; with its divergence. None if none fits."""
    usual = _other_inputs(input_of(model))

    def fit(each: Input, pixels: Tensor) -> float:
        return norm_divergence(model.module, fed_with(model, each).normalise(pixels)) or 0.0

    for name in sorted(usual, key=lambda name: fit(usual[name], x[:RACE]))[:3]:
        if (divergence := fit(usual[name], x)) <= FITTING:
            return name, usual[name], divergence
    solved = solve_input(model.module, x)
    if solved is not None and (divergence := fit(solved, x)) <= FITTING:
        return "another mean and deviation", solved, divergence
    return None


def diagnose(model: LoadedModel, photographs: Sequence[Pixels], targets: Order) -> Diagnosis:
    """Try a network on photographs whose classes are known, [h, w, 3] uint8 RGB each.

    targets: the output of each photograph's class [n] as the label space has it."""
    x = model.fit(model.prepare(photographs, "card"))
    divergence = norm_divergence(model.module, model.normalise(x))
    findings: list[Finding] = []
    logs, right, logits = _answers(model, x, targets)
    if divergence is not None and divergence > ODD and (better := _fitting_input(model, x)) is not None:
        name, other, fit = better
        _, hits, logits = _answers(fed_with(model, other), x, targets)
        text = f"{name}: fits the first layer ({divergence:.2g} -> {fit:.2g}), {int(hits.sum())} of {len(x)} are right"
        findings.append(Finding(kind="input", text=text, right=int(hits.sum()), flags=other.flags()))
    findings += _order_finding(logits, targets, class_orders(model.labels.words or model.labels.classes))
    if not findings:
        fits = divergence is not None and divergence <= ODD
        findings += _better_input(model, x, targets, (logs, right), fits)
    classes = len(model.labels.classes)
    return Diagnosis(n=len(x), right=int(right.sum()), classes=classes, findings=tuple(findings), divergence=divergence)
