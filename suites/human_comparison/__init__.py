"""Human comparison: does an observer respond to degraded images as people do? (Geirhos et al. 2018, 2020, 2021)

Definitions, numbers and deviations: docs/suites/human-comparison.md."""

from benchmark.contracts import Against, Suite
from suites.human_comparison.against_people import compare, people
from suites.human_comparison.experiments import BY_ROLE, SET_ROLES
from suites.human_comparison.low_pass import LOW_PASS
from suites.human_comparison.metrics import FIGURES, METRICS, kept
from suites.human_comparison.observe import observe
from suites.human_comparison.pairing import compare_all, compare_pair
from suites.human_comparison.plan import plan
from suites.human_comparison.score import score

SUITE = Suite(
    name="human-comparison",
    version=4,
    summary="Error consistency with people on degraded images: 17 experiments, accuracy, agreement, thresholds",
    needs="decisions",
    metrics=METRICS,
    plan=plan,
    observe=observe,
    score=score,
    against=Against(scores=compare, group=people, pair=compare_pair, pairs=compare_all),
    experiments=SET_ROLES,
    averaged=kept,
    controls={role: experiment.control for role, experiment in BY_ROLE.items() if experiment.control is not None},
    figures=FIGURES,
    variants={"low-pass": LOW_PASS},
)
