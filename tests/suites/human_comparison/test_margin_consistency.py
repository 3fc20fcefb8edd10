"""Decision margin consistency against numpy's correlation, and where it has no value."""

import numpy as np
import pytest

from benchmark.contracts import Trials
from suites.human_comparison.comparing import compare
from suites.human_comparison.metrics import reliability, weighted_correlation

IMAGES = np.array([f"n{i:04}.png" for i in range(2000)])


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


def scored(network, people, metric="margin_consistency"):
    named = {f"subject-{i:02} (lab)": one for i, one in enumerate(people)}
    found = compare(None, network, named)
    return {(one.role, one.condition): one for one in found if one.metric == metric}


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


def test_reliability_is_cronbachs_alpha():
    rng = np.random.default_rng(4)
    right = rng.random((50, 4)) < rng.random((50, 1))
    items = right.astype(float)
    alpha = 4 / 3 * (1 - items.var(axis=0).sum() / items.sum(axis=1).var())
    assert reliability(np.ones((1, 50)), right) == pytest.approx([alpha])
    twice = np.repeat(right, 2, axis=0)
    assert reliability(np.ones((1, 100)), twice) == pytest.approx(reliability(np.full((1, 50), 2.0), right))
    assert reliability(np.ones((1, 50)), right[:, :1]) == [0]


def test_corrected_for_noise_a_network_that_knows_how_hard_images_are_reaches_one():
    rng = np.random.default_rng(6)
    ease = rng.random(2000)
    people = [trials(rng.random(2000) < ease) for _ in range(4)]
    network = trials(ease > 0.5, ease)
    plain, corrected = (scored(network, people, name)["", ""] for name in ("margin_consistency", "margin_corrected"))
    assert plain.value < 0.85 and corrected.low < 1 < corrected.high
    assert corrected.value == pytest.approx(1, abs=0.03)


def test_one_person_tells_nothing_of_the_noise():
    found = scored(trials(np.arange(40) % 2 == 0, np.arange(40.0)), [trials(np.arange(40) > 9)], "margin_corrected")
    assert found["", ""].value is None and "noisy" in found["", ""].reason
