"""Human comparison: does an observer respond to degraded images as people do? (Geirhos et al. 2018, 2020, 2021)
Definitions, numbers and deviations: docs/suites/human-comparison.md."""

from functools import partial
from itertools import chain

from benchmark.contracts import Against, Suite
from benchmark.contracts.declarations import declared_figures, package_data
from benchmark.stimuli.experiments import Experiment, observe, suite_on
from suites.human_comparison.against_people import compare, people
from suites.human_comparison.low_pass import LOW_PASS
from suites.human_comparison.metrics import curves, kept, metrics_of
from suites.human_comparison.pairing import compare_all, compare_pair
from suites.human_comparison.score import score
from suites.human_comparison.shown_experiments import SET_ROLES, experiments_shown, plan


def suite_of(own: Experiment | None) -> Suite:
    """Return the suite of an added experiment, or of the published ones."""
    experiments, declared = experiments_shown(own), package_data("suites.human_comparison", "metrics")
    figures = list(declared_figures(declared["figures"]))
    figures[1:1] = chain.from_iterable(map(curves, experiments.values()))
    suite = Suite(
        name="human-comparison",
        version=4,
        summary="Error consistency with people on degraded images: 17 experiments, accuracy, agreement, thresholds",
        needs="decisions",
        metrics=metrics_of(experiments),
        plan=plan,
        observe=observe,
        score=score,
        config=own and own.rule,
        against=Against(
            scores=compare,
            group=people,
            pair=partial(compare_pair, experiments=experiments),
            pairs=partial(compare_all, experiments=experiments),
        ),
        experiments=SET_ROLES,
        averaged=partial(kept, experiments=experiments),
        controls={role: one.control for role, one in experiments.items() if one.control is not None},
        figures=tuple(figures),
        citations=declared["citations"],
        variants={"low-pass": LOW_PASS},
        of_experiment=suite_of,
    )
    if own is None:
        return suite
    return suite_on(
        suite,
        own,
        "Error consistency with people",
        experiments={own.name: own.role},
        partial=True,
        citations=(own.citation,) if own.citation else (),
    )


SUITE = suite_of(None)
