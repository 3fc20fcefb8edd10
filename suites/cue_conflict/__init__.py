"""Cue conflict: does an observer name an object by its shape or by its texture? (Geirhos et al. 2019)

docs/suites/cue-conflict.md has the definition, numbers and deviations."""

from benchmark.contracts import Suite
from suites.cue_conflict.configural import CONFIGURAL
from suites.cue_conflict.frequency import FREQUENCY
from suites.cue_conflict.metrics import FIGURES, METRICS
from suites.cue_conflict.observe import observe
from suites.cue_conflict.plan import plan
from suites.cue_conflict.ranks import RANKS
from suites.cue_conflict.score import score

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
    variants={"ranks": RANKS, "frequency": FREQUENCY, "configural": CONFIGURAL},
    questions={
        "corruption": "does shape bias buy corruption robustness?",
        "adversarial": "does shape bias buy adversarial robustness?",
    },
)
