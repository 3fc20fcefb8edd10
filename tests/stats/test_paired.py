"""Comparisons of two observers, and of one with people: pairing, tests, p values, intervals, Holm, verdicts."""

from dataclasses import replace
from functools import partial
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jackknives import crossed, few_clusters
from scipy import stats

from benchmark.contracts import Trials
from benchmark.stats import Comparison, adjust, compare_ratio, holm, paired_difference
from benchmark.stats.clusters import crossed_variance
from benchmark.stats.comparisons import decided, undecided
from benchmark.stats.differences import Discordant, Quadratic, Restricted, Studentised, quadratic
from benchmark.stats.paired import compare_people, differing


def draw(rng, n, shape, texture):
    return "".join(rng.choice(list("st-"), size=n, p=[shape, texture, 1 - shape - texture]))


def test_accuracies_are_paired_by_mcnemar(accuracy, make):
    rng = np.random.default_rng(0)
    a, b = draw(rng, 320, 0.6, 0.2), draw(rng, 320, 0.45, 0.2)
    result = compare_ratio(accuracy, make(a), make(b))
    only_a, only_b = (sum(x == "s" != y for x, y in zip(*pair, strict=True)) for pair in ((a, b), (b, a)))
    assert result.p == pytest.approx(stats.chi2.sf((only_a - only_b) ** 2 / (only_a + only_b), 1))
    assert result.discordant == (only_a, only_b)
    assert result.difference == pytest.approx((a.count("s") - b.count("s")) / 320)
    assert (result.a, result.b, result.n) == (a.count("s") / 320, b.count("s") / 320, 320)
    assert result.low < result.difference < result.high
    assert (result.method, result.verdict) == ("McNemar score test; Tango interval", "a is higher")


def test_only_common_trials_count_and_the_others_are_told(accuracy, make):
    result = compare_ratio(accuracy, make("ssss--", [*"123456"]), make("s-ss", [*"3457"]))
    assert (result.n, result.only_a, result.only_b, result.a, result.b) == (3, 3, 1, 2 / 3, 2 / 3)
    assert result.verdict.endswith("4 trials are not common")


def naive(metric, a, b, delta, factors=("stimulus",)):
    """z of difference `delta`, of what each trial adds where the ratios are t + delta and t."""
    (num_a, den_a), (num_b, den_b) = (np.array(metric.ratio(t), dtype=float) for t in (a, b))
    total_a, total_b = den_a.sum(), den_b.sum()
    t = (num_a.sum() + num_b.sum() - delta * total_a) / (total_a + total_b)
    adds = (num_a - (t + delta) * den_a) / total_a - (num_b - t * den_b) / total_b
    shared = np.any([a[factor][:, None] == a[factor] for factor in factors], axis=0)
    return (num_a.sum() / total_a - num_b.sum() / total_b - delta) / (adds @ shared @ adds) ** 0.5


def inverted(metric, a, b, factors=("stimulus",)):
    """The comparison, whose interval inverts its score test."""
    result, z = compare_ratio(metric, a, b), naive(metric, a, b, 0.0, factors)
    assert result.p == pytest.approx(2 * NormalDist().cdf(-abs(z)), rel=1e-9)
    for end, score in ((result.low, 1.959964), (result.high, -1.959964)):
        assert naive(metric, a, b, end, factors) == pytest.approx(score, abs=1e-5)
    return result, z


def test_ratios_are_tested_by_a_score_test_that_the_interval_inverts(bias, make):
    rng = np.random.default_rng(3)
    names = [f"i{k % 40:02d}" for k in range(80)]
    conditions = ["x"] * 40 + ["y"] * 40
    a, b = (make(draw(rng, 80, *shares), names, conditions=conditions) for shares in ((0.45, 0.35), (0.15, 0.25)))
    result, z = inverted(bias, a, b)
    assert 0.5 < abs(z) < 4 and result.method == "score test, by stimulus"


