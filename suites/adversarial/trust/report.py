"""Can the number be trusted? Signs that an attack failed to attack, as short flags beside the scores.

Robust accuracy is an upper bound: a failed attack looks like a robust network (Athalye, Carlini & Wagner 2018;
Carlini et al. 2019). Every check is a function of the stored trials; thresholds are shares of the clean-correct
images C. Needs no torch.

Two grades. What begins with `DISTRUST` says that the number is wrong, or that nothing confirms it. What begins with
`CONFIRMED` says that something is odd about the gradient, and that attacks outside the default, asked about enough
images, broke no more of them than chance allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import comb
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import DISTRUST, Array, Trials
from benchmark.stats.intervals import mcnemar_exact, wilson
from suites.adversarial.config import CLOSE, VANISHING, Config, Square, Threat

if TYPE_CHECKING:
    from torch import Tensor

CONFIRMED = "gradient odd, number confirmed: "
ZERO_GRADIENT = 0.05
SATURATED = 0.05
TIED = 0.05
REPEAT = 1e-4  # distance of unit-length logits (the rule of AutoAttack's check)
SLIGHT = 0.05  # the same, up to which company moves an answer no more than rounding in steps of the batch's own size
NO_SLOPE = 0.5  # relative error of a gradient against differences: honest ones are within 0.4, masked ones above 0.6
MASKED = 0.2
CLEAR = 0.95  # of the error, up to which differences over two lengths may be apart: rounded values are above 1
FAST_WINS = 0.05
BLIND_WINS = 0.01
MISSED = 0.10  # of what stands, that 100 steps of APGD break on honest networks
CHANCE = 0.05  # probability of as many broken images or more, where only so many were left to break
FALLING = 0.10
FAR = 0.02
LEAST_ASKED = 16  # images, of those that stand, that confirm a number
FEW = 8  # images below which a share says nothing
READ_BETTER = 0.10  # gain in accuracy
CERTAIN = 0.01  # p of McNemar's test over the number of readings, above which the gain may be chance
BLIND = ("square", "transfer")  # attacks that see no gradient of the network
#: What the published networks were mostly normalised with (ImageNet's mean and standard deviation).
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def _row(values: tuple[float, ...], like: Tensor) -> Tensor:
    return like.new_tensor(values).reshape(1, -1, 1, 1)


#: What might have been meant -> pixels in [0,1] as the network should have got them then. Normalisation belongs inside
#: the network, once: where a card states it though the module has it too, where a card lacks it, or where the module
#: wants 0 ... 255, a network answers better to one of these. The order is that of the column `otherwise`.
READINGS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "normalised once more": lambda x: (x - _row(MEAN, x)) / _row(STD, x),
    "normalised once less": lambda x: x * _row(STD, x) + _row(MEAN, x),
    "scaled to [-1, 1] once more": lambda x: 2 * x - 1,
    "scaled to [-1, 1] once less": lambda x: (x + 1) / 2,
    "scaled to 0 ... 255 once more": lambda x: 255 * x,
    "scaled to 0 ... 255 once less": lambda x: x / 255,
}


def flags(config: Config, trials: Trials) -> tuple[str, ...]:
    """The flags of one observer, each beginning with `DISTRUST` or `CONFIRMED`; none where nothing was attacked."""
    trials = _filled(trials)
    c = trials.where(trials["clean_correct"].astype(bool))
    wrong = [*preprocessing(trials), *precision(trials)]
    if not len(c):
        return tuple(f"{DISTRUST}{text}" for text in wrong)
    untrue, odd = oddities(c)
    wrong += [*numbers(c), *untrue, *opinions(config, c)]
    for threat in config.threats:
        if config.stages and threat.norm == "linf":
            wrong += iterating(c, threat)
        wrong += blind(c, threat)
        if config.stages:
            wrong += climbing(c, threat.norm)
        if config.stages and threat.far:
            wrong += bottom(c, threat)
    told = c["second_opinion"].shape[1] and config.threat("linf")
    if odd and told and not wrong:
        wrong += unconfirmed(config, c)
    grade = CONFIRMED if told and not wrong else DISTRUST
    return (*(f"{DISTRUST}{text}" for text in wrong), *(f"{grade}{text}" for text in odd))


def oddities(c: Trials) -> tuple[list[str], list[str]]:
    """What makes a number wrong, and what is odd though it may be right: of gradients, outputs and company."""
    masked, unclear = slopes(c)
    beside, slight = company(c)
    return [*masked, *beside], [*unclear, *gradients(c), *outputs(c), *slight]


def unconfirmed(config: Config, c: Trials) -> Iterator[str]:
    """Fewer images asked for a second opinion than a number needs, of those that stand at the smallest budget. Where
    none stands every verdict is proven."""
    threat = config.threat("linf")
    if threat is None:
        return
    asked = (c["second_opinion"] >= 0).any(axis=1)
    stood = int((asked | (c["linf_epsilon"] > threat.epsilons[0] * CLOSE)).sum())
    if stood and (stood < FEW or asked.sum() < min(LEAST_ASKED, stood)):
        yield f"cannot be checked: {int(asked.sum())} of {stood} images that stood were attacked otherwise, too few"


def _filled(trials: Trials) -> Trials:
    """With the columns that trials stored by earlier versions lack: nothing was asked, nothing failed."""
    n = len(trials)
    blank: dict[str, Array] = {name: np.zeros(n, dtype=bool) for name in ("not_finite", "probed", "bounded", "tied")}
    unasked = (
        "gradient_error", "gradient_spread", "gradient_company", "company_difference", "alone_difference",
    )  # fmt: skip
    blank |= {name: np.full(n, np.nan) for name in unasked}
    blank["second_opinion"] = np.zeros((n, 0), dtype=np.int64)
    return replace(trials, columns={**blank, **trials.columns})


def preprocessing(trials: Trials) -> Iterator[str]:
    """Images that the network answers better when their normalisation is done once more or undone."""
    some = trials.where(trials["asked"].astype(bool))
    if not len(some):
        return
    shown, otherwise = some["clean_correct"].astype(bool), some["otherwise"].astype(bool)
    for name, right in zip(READINGS, otherwise.T, strict=True):
        gained, lost = int((right & ~shown).sum()), int((shown & ~right).sum())
        better = (gained - lost) / len(some)
        if better > READ_BETTER and mcnemar_exact(gained, lost) < CERTAIN / len(READINGS):
            yield f"preprocessing: {share(shown):.0%} right as shown, {share(right):.0%} {name}"


def precision(trials: Trials) -> Iterator[str]:
    """Clean accuracy that a run in low precision, or compiled, moves out of its interval in float32."""
    shown, exact = (trials[name].astype(bool) for name in ("clean_correct", "exact_correct"))
    low, high = wilson(int(exact.sum()), len(trials))
    if not low <= share(shown) <= high:
        yield f"precision: {share(shown):.1%} right as it was run, {share(exact):.1%} in float32"


def gradients(c: Trials) -> Iterator[str]:
    """Gradients of the cross entropy that are zero or next to it, also because it is itself zero in float32. Odd, not
    wrong: the margin's may be as they should (`slopes`).

    A loss of zero alone is no mask: the gradient keeps its direction while the margin is below 80 or so.
    """
    zero = share(c["gradient_norm"] == 0)
    flat = share((c["loss"] == 0) & (c["gradient_norm"] < VANISHING))
    faint = share((c["gradient_norm"] > 0) & (c["gradient_norm"] < VANISHING))
    if zero > ZERO_GRADIENT:
        yield f"zero gradient: {zero:.0%} of images"
    if faint > ZERO_GRADIENT:
        yield f"vanishing gradient: {faint:.0%} of images"
    if flat > SATURATED:
        yield f"saturated: cross entropy is 0 on {flat:.0%} of images"


def numbers(c: Trials) -> Iterator[str]:
    """Answers or gradients under attack that are NaN or infinite."""
    count = int(c["not_finite"].sum())
    if count:
        yield f"NaN or infinite under attack: {count} of {len(c)} images, counted as broken"


def slopes(c: Trials) -> tuple[list[str], list[str]]:
    """Gradients that the answers contradict (custom backward passes, ripples), or that cannot be checked: wrong. And
    those of which the answers say nothing clear, since their own differences over two lengths do not agree
    (straight-through gradients of rounded values): odd."""
    some = c.where(c["probed"].astype(bool) & ~(c["alone_difference"] > REPEAT))
    error, spread, beside = (
        np.asarray(some[f"gradient_{name}"], dtype=float) for name in ("error", "spread", "company")
    )
    wrong: list[str] = []
    odd: list[str] = []
    if _many(beside > NO_SLOPE):
        wrong.append(
            f"batch: gradients depend on the other images of the batch ({share(beside > NO_SLOPE):.0%} of images)"
        )
    if _many(np.isnan(error)):
        wrong.append(f"gradient cannot be checked: rounding hides the slopes on {share(np.isnan(error)):.0%} of images")
    off = error > NO_SLOPE
    if _many(off):
        text = f"not the slope of the answers on {share(off):.0%} of images"
        text += f" (median relative error {np.nanmedian(error):.2f})"
        clear = not np.median(spread[off] / error[off]) > CLEAR
        (wrong if clear else odd).append(f"{'masked' if clear else 'rough'} gradient: {text}")
    return wrong, odd


def _many(which: NDArray[np.bool_]) -> bool:
    return bool(which.sum() > 1 and which.mean() > MASKED)


def outputs(c: Trials) -> Iterator[str]:
    """Probabilities given for logits, and other outputs between two ends: attacks drive their pre-image instead."""
    if share(c["probabilities"]) == 1:
        yield "outputs are probabilities, not logits: attacked through their logarithms"
    elif share(c["bounded"]) == 1:
        yield "outputs lie between two ends: attacked through the logits of a sigmoid"


def company(c: Trials) -> tuple[list[str], list[str]]:
    """Equal outputs at the top, two answers to one image, and answers that other images change: wrong. Odd, where they
    change it by little."""
    tied = share(c["tied"])
    wrong = [f"exact ties between the largest outputs: {tied:.0%} of images"] if tied > TIED else []
    alone = c["alone_difference"] > REPEAT
    beside = np.where(alone, 0.0, np.nan_to_num(c["company_difference"]))
    if (beside > REPEAT).any() and not alone.any():
        text = "batch: answers depend on the other images of the batch"
        if beside.max() <= SLIGHT:
            return wrong, [f"{text} a little (by up to {beside.max():.2g} of their length)"]
        return [*wrong, text], []
    moved = share((c["repeat_difference"] > REPEAT) | alone)
    if moved > 0:
        wrong.append(f"random: two passes of one image differ ({moved:.0%} of images)")
    return wrong, []


def iterating(c: Trials, threat: Threat) -> Iterator[str]:
    """One step that does what many cannot; many steps that do no more than one."""
    ahead = share(c["linf_by"] == "fgsm")
    if ahead > FAST_WINS:
        yield f"FGSM beats PGD on {ahead:.0%} of images"
    held = np.asarray(~c["fgsm_broken"].astype(bool).any(axis=1))
    gained = held & white_box(c, threat) & (c["linf_epsilon"] <= max(threat.epsilons) * CLOSE)
    if held.sum() >= FEW and not gained.any():
        yield "more steps are not stronger than one"


def blind(c: Trials, threat: Threat) -> Iterator[str]:
    """Attacks without gradients that break what attacks with gradients leave standing."""
    for name in BLIND:
        ahead = c[f"{threat.norm}_by"] == name
        if ahead.sum() > 1 and share(ahead) > BLIND_WINS:
            yield f"black box beats white box: {name} on {share(ahead):.0%} of images ({threat.norm})"


def opinions(config: Config, c: Trials) -> Iterator[str]:
    """Attacks that were asked about images because gradients are odd, and broke more than chance allows."""
    for recipe, told in zip(config.opinion, c["second_opinion"].T, strict=False):
        broken, asked = int((told == 1).sum()), int((told >= 0).sum())
        if beyond_chance(broken, asked, BLIND_WINS if isinstance(recipe, Square) else MISSED):
            yield f"number wrong: {recipe.name} breaks {broken} of {asked} images where they stood"


def beyond_chance(broken: int, asked: int, missed: float) -> bool:
    """Whether an attack broke more images than it would if a share `missed` of them were left to break."""
    fewer = (comb(asked, k) * missed**k * (1 - missed) ** (asked - k) for k in range(broken))
    return broken > 1 and 1 - sum(fewer) < CHANCE


def climbing(c: Trials, norm: str) -> Iterator[str]:
    """An attack that ends where the answer is safer than where it began, on images that it did not break."""
    held = np.isinf(c[f"{norm}_epsilon"]) | np.isin(c[f"{norm}_by"], ("fgsm", *BLIND))
    fell = held & (c[f"{norm}_margin"] <= c["margin"])
    if held.sum() >= FEW and fell.sum() / held.sum() > FALLING:
        yield f"{norm}: the loss does not rise on {fell.sum() / held.sum():.0%} of unbroken images"


def bottom(c: Trials, threat: Threat) -> Iterator[str]:
    """Accuracy that gradients leave above zero at an epsilon that leaves nothing of the image's class."""
    beyond = c[f"{threat.norm}_epsilon"] > max(threat.epsilons) * CLOSE
    left = share(beyond & ~white_box(c, threat))
    if left > FAR:
        yield f"{left:.0%} of images are still right at {threat.label(threat.far)}"


def white_box(c: Trials, threat: Threat) -> NDArray[np.bool_]:
    """[n]: broken by an attack with gradients."""
    by = c[f"{threat.norm}_by"]
    return np.asarray((by != "") & ~np.isin(by, BLIND))


def share(which: Array | NDArray[np.bool_]) -> float:
    """The mean of 0/1 values [n]."""
    return float(np.asarray(which, dtype=float).mean())
