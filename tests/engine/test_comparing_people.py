"""What a comparison with people says where people are few, silent, or have nothing of a role."""

import numpy as np

from benchmark.contracts import Metric, Trials
from benchmark.engine.scoring import Both, _of_ratio

BIAS = Metric("bias", "", "", role="cue", ratio=lambda t: (t["num"], t["den"]))


def trials(num, den=None, role="cue"):
    num = np.array(num, dtype=float)
    return Trials(
        {
            "role": np.full(len(num), role),
            "condition": np.full(len(num), ""),
            "stimulus": np.array([f"i{i}" for i in range(len(num))]),
            "num": num,
            "den": np.ones(len(num)) if den is None else np.array(den, dtype=float),
        }
    )


A, B, C = (trials(row * 5) for row in ([1, 0, 1, 1], [0, 0, 1, 1], [1, 0, 0, 1]))
EDGES = trials([1, 0], role="edges")


def against(a, *people):
    return _of_ratio(BIAS, Both(None, a, None, {f"p{i}": one for i, one in enumerate(people)}))


def test_people_are_a_group():
    found = against(A, B, C)
    assert found.p is not None
    assert found.difference == 0.25


def test_one_person_is_said_to_be_no_group():
    assert against(A, B).reason == "answers of fewer than two people"
    assert against(A, B, EDGES, Trials({})).reason == "answers of fewer than two people"
