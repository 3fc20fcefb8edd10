"""Threat models and attacks as data.

Epsilon is in [0,1] pixel units of the network's own input crop, whatever its resolution: an L2 ball of one radius is a
smaller change per pixel on a larger input, so L2 numbers compare networks of one input size only."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

NormName = Literal["linf", "l2", "l1"]
#: Two epsilons are one up to this factor: they are stored as they are, but 4/255 may be computed in two ways.
CLOSE = 1 + 1e-6
#: Length of a gradient of the cross entropy below which products in float32 are lost.
VANISHING = 1e-30
LossName = Literal["ce", "margin", "dlr"]
#: last: go on from where the previous stage (or the previous epsilon) ended; clean: from the image; random: from a
#: uniform draw in the ball.
StartName = Literal["last", "clean", "random"]


@dataclass(frozen=True, kw_only=True)
class Threat:
    """What the attacker may do: a perturbation of norm `norm` no larger than epsilon, for each of `epsilons`
    (ascending, units of [0,1] pixels). far: an epsilon so large that any differentiable network must fall; it serves
    the trust report and is not published (0: not tried)."""

    norm: NormName
    epsilons: tuple[float, ...]
    far: float = 0.0

    @property
    def scale(self) -> float:
        """Epsilons are printed multiplied by it: Linf in grey levels of 255."""
        return 255.0 if self.norm == "linf" else 1.0

    @property
    def unit(self) -> str:
        """What is printed behind them."""
        return "/255" if self.norm == "linf" else ""

    def label(self, epsilon: float) -> str:
        """`linf 4/255`, `l2 0.5`."""
        return f"{self.norm} {epsilon * self.scale:g}{self.unit}"


def reference(threat: Threat) -> float:
    """The budget that single numbers of a threat stand for: 4/255 in Linf, 1 in L2, 12 in L1, else the middle one."""
    wanted = {"linf": 4 / 255, "l2": 1.0, "l1": 12.0}[threat.norm]
    middle = threat.epsilons[len(threat.epsilons) // 2]
    return next((epsilon for epsilon in threat.epsilons if wanted / CLOSE < epsilon < wanted * CLOSE), middle)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """`steps` steps of one loss at every epsilon, of 2.5 epsilon / steps each (Madry et al. 2018)."""

    loss: LossName
    steps: int
    start: StartName = "last"


@dataclass(frozen=True, kw_only=True)
class Apgd:
    """Auto-PGD (Croce & Hein 2020): no step size to choose. targets 0: untargeted; k: once towards each of the k
    classes that the clean image is most nearly taken for, every time from a random point."""

    loss: LossName
    steps: int = 100
    targets: int = 0

    @property
    def name(self) -> str:
        """`apgd-ce`, `apgd-dlr-targeted`."""
        return f"apgd-{self.loss}" + ("-targeted" if self.targets else "")


@dataclass(frozen=True)
class Square:
    """Square attack (Andriushchenko et al. 2020), in Linf and L2: at most `queries` forward passes and no gradient."""

    queries: int = 5000
    name: ClassVar[str] = "square"


@dataclass(frozen=True)
class AutoAttack:
    """AutoAttack by its authors' package. options: keyword arguments beside the version."""

    version: str = "standard"
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """`autoattack:standard`."""
        return f"autoattack:{self.version}"


@dataclass(frozen=True)
class PluggedIn:
    """An attack that another package adds (`added`), by the name of its entry point. code: the digest of its code."""

    attack: str
    code: str

    @property
    def name(self) -> str:
        """`plugin:my-attack`."""
        return f"plugin:{self.attack}"


Recipe = Apgd | Square | AutoAttack | PluggedIn


