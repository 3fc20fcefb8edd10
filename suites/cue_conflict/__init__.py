"""Cue conflict: does an observer name an object by its shape or by its texture? (Geirhos et al. 2019)

docs/suites/cue-conflict.md has the definition, numbers and deviations."""

from benchmark.contracts import Suite
from benchmark.stimuli.experiments import Experiment, observe, suite_on
from suites.cue_conflict.configural import CONFIGURAL
from suites.cue_conflict.frequency import FREQUENCY
from suites.cue_conflict.ranks import RANKS
from suites.cue_conflict.shape_bias import FIGURES, METRICS, metrics_of, plan, score


def suite_of(own: Experiment) -> Suite | None:
    """Return the suite of an added experiment whose images have a shape and a texture; None of any other."""
    if not own.cues:
        return None
    return suite_on(
        SUITE,
        own,
        "Shape bias",
        metrics=metrics_of(own),
        config=own.rule,
        experiments={own.name: own.role},
        questions={},
        citations=(own.citation,) if own.citation else (),
    )


SUITE = Suite(
    name="cue-conflict",
    version=4,
    summary="Shape bias: of the answers that follow one of two conflicting cues, how many follow shape",
    needs="decisions",
    metrics=METRICS,
    plan=plan,
    observe=observe,
    score=score,
    experiments={"cue-conflict": "cue-conflict", "edges": "edges", "silhouettes": "silhouettes"},
    figures=FIGURES,
    citations=(
        "Geirhos et al. (2019). ImageNet-trained CNNs are biased towards texture; increasing shape bias improves "
        "accuracy and robustness. ICLR. arXiv:1811.12231",
    ),
    of_experiment=suite_of,
    variants={"ranks": RANKS, "frequency": FREQUENCY, "configural": CONFIGURAL},
    questions={
        "corruption": "does shape bias buy corruption robustness?",
        "adversarial": "does shape bias buy adversarial robustness?",
    },
)
