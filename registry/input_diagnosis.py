"""A diagnosis of a network's input and class order from photographs whose classes are known. It uses the first batch
norm, the class orders of the same logits, and a dozen other inputs.

What no 64 photographs show (crop, filter, sizes within a fifth) is not tried."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import optimize, stats
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from registry.cards import IMAGENET_MEAN, IMAGENET_STD, Preprocess, Triple
from registry.documents import own_table
from registry.model import LoadedModel

#: Symmetrised divergence of the first batch norm's input from its running statistics: networks that are fed as they
#: were trained have less than .02 on clean photographs, wrong normalisations .3 and more.
ODD, FITTING = 0.1, 0.05
#: By so much the divergence falls with the right input: noise in the photographs can be fitted a little, too.
FALL = 5
#: Level of the tests, and the least gain in nats of the right class's log-probability: that of turns, and of other
#: inputs, from which adversarially trained networks gain significantly, and less, where these are softer.
LEVEL, LEAST_GAIN, SOFTER_GAIN = 0.01, 0.05, 0.1
RACE = 8  # photographs after which inputs that are behind are dropped
SAMPLE = 16  # photographs by which usual inputs are sorted, and others solved for; those of one pass
NEIGHBOURS = 100  # classes from which on the head shows an order: right networks have z of 8 and more there
FEW = 20  # classes of which any assignment to outputs is tried

Order = NDArray[np.intp]
Chosen = tuple[NDArray[np.float64], NDArray[np.bool_]]


def _flags(how: Preprocess) -> str:
    mean, std = (",".join(f"{value:.3g}" for value in values) for values in (how.mean, how.std))
    more = (f" --scale {how.scale:g}" if how.scale != 1 else "") + " --channels bgr" * (how.channels == "bgr")
    return f"--mean {mean} --std {std}{more}"


def fed_with(model: LoadedModel, how: Preprocess) -> LoadedModel:
    """Return the same network, given another input."""
    return replace(model, card=model.card.model_copy(update={"preprocess": how}))


#: Name -> the mean, deviation and scale of the normalisations that training code uses.
NORMALISATIONS: Mapping[str, Mapping[str, Any]] = own_table("normalisations")


def renormalised(
    how: Preprocess, mean: Sequence[float], std: Sequence[float], scale: float = 1.0, channels: str = "rgb"
) -> Preprocess:
    """Return the same input with another normalisation, which need not be one that a card may have."""
    return how.model_copy(update={"mean": tuple(mean), "std": tuple(std), "scale": scale, "channels": channels})


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What fits significantly better."""

    #: "input" (normalisation, scale, channels), "pixels" (turned or inverted) or "order" (of the classes).
    kind: str
    text: str
    right: int  # photographs that are right with it
    flags: str = ""  # the options of `bench register` to paste


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """A diagnosis counts right answers to n photographs, and lists findings, the surest first."""

    n: int
    right: int
    findings: tuple[Finding, ...]
    divergence: float | None  # of the first batch norm, if there is one
    at_chance: bool  # no input or order that was tried has more right answers than guessing gives (p > .05)


def _is_chance(right: int, n: int, classes: int) -> bool:
    return bool(stats.binomtest(right, n, 1 / classes, alternative="greater").pvalue > 0.05)


class _Reached(Exception):
    """The first batch norm has its input."""


def first_norm_input(module: nn.Module, x: Tensor) -> tuple[_BatchNorm, Tensor] | None:
    """Return the first batch norm with running statistics that a pass reaches, where it ends, and its input."""
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


def _other_inputs(as_fed: Preprocess) -> dict[str, Preprocess]:
    """Return the usual inputs in both orders of the channels, other than the one that is given."""
    both = {
        f"{name}{', BGR' * (channels == 'bgr')}": renormalised(as_fed, **usual, channels=channels)
        for (name, usual), channels in product(NORMALISATIONS.items(), ("rgb", "bgr"))
    }
    return {name: each for name, each in both.items() if each != as_fed}


#: Turns of the pixels themselves, [n, 3, h, w] -> the same.
TURNS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "upside down": lambda x: x.flip(2),
    "turned by 90 degrees": lambda x: x.rot90(1, (2, 3)),
    "turned by 270 degrees": lambda x: x.rot90(3, (2, 3)),
    "turned by 180 degrees": lambda x: x.rot90(2, (2, 3)),
}


