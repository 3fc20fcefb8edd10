"""All people as one observer: the published counts, the n that counts, an interval over people."""

import numpy as np
import pytest

from benchmark.contracts import Metric, Trials
from benchmark.engine.scoring import pooled_score

SHAPE = (829, 907, 1006, 727, 1017, 976, 906, 928, 1031, 909)
TEXTURE = (33, 54, 34, 64, 38, 24, 57, 41, 14, 39)
T9 = 2.2621572  # 97.5 % point of t with 9 degrees of freedom


def answered(shape, texture, n=1280):
    response = np.array(["s"] * shape + ["t"] * texture + ["-"] * (n - shape - texture))
    names = np.array([f"i{i}" for i in range(n)])
    return Trials(
        columns={"role": np.full(n, "cue"), "condition": np.full(n, ""), "stimulus": names, "response": response}
    )


def either(trials):
    return np.isin(trials["response"], ["s", "t"])


BIAS = Metric(name="bias", title="", definition="", role="cue", ratio=lambda t: (t["response"] == "s", either(t)))


def test_ten_people_pooled():
    people = [answered(s, t) for s, t in zip(SHAPE, TEXTURE, strict=True)]
    score = pooled_score(BIAS, people)
    assert round(score.value, 4) == 0.9587
    assert (score.n, score.excluded, score.method) == (9634, 3166, "t over 10 people")
    s, n = np.array(SHAPE), np.array(SHAPE) + np.array(TEXTURE)
    r = s.sum() / n.sum()
    variance = 10 / 9 * ((s - r * n) ** 2).sum() / n.sum() ** 2  # Cochran 1977, equation 6.13
    trials = r * (1 - r) / variance
    middle = (r + T9**2 / (2 * trials)) / (1 + T9**2 / trials)
    width = T9 * np.sqrt(r * (1 - r) / trials + T9**2 / (4 * trials**2)) / (1 + T9**2 / trials)
    assert (score.low, score.high) == pytest.approx((middle - width, middle + width), rel=1e-6)


def test_amounts_get_the_plain_t_interval():
    amount = Metric(
        name="mean", title="", definition="", role="cue", ratio=lambda t: (2.0 * either(t), either(t) * 1.0)
    )
    half = Metric(
        name="half",
        title="",
        definition="",
        role="cue",
        ratio=lambda t: (3.0 * (t["response"] == "s"), either(t) * 1.0),
    )
    people = [answered(6, 4), answered(8, 2), answered(7, 3)]
    assert pooled_score(amount, people).value == 2.0
    found = pooled_score(half, people)
    # Means 1.8, 2.4, 2.1: sd .3, t(2) = 4.302653
    assert found.value == pytest.approx(2.1)
    assert (found.low, found.high) == pytest.approx((2.1 - 0.745239, 2.1 + 0.745239), abs=1e-5)


def test_who_never_answers_is_no_person_more():
    people = [answered(6, 4, 12), answered(8, 2, 12), answered(7, 3, 12)]
    silent = answered(0, 0, 12)
    silent = Trials(columns={**silent.columns, "response": np.full(12, "na")})
    right = Metric(
        name="right", title="", definition="", role="cue", ratio=lambda t: (t["response"] == "s", t["role"] == "cue")
    )
    for metric in (BIAS, right):
        assert pooled_score(metric, [*people, silent]) == pooled_score(metric, people)
    # Neither is who gave answers of which none counts, where answers are few: t over 3 people.
    found = pooled_score(BIAS, [*people, answered(0, 0, 12)])
    assert found.method == "t over 3 people"
    assert (found.low, found.high) == (pooled_score(BIAS, people).low, pooled_score(BIAS, people).high)
    alone = pooled_score(BIAS, [answered(6, 4, 12), answered(0, 0, 12)])
    assert (alone.value, alone.low, alone.flags) == (0.6, None, ("one person: no interval",))
