"""Adversarial robustness: how small a change of the pixels makes the network answer wrongly?

Definitions, attacks, trust report and deviations: docs/suites/adversarial.md.
"""

from benchmark.contracts import Suite
from suites.adversarial.config import QUICK
from suites.adversarial.metrics import METRICS
from suites.adversarial.protocol import observe, plan
from suites.adversarial.scoring import score

SUITE = Suite(
    name="adversarial",
    version=1,
    summary="Robust accuracy against the size of the perturbation, with a report on whether to trust it",
    needs="gradients",
    metrics=METRICS,
    plan=plan,
    observe=observe,
    score=score,
    config=QUICK,
    spaces=("imagenet1k", "world16"),
)
