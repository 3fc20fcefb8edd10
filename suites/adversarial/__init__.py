"""Adversarial robustness: how small a change of the pixels makes the network answer wrongly?

Definitions, attacks, trust report and deviations: docs/suites/adversarial.md.
"""

from dataclasses import replace

from benchmark.contracts import Suite
from suites.adversarial.config import (
    BISECT,
    QUICK,
    ROBUSTBENCH,
    SPARSE,
    STANDARD,
    STRONG,
    TRANSFER,
    Config,
)
from suites.adversarial.metrics import metrics_of
from suites.adversarial.observe import observe
from suites.adversarial.plan import plan
from suites.adversarial.score import score
from suites.adversarial.variants import AUTOATTACK, Variants, borrowed

PLAIN = Suite(
    name="adversarial",
    version=5,
    summary="Robust accuracy against the size of the perturbation, with a report on whether to trust it",
    needs="gradients",
    metrics=metrics_of(QUICK),
    plan=plan,
    observe=observe,
    score=score,
    config=QUICK,
    spaces=("world16", "imagenet1k", "geirhos16"),
    passes=90.0,
)


def variant(name: str, config: Config, summary: str, passes: float) -> Suite:
    """The suite under another configuration, as "adversarial:NAME". passes: forward passes an image may cost."""
    return replace(
        PLAIN,
        name=f"adversarial:{name}",
        config=config,
        metrics=metrics_of(config),
        summary=summary,
        passes=passes,
    )


LISTED = {
    "standard": variant(
        "standard", STANDARD, "PGD-40 anew at every epsilon, restarted, then margins", 2000
    ),
    "strong": variant("strong", STRONG, "APGD, untargeted and targeted, and Square", 15000),
    "robustbench": variant(
        "robustbench", ROBUSTBENCH, "Linf 4/255 and 8/255 on RobustBench's images", 6000
    ),
    "autoattack": borrowed(
        PLAIN, "autoattack", "AutoAttack standard, as its authors' package runs it", AUTOATTACK
    ),
    "bisect": variant("bisect", BISECT, "The smallest perturbation by bisection", 400),
    "l1": variant("l1", SPARSE, "L1 budgets, by sparse steps and APGD", 500),
    "transfer": variant("transfer", TRANSFER, "With perturbations made on other networks", 300),
}
SUITE = replace(PLAIN, variants=Variants(LISTED, PLAIN))