def exemplar_pair(make, shapes, textures, each):
    """Two observers of images of which each shape has `each` textures; the first has a taste for every shape."""
    rng = np.random.default_rng(8)
    n = shapes * each
    shape, texture = np.arange(n) % shapes, (np.arange(n) // shapes + np.arange(n)) % textures
    taste = rng.random(shapes)[shape]
    pulled = "".join("s" if rng.random() < taste[k] else "t" for k in range(n))
    labels = {"shape_exemplar": shape.astype(str), "texture_exemplar": texture.astype(str)}
    both = make(pulled), make(draw(rng, n, 0.3, 0.5))
    return [Trials(columns={**t.columns, **labels}) for t in both]


FACTORS = ("shape_exemplar", "texture_exemplar")


def test_stimuli_that_share_exemplars_are_no_independent_pairs(bias, make):
    a, b = exemplar_pair(make, 20, 16, 8)
    result, z = inverted(bias, a, b, FACTORS)
    assert result.method == "score test, clustered (20 x 16)"
    assert result.remark == "16 clusters only: little power"
    plenty = compare_ratio(bias, *exemplar_pair(make, 40, 32, 4))
    assert (plenty.method, plenty.remark) == ("score test, clustered (40 x 32)", "")
    assert abs(naive(bias, a, b, 0.0)) > 1.3 * abs(z)


@pytest.mark.parametrize(("shapes", "textures", "each"), [(40, 3, 3), (8, 4, 4)])
def test_few_clusters_are_held_against_a_t_distribution(bias, make, shapes, textures, each):
    """A score test of three clusters never has a z above sqrt(3): it had no interval and never rejected."""
    a, b = exemplar_pair(make, shapes, textures, each)
    result = compare_ratio(bias, a, b)
    (num_a, den_a), (num_b, den_b) = (map(np.asarray, bias.ratio(t)) for t in (a, b))
    adds = (num_a - result.a * den_a) / den_a.sum() - (num_b - result.b * den_b) / den_b.sum()
    counts = den_a | den_b
    variance, df = few_clusters(adds[counts], *(a[factor][counts] for factor in FACTORS))
    half = stats.t.ppf(0.975, df) * variance**0.5
    ends = max(-1, result.difference - half), min(1, result.difference + half)
    assert (result.low, result.high) == pytest.approx(ends, rel=1e-6)
    assert result.p == pytest.approx(2 * stats.t.sf(abs(result.difference) / variance**0.5, df))
    assert result.method == f"t test, clustered ({shapes} x {textures})"
    assert result.remark.startswith(f"{textures} clusters only: little power")


def test_equal_observers_are_not_separable(accuracy, bias, make):
    right = compare_ratio(accuracy, make("sstt-" * 10), make("sstt-" * 10))
    assert (right.difference, right.p) == (0, 1) and right.high == pytest.approx(0.0713, abs=1e-4)
    assert right.verdict == "no answer differs at n=50"
    part = compare_ratio(accuracy, make("sstt-" * 10), make("sstt-" * 8))  # ten that b never saw
    assert part.verdict == "inconclusive at n=40 (+- 0.088); 10 trials are not common"
    few = compare_ratio(accuracy, make("sstt-s-ts"), make("sstt-s-ts"))
    assert (few.same, few.verdict) == (True, "no answer differs at n=9")
    silent = compare_ratio(bias, make("--"), make("--"))  # neither has a value
    assert (silent.same, silent.n, silent.difference) == (True, 2, None)
    names, conditions = [f"i{k}" for k in range(40)] * 2, ["x"] * 40 + ["y"] * 40
    twice = make("sstt-" * 16, names, conditions=conditions)
    shape = compare_ratio(bias, twice, twice)
    assert (shape.difference, shape.p, shape.n) == (0, 1, 64)
    assert (shape.low, shape.high) == pytest.approx(paired_difference(0, 0, 32))  # 32 count


def test_a_stimulus_that_outweighs_the_rest_counts_for_few(accuracy, make):
    """Weights of 20 and eleven of 1 weigh as much as (31)^2 / (400 + 11) = 2.3 equal ones."""
    weights = np.array([20.0, *[1.0] * 11])
    heavy = replace(accuracy, ratio=lambda t: (weights * (t["response"] == t["shape"]), weights))
    found = compare_ratio(heavy, make("st" * 6), make("ts" * 6))
    assert found.reason == "too few to test: 2 stimuli count for a"


def test_what_cannot_be_compared_says_why(accuracy, bias, make):
    def repeated(answers):
        return make(answers, ["x", "x"], conditions=["easy", "hard"])

    cases = [
        (bias, make("st", ["x", "y"]), make("st", ["v", "w"]), "no trial in common"),
        (bias, make("--"), make("st"), "no common trial counts for a"),
        (bias, make("st"), make("--"), "no common trial counts for b"),
        (bias, make("--"), make("--"), "no common trial counts for a and b"),
        (bias, Trials(columns={}), make("st"), "no trial in common"),
        (replace(bias, ratio=None), make("st"), make("st"), "the metric has no value per trial"),
        (bias, repeated("st"), repeated("ss"), "too few to test: 1 stimuli count for a"),
    ]
    for metric, a, b, reason in cases:
        result = compare_ratio(metric, a, b)
        assert (result.p, result.low, result.reason) == (None, None, reason)
        assert result.verdict == f"not compared: {reason}"
    assert compare_ratio(bias, repeated("st"), repeated("ss")).difference == -0.5


def test_a_table_is_adjusted_and_verdicts_follow():
    def item(b, c):
        test = Discordant(b=b, c=c, n=320)
        start = Comparison(metric="m", a=0.5, b=0.4, difference=(b - c) / 320, n=320)
        return decided(start, test, "M")

    missing = undecided(Comparison(metric="m"), "no trial in common")
    rows = [item(30, 15), missing, item(40, 12), item(20, 17)]  # p .0253, .0001, .6219
    table = adjust(rows)
    assert [table[i].p_holm for i in (0, 2, 3)] == pytest.approx([0.050695, 0.000312, 0.621873], abs=1e-5)
    assert rows[0].verdict == table[2].verdict == "a is higher" and rows[0].low > 0
    assert table[0].verdict.startswith("inconclusive at n=320 (+- 0.0") and table[1] == missing
    assert [row.level for row in table] == pytest.approx([0.975, 0.95, 1 - 0.05 / 3, 0.975])
    assert (table[0].low, table[0].high) == pytest.approx(paired_difference(30, 15, 320, 0.975))
    assert adjust([rows[0]])[0] == replace(rows[0], p_holm=rows[0].p)
    # 3 x .01; then 2 x .4; then the larger of that and .7; never above 1.
    assert holm([0.7, 0.01, 0.4]).tolist() == pytest.approx([0.8, 0.03, 0.8]) and holm([0.6, 0.7]).tolist() == [1, 1]


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=12))
def test_an_interval_leaves_out_no_difference_exactly_where_the_verdict_does(counts):
    rows = [
        decided(Comparison(metric="m", difference=(b - c) / 90, n=90), Discordant(b=b, c=c, n=90), "M")
        for b, c in counts
    ]
    for row in [*rows, *adjust(rows)]:
        assert ("higher" in row.verdict) == (not row.low <= 0 <= row.high), row


