"""Trials by hand, and metrics in the form that suites use."""

import numpy as np
import pytest

from benchmark.contracts import Metric, Trials


def follows(trials, cue):
    return trials["response"] == trials[cue]


def metric(name, definition, ratio):
    return Metric(name=name, title=name, definition=definition, role="cue", ratio=ratio)


@pytest.fixture
def bias():
    return metric("shape_bias", "S / (S + T)", lambda t: (follows(t, "shape"), t["response"] != "-"))


@pytest.fixture
def accuracy():
    return metric("accuracy", "shape answers", lambda t: (follows(t, "shape"), np.ones(len(t))))


@pytest.fixture
def make():
    """make("sst-", names=None): one trial per letter: shape, texture or another answer."""

    def build(answers, names=None, role="cue", conditions=None):
        n = len(answers)
        names = names if names is not None else [f"image{i:04d}" for i in range(n)]
        conditions = conditions if conditions is not None else [""] * n
        columns = {"role": [role] * n, "condition": conditions, "stimulus": names, "response": list(answers)}
        cues = {"shape": np.full(n, "s"), "texture": np.full(n, "t")}
        return Trials(columns={name: np.array(column, dtype="<U20") for name, column in columns.items()} | cues)

    return build
