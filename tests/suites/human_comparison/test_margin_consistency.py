"""Decision margin consistency against numpy's correlation, and where it has no value."""

import numpy as np
import pytest

from benchmark.contracts import Trials
from suites.human_comparison.comparing import compare
from suites.human_comparison.metrics import weighted_correlation

IMAGES = np.array([f"n{i:02}.png" for i in range(40)])


def trials(right, margin=None, condition="", role="sketch"):
    n = len(right)
    columns = {
        "role": np.full(n, role),
        "condition": np.full(n, condition) if isinstance(condition, str) else condition,
        "stimulus": IMAGES[:n],
        "category": np.full(n, "cat"),
        "response": np.where(right, "cat", "dog"),
    }
    return Trials(columns | ({} if margin is None else {"margin": margin}))


def scored(network, people):
    named = {f"subject-{i:02} (lab)": one for i, one in enumerate(people)}
    found = compare(None, network, named)
    return {(one.role, one.condition): one for one in found if one.metric == "margin_consistency"}


def test_it_is_the_correlation_with_the_share_of_people_who_are_right():
    rng = np.random.default_rng(3)
    ease = rng.normal(size=40)
    right = [ease + rng.normal(size=40) > 0 for _ in range(5)]
    margin = ease + rng.normal(size=40)
    order = rng.permutation(40)
    network = trials(margin > 0, margin)
    network = Trials({name: values[order] for name, values in network.columns.items()})
    found = scored(network, [trials(one) for one in right])
    expected = np.corrcoef(margin, np.mean(right, axis=0))[0, 1]
    assert found["", ""].value == pytest.approx(expected, abs=1e-12)
    assert found["sketch", "kept"].value == pytest.approx(expected, abs=1e-12)
    assert found["", ""].low < expected < found["", ""].high and found["", ""].n == 40
    assert "1 of 17 experiments" in found["", ""].flags and found["", ""].method == "bootstrap: images"


@pytest.mark.parametrize("margin", [None, np.full(40, 2.0), np.full(40, np.nan)])
def test_without_margins_or_spread_there_is_none(margin):
    right = np.arange(40) % 2 == 0
    assert scored(trials(right, margin), [trials(right), trials(~right)]) == {}


def test_weighted_correlation():
    rng = np.random.default_rng(1)
    x, y, counts = rng.normal(size=6), rng.normal(size=6), np.array([1, 2, 3, 1, 4, 2])
    (found,) = weighted_correlation(counts[None, :].astype(float), x[None, :], y[None, :])
    assert found == pytest.approx(np.corrcoef(np.repeat(x, counts), np.repeat(y, counts))[0, 1])
