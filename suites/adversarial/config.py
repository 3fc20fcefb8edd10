"""Threat models and attacks as data.

Epsilon is in [0,1] pixel units of the network's own input crop, whatever its resolution: an L2 ball of one radius is
a smaller change per pixel on a larger input, so L2 numbers compare networks of one input size only.
"""

from dataclasses import dataclass
from typing import Any, Literal

NormName = Literal["linf", "l2", "l1"]
LossName = Literal["ce", "margin", "dlr"]
#: last: go on from where the previous stage (or the previous epsilon) ended; clean: from the image; random: from a
#: uniform draw in the ball.
StartName = Literal["last", "clean", "random"]


@dataclass(frozen=True)
class Threat:
    """What the attacker may do: a perturbation of norm `norm` no larger than epsilon, for each of `epsilons`
    (ascending, units of [0,1] pixels). far: an epsilon so large that any differentiable network must fall; it serves
    the trust report and is not published (0: not tried). scale: epsilons are printed multiplied by it, with `unit`.
    """

    norm: NormName
    epsilons: tuple[float, ...]
    far: float = 0.0
    scale: float = 1.0
    unit: str = ""

    def label(self, epsilon: float) -> str:
        """`linf 4/255`, `l2 0.5`."""
        return f"{self.norm} {epsilon * self.scale:g}{self.unit}"


@dataclass(frozen=True)
class Stage:
    """`steps` steps of one loss at every epsilon; the step size is `pace` * epsilon / steps (Madry et al. 2018 use
    2.5). targets 0: untargeted; k: once towards each of the k classes that the clean image is most nearly taken for.
    """

    loss: LossName
    steps: int
    start: StartName = "last"
    targets: int = 0
    pace: float = 2.5


@dataclass(frozen=True)
class Apgd:
    """Auto-PGD (Croce & Hein 2020): no step size to choose. targets as in `Stage`; every target and restart begins at
    a random point."""

    loss: LossName
    steps: int = 100
    targets: int = 0
    restarts: int = 1

    @property
    def name(self) -> str:
        """`apgd-ce`, `apgd-dlr-targeted`."""
        return f"apgd-{self.loss}" + ("-targeted" if self.targets else "")


@dataclass(frozen=True)
class Square:
    """Square attack (Andriushchenko et al. 2020): at most `queries` forward passes and no gradient. share: of the image
    that the first squares cover; norms: where it is tried."""

    queries: int = 5000
    share: float = 0.8
    norms: tuple[NormName, ...] = ("linf", "l2")

    @property
    def name(self) -> str:
        """`square`."""
        return "square"


@dataclass(frozen=True)
class Library:
    """An attack of an optional package by its name there: ("foolbox", "LinfDeepFoolAttack"), ("autoattack",
    "standard"). options: keyword arguments."""

    package: Literal["autoattack", "foolbox"]
    attack: str
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """`foolbox:LinfDeepFoolAttack`."""
        return f"{self.package}:{self.attack}"


Attack = Apgd | Square | Library


@dataclass(frozen=True)
class Config:
    """One protocol. stages: PGD along the whole sweep; attacks: what is tried on the images that are still standing,
    at every epsilon in turn; images: at most so many, evenly spaced over the set (None: all); far_steps: steps of each
    stage at the threat's `far` epsilon."""

    threats: tuple[Threat, ...]
    stages: tuple[Stage, ...]
    attacks: tuple[Attack, ...] = ()
    images: int | None = 192
    far_steps: int = 10


LINF = Threat(
    "linf", tuple(e / 255 for e in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)), 32 / 255, 255.0, "/255"
)
L2 = Threat("l2", (0.25, 0.5, 1.0, 2.0, 3.0))
#: RobustBench's ImageNet and CIFAR-10 settings.
ROBUSTBENCH_IMAGENET = Threat("linf", (4 / 255,), 32 / 255, 255.0, "/255")
ROBUSTBENCH_CIFAR = Threat("linf", (8 / 255,), 32 / 255, 255.0, "/255")

#: Each epsilon goes on from where the one before ended, so the steps add up along the sweep.
QUICK = Config((LINF, L2), (Stage("ce", 2), Stage("margin", 3)))
#: Every epsilon from the image itself, a random start for what survives, then the margin.
STANDARD = Config(
    (LINF, L2),
    (Stage("ce", 40, "clean"), Stage("ce", 40, "random"), Stage("margin", 20, "clean")),
    images=None,
    far_steps=20,
)
#: As STANDARD, with margins towards the nine most likely wrong classes.
STRONG = Config(
    (LINF, L2),
    (*STANDARD.stages, Stage("dlr", 40, "random"), Stage("margin", 20, "clean", targets=9)),
    images=None,
    far_steps=20,
)
