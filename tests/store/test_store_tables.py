"""Tables of trials: below one another, and as codes."""

import numpy as np

from benchmark.contracts import Trials
from benchmark.contracts.trials import Columns, coded, stacked_tables


def test_columns_of_vectors_and_of_nobody():
    vectors = {"stimulus": np.array(["a", "b"]), "p": np.arange(6.0).reshape(2, 3)}
    made = stacked_tables([{"stimulus": np.array(["c"])}, vectors])
    assert made["p"].shape == (3, 3) and np.isnan(made["p"][0]).all()
    assert made["p"][1:].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert stacked_tables([]) == {}
    assert stacked_tables([{}, {"x": np.array([True])}])["x"].tolist() == [True]


def test_trials_as_codes_are_the_same_trials():
    plain = {"role": np.array(["a", "b", "a"]), "x": np.array([1, 2, 3])}
    packed = Columns({"role": coded(plain["role"]), "x": plain["x"]})
    for trials in (Trials(columns=plain), Trials(columns=packed)):
        assert len(trials) == 3 and len(Trials(columns={})) == 0
        assert trials.of("a")["x"].tolist() == [1, 3] and len(trials.of("none")) == 0
        assert trials.where(np.array([False, True, True]))["role"].tolist() == ["b", "a"]
        assert trials.coded("role").plain().tolist() == ["a", "b", "a"]
