"""Adversarial robustness: how small a change of the pixels makes a network err? (docs/suites/adversarial.md)"""

from dataclasses import replace

from benchmark.contracts import EarlyStop, Suite
from benchmark.contracts.declarations import declared_suite
from benchmark.identity import code_digest
from suites.adversarial.attack_plugins import ATTACKS, BROKEN
from suites.adversarial.config import LINF, PROTOCOLS, QUICK, VARIANTS, AdversarialConfig, PluggedIn, Threat
from suites.adversarial.metrics import protocol_metrics
from suites.adversarial.observe import observe
from suites.adversarial.plan import plan
from suites.adversarial.score import score


def variants_of(plain: Suite) -> dict[str, Suite]:
    """Return every variant of the suite, by its name without the suite's."""
    rows = {}
    for name, own in VARIANTS.items():
        refused = f" (an attack of that name is BROKEN: {BROKEN[name]})" if name in BROKEN else ""
        rows[name] = PROTOCOLS[name], own["summary"] + refused, own.get("passes", plain.passes)
    for name in (*ATTACKS, *(name for name in BROKEN if name not in PROTOCOLS)):
        attack, threat, code, summary = ATTACKS.get(name), LINF, "", f"BROKEN: {BROKEN.get(name)}"
        if attack is not None:
            threat = Threat(norm=attack.norm, epsilons=attack.budgets)
            code, summary = code_digest(attack.points), f"{attack.title}, of another package, alone"
        config = AdversarialConfig(threats=(replace(threat, far=0.0),), stages=(), attacks=(PluggedIn(name, code),))
        rows[name] = config, summary, plain.passes
    named = {name: replace(plain, name=f"{plain.name}:{name}") for name in rows}
    return {
        name: replace(named[name], config=config, metrics=(*protocol_metrics(config),), summary=summary, passes=passes)
        for name, (config, summary, passes) in rows.items()
    }


_DECLARED = declared_suite(__name__, "suite", {}, plan=plan, observe=observe, score=score, config=QUICK)
PLAIN = replace(_DECLARED, metrics=(*protocol_metrics(QUICK),), stopping=EarlyStop(shuffle=True))
SUITE = replace(PLAIN, variants=variants_of(PLAIN))