def test_one_hypothesis_has_one_digest(accuracy, bias, make):
    rng = np.random.default_rng(9)
    a, b = make(draw(rng, 80, 0.5, 0.3)), make(draw(rng, 80, 0.4, 0.4))

    error = replace(accuracy, ratio=lambda t: (100.0 * (t["response"] != t["shape"]), np.ones(len(t))))
    right, wrong, shape = (compare_ratio(m, a, b) for m in (accuracy, error, bias))
    assert wrong.p == pytest.approx(right.p) and wrong.difference == pytest.approx(-100 * right.difference)
    assert right.data == wrong.data != shape.data
    renamed = np.char.add("z", a["stimulus"])
    others = [Trials(columns={**t.columns, "stimulus": renamed}) for t in (a, b)]
    assert compare_ratio(accuracy, *others).data != right.data
    weights = (np.linspace(0.6, most, 80) for most in (0.8, 0.9))
    parts = [replace(accuracy, ratio=lambda t, w=w: (w * (t["response"] == t["shape"]), np.ones(80))) for w in weights]
    assert len({compare_ratio(metric, a, b).data for metric in parts}) == 2


def test_trials_that_one_alone_gets_right_are_named_by_their_places(accuracy, make):
    """w: both; y: a alone, third of a and first of b; z: b alone; x and q: one of them alone was asked."""
    a, b = make("sts-", [*"wxyz"]), make("tsss", [*"yzwq"])
    assert differing(accuracy, a, b) == [(2, 0, "a"), (3, 1, "b")]
    assert differing(accuracy, b, a) == [(0, 2, "b"), (1, 3, "a")]
    assert differing(accuracy, a, make("ss", ["m", "n"])) == []
    halves = replace(accuracy, ratio=lambda t: (np.full(len(t), 0.5), np.ones(len(t))))
    assert differing(halves, a, b) == []


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
    shared = [Trials(columns={**t.columns, **labels}) for t in plain]
    narrow, wide = (compare_people(accuracy, one, rest) for one, *rest in (plain, shared))
    assert narrow.difference == wide.difference
    assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)


