"""Comparisons of two observers: pairing, the choice of test, p values, Holm, verdicts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from benchmark.contracts import Metric, Trials
from benchmark.stats import Comparison, adjust, compare_ratio, holm


def draw(rng, n, shape, texture):
    return "".join(rng.choice(list("st-"), size=n, p=[shape, texture, 1 - shape - texture]))


def test_accuracies_are_paired_by_mcnemar(accuracy, make):
    rng = np.random.default_rng(0)
    a, b = draw(rng, 320, 0.6, 0.2), draw(rng, 320, 0.45, 0.2)
    result = compare_ratio(accuracy, make(a), make(b))
    table = np.zeros((2, 2), dtype=int)
    for x, y in zip(a, b, strict=True):
        table[int(x != "s"), int(y != "s")] += 1
    assert result.p == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert result.difference == pytest.approx((a.count("s") - b.count("s")) / 320)
    assert (result.a, result.b, result.n) == (a.count("s") / 320, b.count("s") / 320, 320)
    assert result.low < result.difference < result.high
    assert result.method == "exact McNemar test; Tango score interval"
    assert result.verdict == "a is higher"


def test_swapping_the_observers_mirrors_the_result(accuracy, bias, make):
    rng = np.random.default_rng(1)
    a, b = make(draw(rng, 200, 0.3, 0.5)), make(draw(rng, 200, 0.5, 0.3))
    for metric, tolerance in ((accuracy, 1e-9), (bias, 0.02)):
        there, back = compare_ratio(metric, a, b), compare_ratio(metric, b, a)
        assert (there.verdict, back.verdict) == ("b is higher", "a is higher")
        assert there.difference == -back.difference
        assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=tolerance)
        assert there.p == pytest.approx(back.p, abs=tolerance)


def test_order_does_not_matter_and_names_do_the_pairing(bias, make):
    rng = np.random.default_rng(2)
    a, b = make(draw(rng, 150, 0.4, 0.4)), make(draw(rng, 150, 0.5, 0.3))
    order = rng.permutation(150)
    shuffled = Trials({name: column[order] for name, column in b.columns.items()})
    assert compare_ratio(bias, a, b) == compare_ratio(bias, a, shuffled)


def test_only_common_trials_count_and_the_others_are_told(accuracy, make):
    a = make("ssss--", ["i1", "i2", "i3", "i4", "i5", "i6"])
    b = make("s-ss", ["i3", "i4", "i5", "i7"])
    result = compare_ratio(accuracy, a, b)
    assert (result.n, result.only_a, result.only_b) == (3, 3, 1)
    assert (result.a, result.b) == (2 / 3, 2 / 3)
    assert result.verdict.endswith("4 trials are not common")


def test_conditions_keep_trials_of_one_stimulus_apart(accuracy, make):
    names = [f"i{k}" for k in range(30)] * 2
    hard_last = ["easy"] * 30 + ["hard"] * 30
    a = make("s" * 60, names, conditions=hard_last)
    b = make("s" * 30 + "-" * 30, names, conditions=hard_last)
    result = compare_ratio(accuracy, a, b)
    assert (result.n, result.difference) == (60, 0.5)
    assert result.method.startswith("paired bootstrap")  # a stimulus repeats: no independent pairs
    flipped = make("-" * 30 + "s" * 30, names, conditions=hard_last[::-1])
    assert compare_ratio(accuracy, b, flipped).difference == 0


def test_trials_that_count_for_neither_are_left_out(make, accuracy):
    def on_conflict(trials):
        counts = np.char.startswith(trials["stimulus"], "conflict")
        return counts & (trials["response"] == "s"), counts

    names = [f"{'conflict' if k < 20 else 'same'}{k}" for k in range(32)]
    a, b = make("s" * 32, names), make("t" * 32, names)
    result = compare_ratio(replace(accuracy, ratio=on_conflict), a, b)
    assert (result.n, result.p, result.difference) == (20, 2 / 2**20, 1.0)


def test_a_ratio_of_two_conditions_keeps_the_trials_of_both():
    """What is left of the clean accuracy: the corrupted trials are in the numerator alone."""
    rng = np.random.default_rng(3)

    def ratio(trials):
        clean = trials["condition"] == "clean"
        return np.where(clean, 0.0, trials["right"] / 2), np.where(clean, trials["right"], 0.0)

    def observer(shares):
        right = np.concatenate([rng.random(60) < share for share in shares])
        names = [f"i{n}" for n in range(60)] * 3
        conditions = np.repeat(["clean", "fog/1", "fog/2"], 60)
        columns = {"role": np.full(180, "natural"), "condition": conditions}
        return Trials({**columns, "stimulus": np.array(names), "right": right.astype(float)})

    metric = Metric("left", "left", "corrupted over clean", role="natural", ratio=ratio)
    a, b = observer((0.9, 0.8, 0.7)), observer((0.9, 0.4, 0.3))
    result = compare_ratio(metric, a, b)
    for trials, value in ((a, result.a), (b, result.b)):
        right, clean = trials["right"], trials["condition"] == "clean"
        assert value == pytest.approx(right[~clean].sum() / 2 / right[clean].sum())
    plain = np.array([t["right"].reshape(3, 60) for t in (a, b)])  # observer, condition, image
    drawn = rng.integers(0, 60, (2000, 60))
    sums = plain[:, :, drawn].sum(axis=-1)  # observer, condition, resample
    gaps = np.diff((sums[:, 1] + sums[:, 2]) / 2 / sums[:, 0], axis=0)[0] * -1
    expected = np.quantile(gaps, [0.025, 0.975])
    assert (result.low, result.high) == pytest.approx(tuple(expected), abs=0.02)


def test_the_permutation_p_agrees_with_scipy(bias, make):
    rng = np.random.default_rng(3)
    a, b = draw(rng, 120, 0.45, 0.35), draw(rng, 120, 0.35, 0.45)
    result = compare_ratio(bias, make(a), make(b), permutations=40_000)

    def statistic(x, y, axis):
        ratio = [(z == 1).sum(axis) / (z >= 1).sum(axis) for z in (x, y)]
        return ratio[0] - ratio[1]

    codes = [np.array([{"s": 1, "t": 2, "-": 0}[x] for x in answers]) for answers in (a, b)]
    reference = stats.permutation_test(
        codes, statistic, permutation_type="samples", vectorized=True, n_resamples=20_000, rng=rng
    )
    assert 0.001 < reference.pvalue < 0.5
    assert result.p == pytest.approx(reference.pvalue, abs=0.012)


def test_false_alarms_happen_at_their_rate(bias, accuracy, make):
    rng = np.random.default_rng(4)
    p = np.array(
        [
            [compare_ratio(m, a, b, permutations=400, resamples=50).p for m in (bias, accuracy)]
            for a, b in (
                (make(draw(rng, 60, 0.4, 0.4)), make(draw(rng, 60, 0.4, 0.4))) for _ in range(300)
            )
        ]
    )
    swapped, exact = (p < 0.05).mean(axis=0)
    assert 0.02 < swapped < 0.085
    assert exact < 0.065


def test_the_paired_bootstrap_covers_at_its_level(bias, make):
    """Correlated observers whose true shape biases are .6 and .5."""
    rng = np.random.default_rng(5)
    hits = 0
    for seed in range(300):
        u = rng.random(150)
        a = "".join(np.select([u < 0.48, u < 0.8], ["s", "t"], "-"))
        b = "".join(np.select([u < 0.4, u < 0.8], ["s", "t"], "-"))
        result = compare_ratio(bias, make(a), make(b), resamples=400, permutations=10, seed=seed)
        hits += result.low <= 0.1 <= result.high
    assert 0.91 < hits / 300 < 0.985


def test_equal_observers_are_not_separable(accuracy, bias, make):
    for metric in (accuracy, bias):
        same = compare_ratio(metric, make("sstt-" * 10), make("sstt-" * 10))
        assert (same.difference, same.p) == (0, 1)
        assert same.verdict.startswith(
            f"not separable at n={same.n} (smallest detectable difference ~ "
        )


def test_permutation_p_values_at_their_ends(bias, make):
    names, conditions = [f"i{k}" for k in range(40)] * 2, ["x"] * 40 + ["y"] * 40
    texture, shape, mixed = (make(c * 40, names, conditions=conditions) for c in ("tt", "ss", "st"))
    apart = compare_ratio(bias, texture, shape, permutations=999)
    assert (apart.difference, apart.p) == (-1.0, 1 / 1000)
    same = compare_ratio(bias, mixed, mixed, permutations=999)
    assert (same.difference, same.p) == (0.0, 1.0)
    assert same.method.endswith("permutation test (999 swaps of a and b, by stimulus)")


def test_what_cannot_be_compared_says_why(accuracy, bias, make):
    def repeated(answers):
        return make(answers, ["x", "x"], conditions=["easy", "hard"])

    cases = [
        (bias, make("st", ["x", "y"]), make("st", ["v", "w"]), "no trial in common"),
        (bias, make("--"), make("st"), "no common trial counts for a"),
        (bias, make("st"), make("--"), "no common trial counts for b"),
        (bias, make("--"), make("--"), "no common trial counts for a and b"),
        (bias, Trials({}), make("st"), "no trial in common"),
        (replace(bias, ratio=None), make("st"), make("st"), "the metric has no value per trial"),
        (bias, repeated("st"), repeated("ss"), "one common stimulus: nothing to resample"),
    ]
    for metric, a, b, reason in cases:
        result = compare_ratio(metric, a, b)
        assert (result.p, result.low, result.reason) == (None, None, reason)
        assert result.verdict == f"not compared: {reason}"
    assert compare_ratio(bias, repeated("st"), repeated("ss")).difference == -0.5


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_holm_equals_statsmodels(pvalues):
    expected = multipletests(pvalues, method="holm")[1]
    assert holm(pvalues) == pytest.approx(expected, abs=1e-12)


def test_holm_of_nothing_and_of_nonsense():
    assert holm([]).shape == (0,)
    for bad in ([0.1, np.nan], [1.2], [-0.1], [[0.1]]):
        with pytest.raises(ValueError, match="p values"):
            holm(bad)


def test_a_table_is_adjusted_and_verdicts_follow():
    def item(p):
        return Comparison("m", a=0.5, b=0.4, difference=0.1, low=0.01, high=0.19, p=p, n=320)

    missing = Comparison(
        "m", reason="no trial in common", verdict="not compared: no trial in common"
    )
    table = adjust([item(0.03), missing, item(0.001), item(0.5)])
    assert [row.p_holm for row in table] == [pytest.approx(0.06), None, pytest.approx(0.003), 0.5]
    assert table[0].verdict == "not separable at n=320 (smallest detectable difference ~ 0.13)"
    assert table[1] == missing
    assert table[2].verdict == "a is higher"
    assert adjust([item(0.03)])[0].verdict == "a is higher"


def test_the_smallest_detectable_difference_is_found_four_times_in_five(accuracy, make):
    """The number in the verdict keeps its promise: at that true difference, power is about .8."""
    rng = np.random.default_rng(6)
    u = rng.random(320)

    def pair(gain):
        v = rng.random(320)
        a = np.where(np.where(u < 0.3, v < 0.5 + gain, u < 0.65), "s", "-")
        b = np.where(np.where(u < 0.3, rng.random(320) < 0.5, u < 0.65), "s", "-")
        return compare_ratio(accuracy, make("".join(a)), make("".join(b)))

    detectable = float(pair(0.0).verdict.split("~ ")[1].rstrip(")"))
    found = np.mean([pair(detectable / 0.3).p < 0.05 for _ in range(150)])
    assert 0.65 < found < 0.95
