"""Signs of a failed attack, as short flags on the scores: a failed attack looks like a robust network (Athalye, Carlini
& Wagner 2018; Carlini et al. 2019). Thresholds are shares of the clean-correct images C. It needs no torch."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import DISTRUST, Array, Trials
from benchmark.stats.intervals import mcnemar_exact, wilson
from suites.adversarial.config import BLIND, CLOSE, VANISHING, AdversarialConfig, Threat

#: The gradient is odd, but attacks outside the default, run on enough images, broke no more of them than chance allows;
#: `DISTRUST`: the number is wrong or unconfirmed.
CONFIRMED = "gradient odd, number confirmed: "
ZERO_GRADIENT = 0.05
SATURATED = 0.05
TIED = 0.05
REPEAT = 1e-4  # distance of unit-length logits (the rule of AutoAttack's check)
SLIGHT = 0.05  # the same, up to which company moves an answer no more than rounding in steps of the batch's own size
NO_SLOPE = 0.5  # relative error of a gradient against differences: honest ones are within 0.4, masked ones above 0.6
LEAST_RISE = 0.5  # of the margin along a gradient's signs: honest ones are above 0.65, masked ones near 0 or below
SCALED = 4.0  # gradients of another length than so many times the slope's
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
#: What the published networks were mostly normalised with (ImageNet's mean and standard deviation).
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
#: Stored columns of what probes found on single images (NaN: not asked), and of what is true of one before any attack.
PROBED = (
    *(f"gradient_{name}" for name in ("error", "spread", "company", "rise", "scale")),
    *("company_difference", "alone_difference"),
)
TRUTHS = ("probabilities", "bounded", "tied", "not_finite")


def share_of(which: Array) -> float:
    """Return the mean of 0/1 values [n]."""
    return float(np.asarray(which, dtype=float).mean())


def _row(values: tuple[float, ...], like: Any) -> Any:
    return like.new_tensor(values).reshape(1, -1, 1, 1)


#: What might have been meant -> pixels in [0,1] as the network should have got them then. Normalisation belongs inside
#: the network, once: where a card states it though the module has it too, where a card lacks it, or where the module
#: wants 0 ... 255, a network answers better to one of these. The order is that of the column `otherwise`.
READINGS: Mapping[str, Callable[[Any], Any]] = {
    "normalised once more": lambda x: (x - _row(MEAN, x)) / _row(STD, x),
    "normalised once less": lambda x: x * _row(STD, x) + _row(MEAN, x),
    "scaled to [-1, 1] once more": lambda x: 2 * x - 1,
    "scaled to [-1, 1] once less": lambda x: (x + 1) / 2,
    "scaled to 0 ... 255 once more": lambda x: 255 * x,
    "scaled to 0 ... 255 once less": lambda x: x / 255,
}


def flags(config: AdversarialConfig, trials: Trials) -> tuple[str, ...]:
    """Return the flags of one observer, each beginning with `DISTRUST` or `CONFIRMED`; none if nothing was attacked."""
    # Trials stored by earlier versions lack columns: nothing was asked, nothing failed.
    n = len(trials)
    blank: dict[str, Array] = {name: np.zeros(n, dtype=bool) for name in (*TRUTHS, "probed")}
    blank |= {name: np.full(n, np.nan) for name in PROBED}
    blank["second_opinion"] = np.zeros((n, 0), dtype=np.int64)
    trials = replace(trials, columns={**blank, **trials.columns})
    c = trials.where(trials["clean_correct"].astype(bool))
    wrong = list(preprocessing(trials))
    if not len(c):
        return tuple(f"{DISTRUST}{text}" for text in wrong)
    untrue, odd = oddities(config, c)
    if failed := int(c["not_finite"].sum()):
        wrong.append(f"NaN or infinite under attack: {failed} of {len(c)} images, counted as broken")
    wrong += untrue
    # Second attacks that broke more than chance allows if few images could still be broken.
    for recipe, opinion in zip(config.opinion, c["second_opinion"].T, strict=False):
        broken, tried = int((opinion == 1).sum()), int((opinion >= 0).sum())
        missed = MISSED if recipe.sees_gradients else BLIND_WINS
        fewer = (comb(tried, k) * missed**k * (1 - missed) ** (tried - k) for k in range(broken))
        if broken > 1 and 1 - sum(fewer) < CHANCE:
            wrong.append(f"number wrong: {recipe.name} breaks {broken} of {tried} images where they stood")
    for threat in config.threats:
        wrong += failures(config, c, threat)
    linf = config.threat("linf")
    second = c["second_opinion"].shape[1] and linf
    if linf and odd and second and not wrong:
        # Where no image stands at the smallest budget every verdict is proven.
        asked = (c["second_opinion"] >= 0).any(axis=1)
        stood = int((asked | (c["linf_epsilon"] > linf.epsilons[0] * CLOSE)).sum())
        if stood and (stood < FEW or asked.sum() < min(LEAST_ASKED, stood)):
            n = int(asked.sum())
            wrong.append(f"cannot be checked: {n} of {stood} images that stood were attacked otherwise, too few")
    grade = CONFIRMED if second and not wrong else DISTRUST
    return (*(f"{DISTRUST}{text}" for text in wrong), *(f"{grade}{text}" for text in odd))


def oddities(config: AdversarialConfig, c: Trials) -> tuple[list[str], list[str]]:
    """Return wrong and odd signs: of gradients, outputs and other images of the batch."""
    wrong, odd = slope_flags(config.threat("linf") or config.threats[0], c)
    if (tied := share_of(c["tied"])) > TIED:
        wrong.append(f"exact ties between the largest outputs: {tied:.0%} of images")
    # Gradients of the cross entropy may be zero or nearly so, also because the loss is zero in float32, though the
    # margin's may be correct. Outputs may be attacked by their pre-image.
    zero, small = c["gradient_norm"] == 0, c["gradient_norm"] < VANISHING
    if share_of(zero) > ZERO_GRADIENT:
        odd.append(f"zero gradient: {share_of(zero):.0%} of images")
    if share_of(small & ~zero) > ZERO_GRADIENT:
        odd.append(f"vanishing gradient: {share_of(small & ~zero):.0%} of images")
    if (flat := share_of((c["loss"] == 0) & small)) > SATURATED:
        odd.append(f"saturated: cross entropy is 0 on {flat:.0%} of images")
    if share_of(c["probabilities"]) == 1:
        odd.append("outputs are probabilities, not logits: attacked through their logarithms")
    elif share_of(c["bounded"]) == 1:
        odd.append("outputs lie between two ends: attacked through the logits of a sigmoid")
    alone = c["alone_difference"] > REPEAT
    beside = np.where(alone, 0.0, np.nan_to_num(c["company_difference"]))
    if (beside > REPEAT).any() and not alone.any():
        text = "batch: answers depend on the other images of the batch"
        if beside.max() <= SLIGHT:
            odd.append(f"{text} a little (by up to {beside.max():.2g} of their length)")
        else:
            wrong.append(text)
    elif (moved := share_of((c["repeat_difference"] > REPEAT) | alone)) > 0:
        wrong.append(f"random: two passes of one image differ ({moved:.0%} of images)")
    return wrong, odd


def preprocessing(trials: Trials) -> Iterator[str]:
    """Yield better answers under another normalisation, and what low precision or compilation moved."""
    some = trials.where(trials["asked"].astype(bool))
    shown, otherwise = some["clean_correct"].astype(bool), some["otherwise"].astype(bool)
    for name, right in zip(READINGS, otherwise.T, strict=True):
        gained, lost = int((right & ~shown).sum()), int((shown & ~right).sum())
        if gained - lost > READ_BETTER * len(some) and mcnemar_exact(gained, lost) < CERTAIN / len(READINGS):
            yield f"preprocessing: {share_of(shown):.0%} right as shown, {share_of(right):.0%} {name}"
    shown, exact = (trials[name].astype(bool) for name in ("clean_correct", "exact_correct"))
    low, high = wilson(int(exact.sum()), len(trials))
    if not low <= share_of(shown) <= high:
        yield f"precision: {share_of(shown):.1%} right as it was run, {share_of(exact):.1%} in float32"


def slope_flags(threat: Threat, c: Trials) -> tuple[list[str], list[str]]:
    """Return wrong and odd gradients, over images unbroken at the smallest budget."""
    stood = c[f"{threat.norm}_epsilon"] > threat.epsilons[0] * CLOSE
    some = c.where(c["probed"].astype(bool) & stood & ~(c["alone_difference"] > REPEAT))
    names = ("error", "spread", "company", "rise", "scale")
    error, spread, beside, rise, scale = (some[f"gradient_{name}"].astype(float) for name in names)
    off, astray, unknown, led = error > NO_SLOPE, beside > NO_SLOPE, np.isnan(error), rise < LEAST_RISE
    stretched = (scale > SCALED) | (scale < 1 / SCALED)

    def many(which: NDArray[np.bool_]) -> bool:
        return bool(which.sum() > 1 and which.mean() > MASKED)

    wrong = []
    if many(astray):
        wrong.append(f"batch: gradients depend on the other images of the batch ({share_of(astray):.0%} of images)")
    if many(unknown):
        wrong.append(f"gradient cannot be checked: rounding hides the slopes on {share_of(unknown):.0%} of images")
    if not many(off | led):
        if not many(stretched):
            return wrong, []
        text = f"the slope is {np.nanmedian(scale):.2g} times as steep, on {share_of(stretched):.0%} of images"
        return wrong, [f"gradient of another length: {text}"]
    if not many(off):
        text = f"on {share_of(led):.0%} of images the margin does not rise along it as it says"
        return [*wrong, f"masked gradient: {text} (median {np.nanmedian(rise[led]):.2f} of it)"], []
    text = f"not the slope of the answers on {share_of(off):.0%} of images"
    text += f" (median relative error {np.nanmedian(error):.2f})"
    if np.median(spread[off] / error[off]) > CLEAR:
        return wrong, [f"rough gradient: {text}"]
    return [*wrong, f"masked gradient: {text}"], []


def failures(config: AdversarialConfig, c: Trials, threat: Threat) -> Iterator[str]:
    """Yield the signs in the verdicts of one norm that attacks with gradients led nowhere."""
    norm, epsilon, by = threat.norm, c[f"{threat.norm}_epsilon"], c[f"{threat.norm}_by"]
    seeing = (by != "") & ~np.isin(by, BLIND)  # broken by an attack with gradients
    beyond = epsilon > max(threat.epsilons) * CLOSE
    if config.stages and norm == "linf":
        # One step that does what many cannot; many steps that do no more than one.
        if (ahead := share_of(by == "fgsm")) > FAST_WINS:
            yield f"FGSM beats PGD on {ahead:.0%} of images"
        held = ~c["fgsm_broken"].astype(bool).any(axis=1)
        if held.sum() >= FEW and not (held & seeing & ~beyond).any():
            yield "more steps are not stronger than one"
    for name in BLIND:
        if (by == name).sum() > 1 and share_of(by == name) > BLIND_WINS:
            yield f"black box beats white box: {name} on {share_of(by == name):.0%} of images ({norm})"
    if not config.stages:
        return
    # Images that no gradient broke, where the attack ended with a safer answer than it began.
    held = np.isinf(epsilon) | np.isin(by, ("fgsm", *BLIND))
    fell = held & (c[f"{norm}_margin"] <= c["margin"])
    if held.sum() >= FEW and fell.sum() / held.sum() > FALLING:
        yield f"{norm}: the loss does not rise on {fell.sum() / held.sum():.0%} of unbroken images"
    # Accuracy that gradients leave above zero at an epsilon that leaves nothing of the image's class.
    if threat.far and (left := share_of(beyond & ~seeing)) > FAR:
        yield f"{left:.0%} of images are still right at {threat.label(threat.far)}"
