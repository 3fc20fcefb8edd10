"""Cue conflict: is an object named by its shape or its texture? (Geirhos et al. 2019; docs/suites/cue-conflict.md)"""

from dataclasses import replace

from benchmark.contracts import Suite
from benchmark.stimuli.experiments import Experiment, suite_on
from suites.cue_conflict.configural import CONFIGURAL
from suites.cue_conflict.frequency import FREQUENCY
from suites.cue_conflict.ranks import RANKS
from suites.cue_conflict.shape_bias import DECLARED, cue_metrics


def suite_of(own: Experiment) -> Suite | None:
    """Return the suite of an added experiment whose images have a shape and a texture; None of any other."""
    if not own.cues:
        return None
    return suite_on(
        SUITE, own, "Shape bias", metrics=cue_metrics(own), config=own.rule, experiments={own.name: own.role},
        questions={}, citations=(own.citation,) if own.citation else (),
    )  # fmt: skip


SUITE = replace(
    DECLARED, of_experiment=suite_of, variants={"ranks": RANKS, "frequency": FREQUENCY, "configural": CONFIGURAL}
)
