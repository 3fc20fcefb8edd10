"""Human comparison: does an observer respond to degraded images as people do? (Geirhos et al. 2018, 2020, 2021)
Definitions, numbers and deviations: docs/suites/human-comparison.md."""

from dataclasses import replace
from functools import partial
from itertools import chain

from benchmark.contracts import Against, Suite
from benchmark.contracts.declarations import declared_suite
from benchmark.stimuli.experiments import Experiment, observe, suite_on
from suites.human_comparison.against_people import people, people_scores
from suites.human_comparison.low_pass import LOW_PASS
from suites.human_comparison.metrics import curves, experiment_metrics, kept
from suites.human_comparison.pairing import compare_all, compare_pair
from suites.human_comparison.score import score
from suites.human_comparison.shown_experiments import SET_ROLES, experiments_shown, plan


def suite_of(own: Experiment | None) -> Suite:
    """Return the suite of an added experiment, or of the published ones."""
    experiments = experiments_shown(own)
    against = Against(
        scores=people_scores, group=people, pair=partial(compare_pair, experiments=experiments),
        pairs=partial(compare_all, experiments=experiments),
    )  # fmt: skip
    declared = declared_suite(
        "suites.human_comparison", "suite", {}, plan=plan, observe=observe, score=score, config=own and own.rule,
        against=against, experiments=SET_ROLES, averaged=partial(kept, experiments=experiments),
        controls={role: one.control for role, one in experiments.items() if one.control is not None},
        variants={"low-pass": LOW_PASS}, of_experiment=suite_of,
    )  # fmt: skip
    first, *others = declared.figures
    figures = (first, *chain.from_iterable(map(curves, experiments.values())), *others)
    suite = replace(declared, metrics=experiment_metrics(experiments), figures=figures)
    if own is None:
        return suite
    return suite_on(
        suite, own, "Error consistency with people", experiments={own.name: own.role}, partial=True,
        citations=(own.citation,) if own.citation else (),
    )  # fmt: skip


SUITE = suite_of(None)
