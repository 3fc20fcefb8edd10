"""Tables below one another, against pandas."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.contracts import Trials
from benchmark.contracts.trials import Columns, coded
from benchmark.stack_columns import stacked

KINDS = {"response": str, "condition": str, "correct": bool, "loss": float, "position": int}


@st.composite
def tables(draw):
    """Parts of 0 to 4 trials, each with some of the columns and always "stimulus"."""
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        n = draw(st.integers(0, 4))
        names = draw(st.lists(st.sampled_from(sorted(KINDS)), unique=True))
        part = {"stimulus": np.array([f"s{i}" for i in range(n)], dtype="<U4")}
        for name in names:
            values = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
            part[name] = np.array(values).astype("<U2" if KINDS[name] is str else KINDS[name])
        parts.append(part)
    return parts


@pytest.mark.slow
@given(tables())
def test_as_pandas_puts_them(parts):
    made = stacked(parts)
    names = list(dict.fromkeys(name for part in parts for name in part))
    assert list(made) == names
    frames = [pd.DataFrame(part).astype(object) for part in parts]
    expected = pd.concat(frames, ignore_index=True).reindex(columns=names)
    for name, values in made.items():
        if KINDS.get(name, str) is str:
            assert values.dtype.kind == "U"
            assert values.tolist() == expected[name].fillna("").tolist()
        else:
            np.testing.assert_array_equal(values.astype(float), expected[name].astype(float).to_numpy())


def test_columns_of_vectors_and_of_nobody():
    vectors = {"stimulus": np.array(["a", "b"]), "p": np.arange(6.0).reshape(2, 3)}
    made = stacked([{"stimulus": np.array(["c"])}, vectors])
    assert made["p"].shape == (3, 3) and np.isnan(made["p"][0]).all()
    assert made["p"][1:].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert stacked([]) == {}
    assert stacked([{}, {"x": np.array([True])}])["x"].tolist() == [True]


@pytest.mark.parametrize(
    ("first", "second"),
    [(np.array(["a"]), np.array([1.0])), (np.zeros((1, 2)), np.zeros((1, 3))), (np.zeros(1), np.zeros((1, 1)))],
)
def test_what_does_not_fit_is_named(first, second):
    with pytest.raises(ValueError, match="column 'x' does not fit together"):
        stacked([{"x": first}, {"x": second}])


def test_trials_as_codes_are_the_same_trials():
    plain = {"role": np.array(["a", "b", "a"]), "x": np.array([1, 2, 3])}
    packed = Columns({"role": coded(plain["role"]), "x": plain["x"]})
    for trials in (Trials(plain), Trials(packed)):
        assert len(trials) == 3 and len(Trials({})) == 0
        assert trials.of("a")["x"].tolist() == [1, 3] and len(trials.of("none")) == 0
        assert trials.where(np.array([False, True, True]))["role"].tolist() == ["b", "a"]
        assert trials.coded("role").plain().tolist() == ["a", "b", "a"]