def test_what_cannot_be_compared_with_people_says_why(accuracy, bias, make):
    two, mine, silent = [make("st-"), make("sst")], make("ststssttst" * 4), make("-" * 40)
    first, second = make("sstsstsstt" * 4), make("tstssstsst" * 4)
    cases = [
        (bias, make("st-"), two[:1], "trials of fewer than two people count"),
        (bias, make("s-t"), [make("st", ["v", "w"])] * 2, "fewer than two common trials count"),
        (bias, make("---"), two, "no common trial counts for a"),
        (bias, make("--s"), [make("---")] * 2, "fewer than two common trials count"),
        (bias, make("sts"), [make("---")] * 2, "no common trial counts for people"),
        (accuracy, make("sss"), [make("sss")] * 3, "the difference does not vary over images"),
        (bias, mine, [first, silent], "trials of fewer than two people count"),
    ]
    for metric, a, people, reason in cases:
        found = compare_people(metric, a, people)
        assert (found.p, found.reason) == (None, reason)
        assert found.verdict == f"not compared: {reason}"
    pair = compare_people(bias, mine, [first, second])
    assert pair.p is not None and compare_people(bias, mine, [first, second, silent]) == pair


@pytest.mark.parametrize("test", [
    Discordant(b=15, c=5, n=90), Discordant(b=1, c=12, n=300),
    Studentised(difference=0.2, se=0.1, df=4.5), Studentised(difference=-0.02, se=0.1, df=900),
    Restricted(difference=-0.3, variance=Quadratic(at_zero=0.01, cross=0.002, square=0.001)),
    Restricted(difference=0.2, variance=Quadratic(at_zero=0.02, cross=-0.003, square=0.05)),
])  # fmt: skip
def test_the_interval_at_level_one_minus_p_ends_at_zero(test):
    low, high = test.interval(1 - test.p)
    assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-6)
    assert low < high


def test_nothing_that_varies_has_no_interval_and_no_evidence():
    for test in (
        Studentised(difference=0.0, se=0.0, df=3.0),
        Restricted(difference=0.0, variance=Quadratic(at_zero=0.0, cross=0.0, square=0.1)),
    ):
        assert (test.p, test.interval(0.95)) == (1.0, (None, None))
    few = Quadratic(at_zero=0.02, cross=0.0, square=1 / 3)  # three clusters: no difference is ruled out at 95 %
    assert Restricted(difference=0.1, variance=few).interval(0.95) == (None, None)


def test_intervals_stay_within_the_range():
    assert Studentised(difference=0.9, se=0.2, df=10).interval(0.95)[1] == pytest.approx(1.3456, abs=1e-4)
    curve = Quadratic(at_zero=0.04, cross=0.0, square=0.01)
    for test in (partial(Studentised, se=0.2, df=10), partial(Restricted, variance=curve)):
        assert test(difference=0.9, limit=1.0).interval(0.95)[1] == 1.0
        assert test(difference=-0.9, limit=1.0).interval(0.95)[0] == -1.0


def test_cross_products_of_clusters_are_sums_over_pairs_that_share_a_label():
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=(2, 60))
    one, two, three = rng.integers(0, [[6], [4], [3]], (3, 60))
    for factors in ([one], [one, two], [one, two, three]):
        shared = np.any([f[:, None] == f[None, :] for f in factors], axis=0)
        expected = (u[:, None] * v[None, :] * shared).sum()
        assert quadratic(u, v, factors).cross == pytest.approx(expected)


def test_variances_of_images_and_people_add_by_hand():
    """Four images: 4 x 4 / 3. Two people: 2 / (2 - 1) x 8, less the noise of their answers, 2 x (1 / 3 + 1 / 3)."""
    persons = np.array([[1.0, 0], [0, 0], [0, 0], [0, 0]])
    found = crossed_variance(np.array([1.0, -1, 1, -1]), persons, np.array([2.0, -2]))
    assert (found.value, found.people, found.crossed) == pytest.approx((20, 44 / 3, 4 / 3))
    wide = 16 * (1 + 2**0.5)
    assert found.df == pytest.approx((16 / 3 + wide - 4 / 3) ** 2 / ((16 / 3) ** 2 / 3 + wide**2))
    assert found.df == pytest.approx(1.2101, abs=1e-4)


def test_the_interval_of_a_score_test_ends_where_shares_end_and_has_the_level_asked(bias, make):
    a, b = make("s" * 19 + "t" * 2 + "-"), make("t" * 19 + "s" * 2 + "s")
    found, narrow = compare_ratio(bias, a, b), compare_ratio(bias, a, b, level=0.9)
    assert found.method.startswith("score test") and (found.high, narrow.level) == (1.0, 0.9)
    assert found.low < narrow.low < found.difference