@dataclass(frozen=True, kw_only=True)
class Finish:
    """A stronger attack where the stages came near: at each Linf epsilon on the images that stand there and whose
    margin the stages reduced to at most `near` of what it was at the image. last: then tried, at the epsilons `at`, on
    those of them that kept at most `close` of it."""

    attack: Apgd
    near: float
    last: Apgd | None = None
    close: float = 0.0
    at: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig:
    """One protocol. stages: PGD along the whole sweep; attacks: what is tried on the images that are still standing,
    at every epsilon in turn; check: tried on what stands at the threat's far epsilon; far_steps: steps of each stage
    there; bisect: rounds of halving between the smallest epsilon that broke an image and the largest that did not;
    transfer: names of cards on which perturbations are made, too (those that cannot answer in the space, have no
    weights on disk or answer as the attacked network does are left out); images: at most so many, evenly spaced over
    the set (None: all); listed: the images are RobustBench's, where that list is there; finish: tried on what the
    stages nearly broke; leap: an image that keeps more than this share of its margin after the first stage, whose
    gradient moved it, goes on to the next epsilon at once; opinion: tried in Linf on images whose gradient is odd, at
    the reference budget or the largest one that they survived."""

    threats: tuple[Threat, ...]
    stages: tuple[Stage, ...]
    attacks: tuple[Recipe, ...] = ()
    check: Square | None = None
    opinion: tuple[Apgd | Square, ...] = ()
    far_steps: int = 10
    bisect: int = 0
    transfer: tuple[str, ...] = ()
    images: int | None = None
    listed: bool = False
    finish: Finish | None = None
    leap: float = 1.0

    def threat(self, norm: NormName) -> Threat | None:
        """The threat of a norm, if it is attacked."""
        return next((threat for threat in self.threats if threat.norm == norm), None)


def linf(*steps: float) -> Threat:
    """Linf epsilons in grey levels of 255."""
    return Threat(norm="linf", epsilons=tuple(step / 255 for step in steps), far=32 / 255)


LINF = linf(0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
L2 = Threat(norm="l2", epsilons=(0.25, 0.5, 1.0, 2.0, 3.0))
L1 = Threat(norm="l1", epsilons=(3.0, 6.0, 12.0, 30.0, 60.0))
#: Each epsilon goes on from where the one before ended, so the steps add up along the sweep.
QUICK = AdversarialConfig(
    threats=(LINF, L2),
    stages=(Stage(loss="ce", steps=2), Stage(loss="margin", steps=3)),
    check=Square(100),
    opinion=(Square(300), Apgd(loss="margin", steps=100)),
    images=128,
    finish=Finish(
        attack=Apgd(loss="margin", steps=20),
        near=0.3,
        last=Apgd(loss="dlr", steps=15, targets=3),
        close=0.1,
        at=(0.5 / 255, 4 / 255),
    ),
    leap=0.6,
)
#: Every epsilon from the image itself, a random start for what survives, then the margin.
STANDARD = AdversarialConfig(
    threats=(LINF, L2),
    stages=(
        Stage(loss="ce", steps=40, start="clean"),
        Stage(loss="ce", steps=40, start="random"),
        Stage(loss="margin", steps=20, start="clean"),
    ),
    check=Square(500),
    opinion=(Square(1000), Apgd(loss="margin", steps=200)),
    far_steps=20,
)
#: Short PGD for what falls easily, then APGD, untargeted and towards the nine most likely wrong classes, and Square; at
#: few budgets, as what stands costs 1,000 passes at each.
STRONG = replace(
    STANDARD,
    threats=(linf(1.0, 4.0, 8.0), Threat(norm="l2", epsilons=(0.5, 1.0, 3.0))),
    stages=(Stage(loss="ce", steps=10, start="clean"), Stage(loss="margin", steps=10, start="clean")),
    attacks=(Apgd(loss="ce"), Apgd(loss="dlr", targets=9), Square(1000)),
)
#: RobustBench's budgets on its images: Linf 4/255 (ImageNet) and 8/255 (CIFAR).
ROBUSTBENCH = replace(
    STRONG, threats=(linf(4.0, 8.0),), attacks=(*STRONG.attacks[:2], Square(5000)), images=5000, listed=True
)
BISECT = replace(QUICK, bisect=4)
#: PGD's steps in L1 are weak beside APGD's, which find their own sparsity.
SPARSE = replace(QUICK, threats=(L1,), attacks=(Apgd(loss="margin", steps=50),))
TRANSFER = replace(
    QUICK,
    threats=(linf(1.0, 2.0, 4.0, 8.0),),
    transfer=("world-standard-1", "world-stylised-1", "efficientnet-lite0", "efficientnet-lite1"),
)
#: AutoAttack alone, at RobustBench's budget for ImageNet.
AUTOATTACK = AdversarialConfig(threats=(linf(4.0),), stages=(), attacks=(AutoAttack(),))
#: The protocols beside the default, by the name of their variant.
PROTOCOLS = {
    "standard": STANDARD,
    "strong": STRONG,
    "robustbench": ROBUSTBENCH,
    "autoattack": AUTOATTACK,
    "bisect": BISECT,
    "l1": SPARSE,
    "transfer": TRANSFER,
}
