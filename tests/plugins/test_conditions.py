"""A score of a condition is of that condition's trials, and the conformance kit says where it is not."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.contracts import Block, Metric, Plan, Suite
from benchmark.stats import ratio_score
from benchmark.testing import check_suite


def right(trials):
    return trials["response"] == trials["category"], np.ones(len(trials), dtype=bool)


ACCURACY = Metric(name="accuracy", title="accuracy", definition="right answers", headline=True, ratio=right)
LEVELS = ("low", "middle", "high")


def plan(_config, shelf):
    return Plan(tuple(Block(stimuli=shelf.find(level), condition=level, role="natural") for level in LEVELS))


def sound(trials):
    return [ratio_score(ACCURACY, trials, condition=level) for level in LEVELS]


def unfiltered(trials):
    return [replace(ratio_score(ACCURACY, trials), condition=level) for level in LEVELS]


def of_the_next(trials):
    """Each level's score is the next one's, of as many trials."""
    return [replace(score, condition=LEVELS[at - 1]) for at, score in enumerate(sound(trials))]


def with_the_last(trials):
    """Each level's value is the mean of its own and the last one's, under its own n."""
    own = sound(trials)
    last = own[-1].value or 0.0
    return [s if s.value is None else replace(s, value=(s.value + last) / 2, low=None, high=None) for s in own]


def suite(levels):
    return Suite(
        name="levels", version=1, summary="accuracy by level", needs="decisions", metrics=(ACCURACY,), plan=plan,
        observe=lambda _config, view: {"response": view.responses},
        score=lambda _config, trials: [ratio_score(ACCURACY, trials), *levels(trials)], spaces=("geirhos16",),
    )  # fmt: skip


@pytest.mark.parametrize(("levels", "said"), [
    (unfiltered, "'accuracy' under 'low' counts 96 trials; the condition has 32"),
    (of_the_next, "without the trials of its condition"),
    (with_the_last, "without the trials of other conditions"),
])  # fmt: skip
def test_the_kit_fails_a_suite_whose_conditions_count_others(levels, said):
    good, bad = (check_suite(suite(scores)) for scores in (sound, levels))
    assert all(check.ok for check in good), [check for check in good if not check.ok]
    (failed,) = [check for check in bad if not check.ok]
    assert failed.name == "a condition's score counts its own trials" and said in failed.detail
