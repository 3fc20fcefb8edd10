"""Saliency alignment: does the gradient fall on the object? (after Tsipras et al. 2019)

Definition, numbers and limits: docs/suites/saliency.md.
"""

from benchmark.contracts import Suite
from suites.saliency.metrics import METRICS
from suites.saliency.protocol import Config, observe, plan
from suites.saliency.scoring import score

SUITE = Suite(
    name="saliency",
    version=1,
    summary="Does the input gradient fall on the object, more than its place in the image explains?",
    needs="gradients",
    metrics=METRICS,
    plan=plan,
    observe=observe,
    score=score,
    config=Config(),
)
