"""Saliency alignment: does the object decide, and does the gradient fall on it? (after Tsipras et al. 2019)

docs/suites/saliency.md has the definition, numbers and limits."""

from benchmark.contracts import Suite
from benchmark.contracts.declarations import declared_figures, package_data
from suites.saliency.config import REFERENCES, SHOWN, SaliencyConfig
from suites.saliency.map_plugins import ADDED, added_metrics
from suites.saliency.metrics import METRICS
from suites.saliency.observe import observe
from suites.saliency.plan import plan
from suites.saliency.score import reference_condition, score

SUITE = Suite(
    name="saliency",
    version=5,
    trial_version=2,
    summary="Does the object carry the evidence, and does the input gradient fall on it?",
    needs="gradients",
    metrics=(*METRICS, *added_metrics(ADDED)),
    plan=plan,
    observe=observe,
    score=score,
    config=SaliencyConfig(added=ADDED.signatures),
    spaces=tuple(SHOWN),
    own_space=True,
    references={reference_condition(name): title for name, title in REFERENCES.items()},
    passes=20.0,  # a backward counts two: answer 1, gradient 3, texture 2, four noisy copies 12, exchange 2
    figures=declared_figures(package_data(__name__, "metrics")["figures"]),
    citations=("Tsipras et al. (2019). Robustness may be at odds with accuracy. ICLR. arXiv:1805.12152",),
    questions={
        "cue-conflict": "do gradients on the object go with shape bias?",
        "adversarial": "do gradients on the object go with adversarial robustness?",
    },
)
