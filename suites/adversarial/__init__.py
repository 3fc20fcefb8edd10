"""Adversarial robustness: how small a change of the pixels makes the network answer incorrectly?

Definitions, attacks, trust report and deviations: docs/suites/adversarial.md."""

from collections.abc import Mapping
from dataclasses import replace

from benchmark.contracts import EarlyStop, Suite, SuiteFigure
from benchmark.identity import code_digest
from suites.adversarial.attack_plugins import ATTACKS, BROKEN
from suites.adversarial.config import LINF, PROTOCOLS, QUICK, AdversarialConfig, PluggedIn, Threat
from suites.adversarial.metrics import metrics_of
from suites.adversarial.observe import observe
from suites.adversarial.plan import plan
from suites.adversarial.score import score

#: Protocol -> its summary, and the forward passes that an image may cost (None: the suite's own number).
SUMMARIES: Mapping[str, tuple[str, float | None]] = {
    "standard": ("PGD-40 anew at every epsilon, restarted, then margins", 2000.0),
    "strong": ("APGD, untargeted and targeted, and Square", 15000.0),
    "robustbench": ("Linf 4/255 and 8/255 on RobustBench's images", 6000.0),
    "bisect": ("The smallest perturbation by bisection", 400.0),
    "l1": ("L1 budgets, by sparse steps and APGD", 500.0),
    "transfer": ("With perturbations made on other networks", 300.0),
    "autoattack": ("AutoAttack standard, as its authors' package runs it", None),
}


def variants_of(plain: Suite) -> dict[str, Suite]:
    """Return every variant of the suite, by its name without the suite's."""
    variants = {}

    def add(name: str, config: AdversarialConfig, summary: str, passes: float | None = None) -> None:
        suite = replace(plain, name=f"{plain.name}:{name}", config=config, metrics=metrics_of(config), summary=summary)
        variants[name] = replace(suite, passes=passes or plain.passes)

    for name, (summary, passes) in SUMMARIES.items():
        refused = f" (an attack of that name is BROKEN: {BROKEN[name]})" if name in BROKEN else ""
        add(name, PROTOCOLS[name], summary + refused, passes)
    for name, attack in ATTACKS.items():
        recipe = PluggedIn(name, code_digest(attack.points))
        config = AdversarialConfig(
            threats=(Threat(norm=attack.norm, epsilons=attack.budgets),), stages=(), attacks=(recipe,)
        )
        add(name, config, f"{attack.title}, of another package, alone")
    for name, reason in BROKEN.items():
        if name not in PROTOCOLS:
            config = AdversarialConfig(
                threats=(Threat(norm="linf", epsilons=LINF.epsilons),), stages=(), attacks=(PluggedIn(name, ""),)
            )
            add(name, config, f"BROKEN: {reason}")
    return variants


PLAIN = Suite(
    name="adversarial",
    version=9,
    trial_version=4,
    summary="Robust accuracy against the size of the perturbation, with a report on whether to trust it",
    needs="gradients",
    metrics=metrics_of(QUICK),
    plan=plan,
    observe=observe,
    score=score,
    config=QUICK,
    spaces=("world16", "imagenet1k", "geirhos16"),
    own_space=True,
    passes=90.0,
    stopping=EarlyStop(shuffle=True),
    figures=(
        SuiteFigure(
            kind="curve",
            name="robust-accuracy",
            title="Robust accuracy: {norm} perturbations",
            caption="Images that no attack of that size or less breaks, of all images.",
            metrics=("robust_accuracy",),
            conditions=r"(?P<norm>\S+) (?P<epsilon>[\d.e-]+)(?:/(?P<white>\d+))?",
            along="epsilon",
            axes=("epsilon, {norm} norm (grey range 0 to {white})", "robust accuracy (share)"),
        ),
    ),
)

SUITE = replace(PLAIN, variants=variants_of(PLAIN))
