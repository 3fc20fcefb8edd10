"""Saliency alignment: do object and gradient decide alike? (after Tsipras et al. 2019; docs/suites/saliency.md)"""

from dataclasses import replace

from benchmark.contracts.declarations import declared_suite
from suites.saliency.config import REFERENCES, SHOWN, SaliencyConfig
from suites.saliency.map_plugins import ADDED, BROKEN, SIGNATURES, added_metrics
from suites.saliency.metrics import METRICS
from suites.saliency.observe import observe
from suites.saliency.plan import plan
from suites.saliency.score import score

_DECLARED = declared_suite(
    __name__, "suite", {}, plan=plan, observe=observe, score=score, config=SaliencyConfig(added=SIGNATURES),
    spaces=tuple(SHOWN), references={f"reference: {name}": title for name, title in REFERENCES.items()},
)  # fmt: skip
SUITE = replace(_DECLARED, metrics=(*METRICS, *added_metrics(ADDED, BROKEN)))
