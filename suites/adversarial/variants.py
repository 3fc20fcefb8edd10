"""The suite under other protocols, by name: those that are listed, and one for every attack of foolbox."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from benchmark.contracts import Plan, Shelf, Suite
from suites.adversarial.config import (
    L2,
    LINF,
    ROBUSTBENCH_IMAGENET,
    Config,
    Library,
    NormName,
    Threat,
)
from suites.adversarial.metrics import metrics_of
from suites.adversarial.plan import plan

FOOLBOX = "foolbox-"
#: A perturbation of L2 norm 1 that is spread evenly over a tenth of 224 x 224 x 3 entries has L1 norm 123.
L1 = Threat("l1", (10.0, 20.0, 40.0, 80.0, 160.0))
#: AutoAttack alone, at RobustBench's budget for ImageNet.
AUTOATTACK = Config((ROBUSTBENCH_IMAGENET,), (), (Library("autoattack", "standard"),))
#: foolbox attacks whose name does not begin with their norm.
NORMS: Mapping[str, NormName] = {
    "AdamPGD": "linf",
    "FGSM": "linf",
    "GenAttack": "linf",
    "MIFGSM": "linf",
    "PGD": "linf",
    "EADAttack": "l1",
    "SparseL1DescentAttack": "l1",
}


class Variants(Mapping[str, Suite]):
    """Variants by name, as a suite lists them. Beyond those listed, "foolbox-NAME" is that attack of foolbox alone;
    whether there is such an attack is found out when it is planned, so that its scores are shown without foolbox.
    """

    def __init__(self, listed: Mapping[str, Suite], plain: Suite) -> None:
        self._listed = listed
        self._plain = plain

    def __getitem__(self, name: str) -> Suite:
        attack = name.removeprefix(FOOLBOX)
        if name in self._listed or attack == name or not attack.isidentifier():
            return self._listed[name]
        summary = f"Robust accuracy against {attack} of foolbox alone"
        return borrowed(self._plain, name, summary, alone(attack))

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)


def alone(attack: str) -> Config:
    """One attack of foolbox, in the norm that it is made for: its name says so, or it is one of `NORMS`; all others
    are run in L2."""
    norm = NORMS.get(attack, attack[: 4 if attack.lower().startswith("linf") else 2].lower())
    threat = {"linf": replace(LINF, far=0.0), "l1": L1}.get(norm, L2)
    return Config((threat,), (), (Library("foolbox", attack),))


def borrowed(plain: Suite, name: str, summary: str, config: Config) -> Suite:
    """A suite around attacks of optional packages."""
    return replace(
        plain,
        name=f"{plain.name}:{name}",
        summary=summary,
        config=config,
        metrics=metrics_of(config),
        plan=plan_borrowed,
        variants={},
    )


def plan_borrowed(config: Config, shelf: Shelf) -> Plan:
    """As `plan`. Raises PluginError where a package is not installed or has no such attack."""
    from suites.adversarial.attacks.foreign import check

    for recipe in config.attacks:
        if isinstance(recipe, Library):
            check(recipe)
    return plan(config, shelf)
