"""Can the number be trusted? Signs that an attack failed to attack, as short flags beside the scores.

Robust accuracy is an upper bound: a failed attack looks like a robust network (Athalye, Carlini & Wagner 2018;
Carlini et al. 2019). Every check is a function of the stored trials; thresholds are shares of the clean-correct
images C.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Trials
from suites.adversarial.config import Config

ZERO_GRADIENT = 0.05
SATURATED = 0.05
REPEAT = 1e-4  # distance of unit-length logits (the rule of AutoAttack's check)
FAST_WINS = 0.05
FALLING = 0.10
FAR = 0.02
FEW = 8  # images below which a share says nothing
NO_GAIN = 0.25


def flags(config: Config, trials: Trials) -> tuple[str, ...]:
    """The flags of one observer; none where nothing was attacked."""
    attacked = trials.where(trials["clean_correct"].astype(bool))
    return tuple(_found(config, attacked)) if len(attacked) else ()


def _found(config: Config, c: Trials) -> Iterator[str]:
    yield from gradients(c)
    yield from outputs(c)
    for threat in config.threats:
        if threat.norm == "linf":
            yield from iterating(c, threat.epsilons)
        yield from climbing(c, threat.norm)
        if threat.far:
            yield from bottom(c, threat.norm, threat.label(threat.far))


def gradients(c: Trials) -> Iterator[str]:
    """Gradients that are zero, or a cross entropy that is exactly zero in float32."""
    zero, flat = share(c["gradient_norm"] == 0), share(c["loss"] == 0)
    if zero > ZERO_GRADIENT:
        yield f"zero gradient: {zero:.0%} of images"
    if flat > SATURATED:
        yield f"saturated: cross entropy is 0 on {flat:.0%} of images"


def outputs(c: Trials) -> Iterator[str]:
    """Probabilities given for logits; two answers to one image."""
    if share(c["probabilities"]) == 1:
        yield "outputs are probabilities, not logits"
    moved = share(c["repeat_difference"] > REPEAT)
    if moved > 0:
        yield f"random: two passes of one image differ ({moved:.0%} of images)"


def iterating(c: Trials, epsilons: tuple[float, ...]) -> Iterator[str]:
    """One step that does what many cannot; many steps that do no more than one."""
    ahead = share(c["linf_by"] == "fgsm")
    if ahead > FAST_WINS:
        yield f"FGSM beats PGD on {ahead:.0%} of images"
    held = np.asarray(~c["fgsm_broken"].astype(bool).any(axis=1))
    gained = held & (c["linf_epsilon"] <= max(epsilons))
    if share(held) > NO_GAIN and held.sum() >= FEW and not gained.any():
        yield "more steps are not stronger than one"


def climbing(c: Trials, norm: str) -> Iterator[str]:
    """An attack that ends where the answer is safer than where it began, on images that it did not break."""
    held = np.isinf(c[f"{norm}_epsilon"]) | (c[f"{norm}_by"] == "fgsm")
    fell = held & (c[f"{norm}_margin"] <= c["margin"])
    if held.sum() >= FEW and fell.sum() / held.sum() > FALLING:
        yield f"{norm}: the loss does not rise on {fell.sum() / held.sum():.0%} of unbroken images"


def bottom(c: Trials, norm: str, label: str) -> Iterator[str]:
    """Accuracy that stays above zero at an epsilon that leaves nothing of the image's class."""
    left = share(np.isinf(c[f"{norm}_epsilon"]))
    if left > FAR:
        yield f"{left:.0%} of images are still right at {label}"


def share(which: Array | NDArray[np.bool_]) -> float:
    """The mean of 0/1 values [n]."""
    return float(np.asarray(which, dtype=float).mean())