class FedPhotographs:
    """A network is shown photographs [n, 3, h, w] in [0, 1]; its answers and its first batch norm's input are seen."""

    def __init__(self, model: LoadedModel, x: Tensor) -> None:
        self.model, self.x = model, x

    def logits(self, fed: Preprocess, turn: str = "", rows: slice = slice(None)) -> Tensor:
        """Return the logits of some photographs under an input, after a turn of `TURNS`."""
        model, pixels = fed_with(self.model, fed), self.x[rows]
        with torch.no_grad():
            parts = torch.split(TURNS[turn](pixels) if turn else pixels, SAMPLE)
            return torch.cat([model.forward(part) for part in parts]).cpu()

    def moments(self, fed: Preprocess, rows: slice = slice(None)) -> tuple[Tensor, Tensor] | None:
        """Return mean and mean square of each photograph [n, channels] at the first batch norm, if there is one."""
        reached = first_norm_input(self.model.module, fed_with(self.model, fed).normalise(self.x[rows]))
        if reached is None:
            return None
        places = reached[1].double().flatten(2) if reached[1].dim() > 2 else reached[1].double()[:, :, None]
        return places.mean(2), places.square().mean(2)

    @cached_property
    def norm(self) -> _BatchNorm | None:
        """Return the first batch norm."""
        reached = first_norm_input(self.model.module, self.model.normalise(self.x[:1]))
        return None if reached is None else reached[0]

    def divergence(self, fed: Preprocess, rows: slice = slice(None)) -> float | None:
        """Return the divergence at the first batch norm; None without such a norm."""
        moments = self.moments(fed, rows)
        if moments is None or self.norm is None:
            return None
        mean, square = (each.mean(0) for each in moments)
        return divergence_of(mean, square - mean.square(), self.norm)


def solve_input(module: nn.Module, x: Tensor) -> tuple[Triple, Triple] | None:
    """Return the mean and deviation per channel under which pixels x [n, 3, h, w] in [0, 1] have the running statistics
    of the first batch norm. Return None unless that norm follows a convolution of the pixels. The convolution is
    linear, so the moments of its output follow from those of each channel's part alone."""
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
    return cast(Triple, tuple(best.x[:3].tolist())), cast(Triple, tuple(np.exp(best.x[3:]).tolist()))


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


def _order_finding(logits: Tensor, targets: Order, orders: Mapping[str, Order]) -> list[Finding]:
    """Return the best of the orders under which significantly more answers are right (Holm over orders)."""
    answers = logits.argmax(1).numpy()
    right = answers == targets
    under = {name: answers == order[targets] for name, order in orders.items()}
    if logits.shape[1] <= FEW and len(np.unique(targets)) < len(targets):
        # The assignment of classes to outputs that fits one half best is tested on the other.
        scores, under["of another assignment"] = logits.double().log_softmax(1).numpy(), np.zeros_like(right)
        half = (pd.Series(targets).groupby(targets).cumcount() % 2 == 0).to_numpy()
        for fitted in (half, ~half):
            classes = np.unique(targets[fitted])
            profile = np.stack([scores[fitted & (targets == each)].mean(0) for each in classes])
            outputs = pd.Series(optimize.linear_sum_assignment(-profile)[1], classes)
            under["of another assignment"][~fitted] = outputs.reindex(targets[~fitted]) == answers[~fitted]
    if not under:
        return []
    best = max(under, key=lambda name: int(under[name].sum()))
    hits, gained, lost = (int(each.sum()) for each in (under[best], under[best] & ~right, right & ~under[best]))
    # McNemar's test, of the answers that are right under one of the orders alone
    if gained <= lost or stats.binomtest(gained, gained + lost, alternative="greater").pvalue * len(under) > LEVEL:
        return []
    text = f"classes {best}: {hits} of {len(right)} are right instead of {int(right.sum())}"
    return [Finding(kind="order", right=hits, text=text)]


def head_order(model: LoadedModel) -> tuple[str, bool] | None:
    """Compare the head's rows of neighbouring classes; return a text, and whether it is an alarm. ImageNet's order has
    related neighbours, whose rows are alike. Return None without `NEIGHBOURS` sorted WordNet ids and a linear head."""
    classes = model.labels.classes
    named = all(re.fullmatch(r"n\d{8}", name) for name in classes) and [*classes] == sorted(classes)
    heads = [p.detach().flatten(1) for p in model.module.parameters() if p.dim() > 1 and len(p) == len(classes)]
    if len(classes) < NEIGHBOURS or not named or not heads:
        return None
    rows = functional.normalize((heads[-1] - heads[-1].mean(0)).float().cpu())
    likeness = {
        name: (rows[order[:-1]] * rows[order[1:]]).sum(1).numpy()
        for name, order in {"": np.arange(len(rows)), **class_orders(model.labels.words or classes)}.items()
    }
    own = likeness.pop("")
    best = max(likeness, key=lambda name: float(likeness[name].mean()))
    if stats.ttest_ind(likeness[best], own, alternative="greater").pvalue * len(likeness) <= LEVEL:
        return f"by the head, classes {best}: neighbours are more alike than in ImageNet's order", True
    every = (rows @ rows.T).numpy()[np.triu_indices(len(rows), 1)]
    z = float((own.mean() - every.mean()) / every.std() * np.sqrt(len(own)))
    if stats.norm.sf(z) > LEVEL:
        return f"by the head, the classes are in no usual order: neighbours are not alike (z = {z:.1f})", True
    return f"by the head, neighbours are alike as in ImageNet's order (z = {z:.0f}; shifts are not seen)", False


def _chosen(logits: Tensor, targets: Order) -> Chosen:
    """Return the log-probability of the right class [n], and whether it is the answer [n]."""
    logs = logits.double().log_softmax(1)[torch.arange(len(targets)), torch.from_numpy(targets)]
    return logs.numpy(), logits.argmax(1).numpy() == targets


