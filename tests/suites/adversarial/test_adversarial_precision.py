"""Low precision searches; float32 judges, and says so where it would have answered otherwise."""

import numpy as np
import pytest
import torch
from adversarial_world import BRIEF

from benchmark.contracts import Trials
from benchmark.engine.device_choice import make_policy
from benchmark.engine.devices import numerics
from suites.adversarial import SUITE
from suites.adversarial.trust.report import READINGS, flags, preprocessing


def answers(shown, exact):
    asked = np.zeros(100, dtype=bool), np.zeros((100, len(READINGS)), dtype=bool)
    columns = {"clean_correct": np.array(shown), "exact_correct": np.array(exact)}
    return Trials(columns=columns | dict(zip(("asked", "otherwise"), asked, strict=True)))


def test_clean_accuracy_may_move_within_its_interval():
    exact = np.arange(100) < 80
    assert list(preprocessing(answers(exact, exact))) == []
    assert list(preprocessing(answers(np.arange(100) < 75, exact))) == []  # Wilson: 71.1 to 86.7 %
    (said,) = preprocessing(answers(np.arange(100) < 70, exact))
    assert said == "precision: 70.0% right as it was run, 80.0% in float32"
    assert len(list(preprocessing(answers(np.arange(100) < 90, exact)))) == 1


@pytest.mark.release
def test_bfloat16_moves_robust_accuracy_less_than_its_interval(robust):
    """Of a network some of whose images hold at every budget: of one that falls at once, nothing could move."""
    exact = robust.usual
    with numerics(make_policy("cpu", "bf16")):
        low = robust.trials(BRIEF)
    assert not np.array_equal(low["margin"], exact["margin"])  # it was another precision
    assert np.array_equal(exact["clean_correct"], exact["exact_correct"])
    assert np.array_equal(low["exact_correct"], exact["exact_correct"])
    assert flags(BRIEF, low) == ()
    scores, moved = ({(one.metric, one.condition): one for one in SUITE.score(BRIEF, t)} for t in (exact, low))
    compared = [key for key, one in scores.items() if key[0] == "robust_accuracy" and one.low is not None]
    assert len(compared) >= 4
    assert all(scores[key].low <= moved[key].value <= scores[key].high for key in compared)


@pytest.mark.slow
def test_answers_that_only_low_precision_gives_are_counted(standard):
    """A network whose bfloat16 answers differ on many images is flagged."""

    def run(x):
        z = standard.feed.run(x)
        return z.roll(1, dims=1) if torch.is_autocast_enabled("cpu") else z

    with numerics(make_policy("cpu", "bf16")):
        low = standard.trials(BRIEF, run=run)
    assert low["exact_correct"].mean() > 0.8 > low["clean_correct"].mean()
    assert any(flag.startswith("trust: precision: ") for flag in flags(BRIEF, low))
