"""One observer against people: values, p and interval by loops that leave out images and people."""

import numpy as np
import pytest
from jackknives import crossed
from scipy import stats

from benchmark.contracts import Trials
from benchmark.stats.paired import compare_people


def draw(rng, n, shape, texture):
    return "".join(rng.choice(list("st-"), size=n, p=[shape, texture, 1 - shape - texture]))


def shares(answers):
    """(S, S + T) of each image, [n, 2], from letters."""
    letters = np.array(list(answers))
    return np.stack([letters == "s", letters != "-"], axis=1).astype(float)


def difference(one, people):
    """S / (S + T) of one minus that of all people's answers together."""
    ratios = [sum(p.sum(axis=0) for p in group) for group in ([one], people)]
    return ratios[0][0] / ratios[0][1] - ratios[1][0] / ratios[1][1]


def test_values_p_and_interval_are_those_of_delete_one_loops(bias, make):
    rng = np.random.default_rng(0)
    letters = [draw(rng, 80, 0.7 - 0.1 * k, 0.2 + 0.05 * k) for k in range(6)]
    one, *people = map(make, letters)
    found = compare_people(bias, one, people)
    sums, crowd = shares(letters[0]), [shares(text) for text in letters[1:]]
    seen = difference(sums, crowd)
    assert (found.difference, found.n) == (pytest.approx(seen), 80)
    names = [f"image{i:04d}" for i in range(80)] + ["nobody1", "nobody2"]
    longer = compare_people(bias, make(letters[0] + "--", names), [make(t + "--", names) for t in letters[1:]])
    assert (longer.n, longer.p) == (80, pytest.approx(found.p))
    assert found.a == letters[0].count("s") / (80 - letters[0].count("-"))
    se, df = crossed(lambda keep, who: difference(sums[keep], [p[keep] for p in who]), 80, crowd)
    assert 4 < df < 40
    assert found.p == pytest.approx(2 * stats.t.sf(seen / se, df), rel=0.15)
    half = stats.t.ppf(0.975, df) * se
    assert (found.low, found.high) == pytest.approx((seen - half, seen + half), abs=0.05 * half)
    assert found.verdict == "a is higher"


def test_images_that_one_of_the_people_did_not_see_count_for_the_others(accuracy, make):
    a = make("s" * 20 + "-" * 20)
    part = make("s" * 10, [f"image{i:04d}" for i in range(10)])
    whole, strange = make("-" * 40), make("s" * 3, ["x", "y", "z"])
    found = compare_people(accuracy, a, [part, whole, strange])
    assert (found.a, found.b, found.n, found.only_a) == (0.5, 10 / 50, 40, 0)
    short = compare_people(accuracy, a, [part, part])
    assert (short.a, short.n, short.only_a) == (1.0, 10, 30)


def test_stimuli_that_share_exemplars_widen_the_interval(accuracy, make):
    rng = np.random.default_rng(2)
    shape, texture = np.arange(96) % 8, np.arange(96) // 8
    taste = rng.random(8)[shape]
    labels = {"shape_exemplar": shape.astype(str), "texture_exemplar": texture.astype(str)}
    answers = ["".join(np.where(rng.random(96) < taste, "s", "-")), *(draw(rng, 96, 0.5, 0) for _ in range(4))]
    plain = [make(text) for text in answers]
    shared = [Trials({**t.columns, **labels}) for t in plain]
    narrow, wide = (compare_people(accuracy, one, rest) for one, *rest in (plain, shared))
    assert narrow.difference == wide.difference
    assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)


def test_what_cannot_be_compared_says_why(accuracy, bias, make):
    two = [make("st-"), make("sst")]
    cases = [
        (bias, make("st-"), two[:1], "answers of fewer than two people"),
        (bias, make("s-t"), [make("st", ["v", "w"])] * 2, "fewer than two trials in common"),
        (bias, make("---"), two, "no common trial counts for a"),
        (bias, make("--s"), [make("---")] * 2, "fewer than two common trials count"),
        (bias, make("sts"), [make("---")] * 2, "no common trial counts for people"),
        (accuracy, make("sss"), [make("sss")] * 3, "the difference does not vary over images"),
    ]
    for metric, a, people, reason in cases:
        found = compare_people(metric, a, people)
        assert (found.p, found.reason) == (None, reason)
        assert found.verdict == f"not compared: {reason}"


def test_who_has_no_trial_that_counts_is_no_person_more(bias, make):
    mine, first, second = make("ststssttst" * 4), make("sstsstsstt" * 4), make("tstssstsst" * 4)
    silent = make("-" * 40)
    pair = compare_people(bias, mine, [first, second])
    assert pair.p is not None
    assert compare_people(bias, mine, [first, second, silent]) == pair
    alone = compare_people(bias, mine, [first, silent])
    assert (alone.p, alone.reason) == (None, "trials of fewer than two people count")
    nobody = compare_people(bias, mine, [silent, silent])
    assert (nobody.p, nobody.reason) == (None, "no common trial counts for people")
