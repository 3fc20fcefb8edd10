"""Trials by hand, and metrics in the form that suites use."""

import numpy as np
import pytest

from benchmark.contracts import Metric, Trials


def follows(trials, cue):
    return trials["response"] == trials[cue]


@pytest.fixture
def bias():
    """S / (S + T)."""

    def ratio(trials):
        return follows(trials, "shape"), follows(trials, "shape") | follows(trials, "texture")

    return Metric(name="shape_bias", title="shape bias", definition="S / (S + T)", role="cue", ratio=ratio)


@pytest.fixture
def accuracy():
    def ratio(trials):
        return follows(trials, "shape"), np.ones(len(trials))

    return Metric(name="accuracy", title="accuracy", definition="shape answers", role="cue", ratio=ratio)


@pytest.fixture
def make():
    """make("sst-", names=None): one trial per letter: shape, texture or another answer."""

    def build(answers, names=None, role="cue", conditions=None):
        n = len(answers)
        names = names if names is not None else [f"image{i:04d}" for i in range(n)]
        return Trials(
            columns={
                "role": np.full(n, role, dtype="<U20"),
                "condition": np.array(conditions if conditions is not None else [""] * n, dtype="<U20"),
                "stimulus": np.array(names, dtype="<U20"),
                "response": np.array(list(answers), dtype="<U20"),
                "shape": np.full(n, "s"),
                "texture": np.full(n, "t"),
            }
        )

    return build