def _better_input(shown: FedPhotographs, targets: Order, known: Chosen, divergence: float | None) -> list[Finding]:
    """Return the input, of a dozen, under which the correct classes are significantly more probable. `divergence` is
    that of the first batch norm: other normalisations are tried unless it fits, and only those that fit it better."""
    as_fed, (logs, right), n = shown.model.preprocess, known, len(targets)
    others = {"BGR": as_fed.model_copy(update={"channels": "rgb" if as_fed.channels == "bgr" else "bgr"})}
    if divergence is None or divergence > ODD:
        limit = np.inf if divergence is None else divergence / 2
        usual = {name: each for name, each in _other_inputs(as_fed).items() if each.channels == "rgb"}
        others |= {name: each for name, each in usual.items() if (shown.divergence(each, slice(SAMPLE)) or 0.0) < limit}
    found: dict[str, Chosen] = {}
    for name in (*TURNS, *others):
        way = others.get(name, as_fed), name if name in TURNS else ""
        logits = shown.logits(*way, slice(RACE))
        if (_chosen(logits, targets[:RACE])[0] - logs[:RACE]).mean() > -LEAST_GAIN:
            logits = torch.cat([logits, shown.logits(*way, slice(RACE, None))]) if n > RACE else logits
            found[name] = _chosen(logits, targets)
    better: dict[str, tuple[int, float]] = {}  # right answers and nats of the right class
    for name, (chances, is_right) in found.items():
        gains, hits = chances - logs, int(is_right.sum())
        if gains.mean() >= (SOFTER_GAIN if name in others else LEAST_GAIN) and hits >= right.sum():
            # By ranks: the few photographs of which a network was surely wrong would outweigh all others.
            p = float(stats.wilcoxon(gains, alternative="greater").pvalue)
            if p * len(found) <= LEVEL and not _is_chance(hits, n, len(shown.model.labels.classes)):
                better[name] = hits, float(gains.mean())
    if not better:
        return []
    most = max(hits for hits, _ in better.values())
    name = max((name for name in better if better[name][0] >= most - 1), key=lambda name: better[name][1])
    text = f"{name}: {better[name][0]} of {n} are right instead of {int(right.sum())}"
    flags = _flags(others[name]) if name in others else ""
    return [Finding(kind="input" if flags else "pixels", text=text, right=better[name][0], flags=flags)]


def _fitting_input(shown: FedPhotographs, as_fed: float) -> tuple[str, Preprocess, float] | None:
    """Return the input under which pixels have the running statistics of the first batch norm: of the usual ones, or
    one that is solved for; with its divergence. Return None if none fits much better than as fed."""
    limit = min(FITTING, as_fed / FALL)
    usual = _other_inputs(shown.model.preprocess)
    fit = {name: shown.divergence(each, slice(SAMPLE)) or 0.0 for name, each in usual.items()}
    for name in sorted(usual, key=fit.__getitem__)[:3]:
        if (divergence := shown.divergence(usual[name]) or 0.0) <= limit:
            return name, usual[name], divergence
    solved = solve_input(shown.model.module, shown.x[:SAMPLE])
    # Filters whose weights add to nothing do not show the mean: what is solved for then is no pixel value.
    if solved is not None and all(0 <= mean <= 1 for mean in solved[0]):
        how = renormalised(shown.model.preprocess, *solved)
        if (divergence := shown.divergence(how) or 0.0) <= limit:
            return "another mean and deviation", how, divergence
    return None


def diagnose(shown: FedPhotographs, targets: Order) -> Diagnosis:
    """Try a network on photographs whose classes are known: targets has the output of each photograph's class [n]."""
    model, n = shown.model, len(targets)
    # Grey photographs look as wrong to a first layer of colours as a wrong normalisation: only orders are tried.
    is_grey = bool((shown.x.amax(1) - shown.x.amin(1)).max() < 0.01)
    divergence = None if is_grey else shown.divergence(model.preprocess)
    findings: list[Finding] = []
    logits = shown.logits(model.preprocess)
    known = _chosen(logits, targets)
    right = int(known[1].sum())
    if divergence is not None and divergence > ODD and (better := _fitting_input(shown, divergence)) is not None:
        name, other, fit = better
        logits = shown.logits(other)
        hits = int(_chosen(logits, targets)[1].sum())
        first = f"{name}: fits the first layer ({divergence:.2g} -> {fit:.2g})"
        text = f"{first}, {hits} of {n} are right instead of {right}"
        findings.append(Finding(kind="input", text=text, right=hits, flags=_flags(other)))
    orders = _order_finding(logits, targets, class_orders(model.labels.words or model.labels.classes))
    # Of few classes an assignment is fitted, which explains some of what turned pixels do, too.
    if not is_grey and not findings and (not orders or len(model.labels.classes) <= FEW):
        orders += _better_input(shown, targets, known, divergence)
    findings += sorted(orders, key=lambda finding: -finding.right)[:1]
    at_chance = _is_chance(max([right, *(each.right for each in findings)]), n, len(model.labels.classes))
    return Diagnosis(n=n, right=right, findings=tuple(findings), divergence=divergence, at_chance=at_chance)
