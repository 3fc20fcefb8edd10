"""Adversarial robustness: how small a change of the pixels makes the network answer wrongly?

Definitions, attacks, trust report and deviations: docs/suites/adversarial.md."""

from dataclasses import replace

from benchmark.contracts import EarlyStop, Suite, SuiteFigure
from suites.adversarial.config import QUICK
from suites.adversarial.metrics import metrics_of
from suites.adversarial.observe import observe
from suites.adversarial.plan import plan
from suites.adversarial.score import score
from suites.adversarial.variants import variants_of

PLAIN = Suite(
    name="adversarial",
    version=8,
    trial_version=3,
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
            "curve",
            "robust-accuracy",
            "Robust accuracy: {norm} perturbations",
            "Images that no attack of that size or less breaks, of all images.",
            metrics=("robust_accuracy",),
            conditions=r"(?P<norm>\S+) (?P<epsilon>[\d.e-]+)(?:/(?P<white>\d+))?",
            along="epsilon",
            axes=("epsilon, {norm} norm (grey range 0 to {white})", "robust accuracy (share)"),
        ),
    ),
)

SUITE = replace(PLAIN, variants=variants_of(PLAIN))
