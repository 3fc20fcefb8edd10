"""The suite under other protocols, by name: those of `config.PROTOCOLS`, and every attack of another package alone."""

from collections.abc import Mapping
from dataclasses import replace

from benchmark.contracts import Suite
from suites.adversarial.added import ADDED, EPSILONS
from suites.adversarial.config import LINF, PROTOCOLS, Config, PluggedIn, Threat
from suites.adversarial.metrics import metrics_of
from suites.adversarial.plan import plan_foreign

#: Protocol -> its summary, and the forward passes that an image may cost.
SUMMARIES: Mapping[str, tuple[str, float]] = {
    "standard": ("PGD-40 anew at every epsilon, restarted, then margins", 2000.0),
    "strong": ("APGD, untargeted and targeted, and Square", 15000.0),
    "robustbench": ("Linf 4/255 and 8/255 on RobustBench's images", 6000.0),
    "bisect": ("The smallest perturbation by bisection", 400.0),
    "l1": ("L1 budgets, by sparse steps and APGD", 500.0),
    "transfer": ("With perturbations made on other networks", 300.0),
}


def variants_of(plain: Suite) -> dict[str, Suite]:
    """Every variant of the suite, by its name without the suite's."""
    found = {
        name: replace(configured(plain, name, PROTOCOLS[name], summary), passes=passes)
        for name, (summary, passes) in SUMMARIES.items()
    }
    summary = "AutoAttack standard, as its authors' package runs it"
    found["autoattack"] = foreign(plain, "autoattack", PROTOCOLS["autoattack"], summary)
    for name, attack in ADDED.attacks.items():
        found[name] = foreign(plain, name, alone(name), f"{attack.title}, of another package, alone")
    for name, reason in ADDED.broken.items():
        if name in PROTOCOLS:
            said = f"{found[name].summary} (an attack of that name is BROKEN: {reason})"
            found[name] = replace(found[name], summary=said)
        else:
            found[name] = foreign(plain, name, alone(name), f"BROKEN: {reason}")
    return found


def configured(plain: Suite, name: str, config: Config, summary: str) -> Suite:
    """The suite under another configuration, as "adversarial:NAME"."""
    return replace(
        plain, name=f"{plain.name}:{name}", config=config, metrics=metrics_of(config), summary=summary, variants={}
    )


def foreign(plain: Suite, name: str, config: Config, summary: str) -> Suite:
    """The suite around attacks of other packages."""
    return replace(configured(plain, name, config, summary), plan=plan_foreign)


def alone(name: str) -> Config:
    """One attack that another package adds, at its budgets."""
    attack = ADDED.attacks.get(name)
    norm = attack.norm if attack else "linf"
    budgets = attack.budgets if attack else EPSILONS[norm]
    threat = replace(LINF, epsilons=budgets, far=0.0) if norm == "linf" else Threat(norm, budgets)
    return Config((threat,), (), (PluggedIn(name, ADDED.code(name)),))
