"""Threat models and attacks are data. Epsilon is in [0,1] pixel units of the network's own input crop. An L2 ball of
one radius is a smaller change per pixel on a larger input, so L2 numbers compare networks of one input size only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from benchmark.contracts.declarations import package_data

NormName = Literal["linf", "l2"]
#: Two epsilons are one up to this factor: they are stored as they are, but 4/255 may be computed in two ways.
CLOSE = 1 + 1e-6
VANISHING = 1e-30  # length of a gradient of the cross entropy below which products in float32 are lost
LossName = Literal["ce", "margin", "dlr"]
#: last: go on from where the previous stage (or the previous epsilon) ended; clean: from the image; random: from a
#: uniform draw in the ball.
StartName = Literal["last", "clean", "random"]


@dataclass(frozen=True, kw_only=True)
class Threat:
    """The attacker's budget: a perturbation of norm `norm` of at most epsilon, for each of `epsilons` (ascending)."""

    norm: NormName
    epsilons: tuple[float, ...]
    far: float = 0.0  # an epsilon that must break any differentiable network, for the trust report alone (0: none)

    @property
    def scale(self) -> float:
        """Return the factor of printed epsilons: Linf is in grey levels of 255."""
        return 255.0 if self.norm == "linf" else 1.0

    @property
    def unit(self) -> str:
        """Return the printed unit of epsilons."""
        return "/255" if self.norm == "linf" else ""

    def label(self, epsilon: float) -> str:
        """Return `linf 4/255`, `l2 0.5`."""
        return f"{self.norm} {epsilon * self.scale:g}{self.unit}"


def reference_budget(threat: Threat) -> float:
    """Return the budget of single numbers of a threat: 4/255 in Linf, 1 in L2, or the middle epsilon."""
    wanted = {"linf": 4 / 255, "l2": 1.0}[threat.norm]
    middle = threat.epsilons[len(threat.epsilons) // 2]
    return next((epsilon for epsilon in threat.epsilons if wanted / CLOSE < epsilon < wanted * CLOSE), middle)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """`steps` steps of one loss at every epsilon, of 2.5 epsilon / steps each (Madry et al. 2018)."""

    loss: LossName
    steps: int
    start: StartName = "last"


class _Attack:
    """A recipe names its function (text: protocols are read without torch), and whether it sees gradients."""

    function: ClassVar[str] = "suites.adversarial.attacks.other_packages:foreign_attack"
    sees_gradients: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Apgd(_Attack):
    """Auto-PGD (Croce & Hein 2020) has no step size to choose. With `targets` 0 it is untargeted. With k it goes once
    towards each of the k classes that the clean image is most nearly taken for, every time from a random point."""

    loss: LossName
    steps: int = 100
    targets: int = 0
    function = "suites.adversarial.attacks.apgd:apgd"

    @property
    def name(self) -> str:
        """Return `apgd-ce`, `apgd-dlr-targeted`."""
        return f"apgd-{self.loss}" + ("-targeted" if self.targets else "")


@dataclass(frozen=True)
class Square(_Attack):
    """Square attack (Andriushchenko et al. 2020), in Linf and L2: at most `queries` forward passes and no gradient."""

    queries: int = 5000  # forward passes, at most
    name: ClassVar[str] = "square"
    function = "suites.adversarial.attacks.square:square"
    sees_gradients = False


@dataclass(frozen=True)
class AutoAttack(_Attack):
    """AutoAttack by its authors' package."""

    version: str = "standard"
    options: tuple[tuple[str, Any], ...] = ()  # keyword arguments beside the version

    @property
    def name(self) -> str:
        """Return `autoattack:standard`."""
        return f"autoattack:{self.version}"


@dataclass(frozen=True)
class PluggedIn(_Attack):
    """An attack that another package adds (`added`), by the name of its entry point."""

    attack: str
    code: str  # the digest of its code

    @property
    def name(self) -> str:
        """Return `plugin:my-attack`."""
        return f"plugin:{self.attack}"


Recipe = Apgd | Square | AutoAttack | PluggedIn
#: Names of the attacks that see no gradient of the attacked network; transfer has those of other networks.
BLIND = (*(kind.name for kind in get_args(Recipe) if not kind.sees_gradients), "transfer")


@dataclass(frozen=True, kw_only=True)
class Finish:
    """A stronger attack at each Linf epsilon on images that kept at most `near` of their clean margin."""

    attack: Apgd
    near: float  # share of the clean margin
    last: Apgd | None = None  # a further attack, at the epsilons `at`, on those images that kept at most `close` of it
    close: float = 0.0  # share of the clean margin
    at: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig:
    """One protocol."""

    threats: tuple[Threat, ...]
    stages: tuple[Stage, ...]  # PGD along the whole sweep
    attacks: tuple[Recipe, ...] = ()  # run on the unbroken images, at every epsilon in turn
    check: Square | None = None  # run on images unbroken at the threat's far epsilon
    opinion: tuple[Apgd | Square, ...] = ()  # in Linf on images with an odd gradient, within what they survived
    far_steps: int = 10  # steps of each stage there
    bisect: int = 0  # rounds of halving between the smallest epsilon that broke an image and the largest that did not
    transfer: tuple[str, ...] = ()  # further cards on which perturbations are made; those that cannot be are skipped
    images: int | None = None  # at most this number, evenly spaced over the set (None: all)
    listed: bool = False  # use RobustBench's list of images if it is installed
    finish: Finish | None = None  # attack on nearly broken images
    leap: float = 1.0  # images that keep more of their margin after the first stage go to the next epsilon at once

    def threat(self, norm: NormName) -> Threat | None:
        """Return the threat of a norm, if it is attacked."""
        return next((threat for threat in self.threats if threat.norm == norm), None)


def linf(*steps: float) -> Threat:
    """Return a threat in Linf, epsilons in grey levels of 255."""
    return Threat(norm="linf", epsilons=tuple(step / 255 for step in steps), far=32 / 255)


def _recipe(own: Mapping[str, Any]) -> Any:
    ((name, fields),) = own.items()
    kind = {"apgd": Apgd, "square": Square, "autoattack": AutoAttack}[name]
    return kind(**fields) if isinstance(fields, Mapping) else kind(fields)


def _protocol(declared: Mapping[str, Any]) -> AdversarialConfig:
    own, finish = dict(declared), dict(declared.get("finish", {}))
    threats = own.pop("threats").items()
    own["threats"] = tuple(
        linf(*steps) if norm == "linf" else Threat(norm=norm, epsilons=tuple(map(float, steps)))
        for norm, steps in threats
    )
    own["stages"] = tuple(Stage(**stage) for stage in own["stages"])
    own |= {name: tuple(map(_recipe, own[name])) for name in ("attacks", "opinion") if name in own}
    own |= {"check": _recipe(own["check"])} if "check" in own else {}
    if finish:
        finish |= {name: _recipe(finish[name]) for name in ("attack", "last")}
        own["finish"] = Finish(**{**finish, "at": tuple(step / 255 for step in finish["at"])})
    return AdversarialConfig(**own)


_ALL = {name: _protocol(own) for name, own in package_data("suites.adversarial", "protocols").items()}
QUICK = _ALL["quick"]
LINF = QUICK.threats[0]
#: Variant -> its summary and cost, and its protocol.
VARIANTS: Mapping[str, Mapping[str, Any]] = package_data("suites.adversarial", "variants")
PROTOCOLS = {name: _ALL[name] for name in VARIANTS}
