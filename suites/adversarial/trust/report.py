"""Can the number be trusted? Signs that an attack failed to attack, as short flags beside the scores.

Robust accuracy is an upper bound: a failed attack looks like a robust network (Athalye, Carlini & Wagner 2018;
Carlini et al. 2019). Every check is a function of the stored trials; thresholds are shares of the clean-correct
images C.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import DISTRUST, Array, Trials
from benchmark.stats.proportions import mcnemar_exact, wilson
from suites.adversarial.config import CLOSE, Config, Threat
from suites.adversarial.trust.readings import READINGS

ZERO_GRADIENT = 0.05
VANISHING = (
    1e-30  # L2 norm of the gradient of the cross entropy: below, products in float32 are lost
)
SATURATED = 0.05
REPEAT = 1e-4  # distance of unit-length logits (the rule of AutoAttack's check)
NO_SLOPE = 0.5  # relative error of a gradient against differences: honest ones are within 0.3, masked ones above 0.6
MASKED = 0.2
FAST_WINS = 0.05
BLIND_WINS = 0.01
FALLING = 0.10
FAR = 0.02
FEW = 8  # images below which a share says nothing
READ_BETTER = 0.10  # gain in accuracy
CERTAIN = (
    0.01  # p of McNemar's test over the number of readings, above which the gain may be chance
)
BLIND = ("square", "transfer")  # attacks that see no gradient of the network


def flags(config: Config, trials: Trials) -> tuple[str, ...]:
    """The flags of one observer, each beginning with `DISTRUST`; none where nothing was attacked."""
    trials = _filled(trials)
    attacked = trials.where(trials["clean_correct"].astype(bool))
    found = [
        *preprocessing(trials),
        *precision(trials),
        *(_found(config, attacked) if len(attacked) else ()),
    ]
    return tuple(f"{DISTRUST}{text}" for text in found)


def _filled(trials: Trials) -> Trials:
    """With the columns that trials stored by versions before 3 lack: nothing was asked, nothing failed."""
    n = len(trials)
    blank = {name: np.zeros(n, dtype=bool) for name in ("not_finite", "probed")}
    unasked = ("gradient_error", "company_difference", "alone_difference")
    blank |= {name: np.full(n, np.nan) for name in unasked}
    return replace(trials, columns={**blank, **trials.columns})


def _found(config: Config, c: Trials) -> Iterator[str]:
    yield from numbers(c)
    yield from gradients(c)
    yield from slopes(c)
    yield from outputs(c)
    for threat in config.threats:
        if config.stages and threat.norm == "linf":
            yield from iterating(c, threat)
        yield from blind(c, threat)
        if config.stages:
            yield from climbing(c, threat.norm)
        if config.stages and threat.far:
            yield from bottom(c, threat)


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
    """Gradients of the cross entropy that are zero or next to it, also because it is itself zero in float32.

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


def slopes(c: Trials) -> Iterator[str]:
    """Gradients that are not the slope of the answers: custom backward passes, quantised inputs, added noise."""
    some = c.where(c["probed"].astype(bool) & ~(c["alone_difference"] > REPEAT))
    error = np.asarray(some["gradient_error"], dtype=float)
    off = error > NO_SLOPE
    if off.sum() > 1 and off.mean() > MASKED:
        typical = np.nanmedian(error)
        yield (
            f"masked gradient: not the slope of the answers on {share(off):.0%} of images "
            f"(median relative error {typical:.2f})"
        )


def outputs(c: Trials) -> Iterator[str]:
    """Probabilities given for logits; two answers to one image; answers that other images change."""
    if share(c["probabilities"]) == 1:
        yield "outputs are probabilities, not logits"
    alone = c["alone_difference"] > REPEAT
    company = share((c["company_difference"] > REPEAT) & ~alone)
    if company > 0 and not alone.any():
        yield "batch: answers depend on the other images of the batch"
        return
    moved = share((c["repeat_difference"] > REPEAT) | alone)
    if moved > 0:
        yield f"random: two passes of one image differ ({moved:.0%} of images)"


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
