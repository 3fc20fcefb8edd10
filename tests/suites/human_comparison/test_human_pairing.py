"""Two networks against the same people, and one against people as a group: values and tests by delete-one loops."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from answers import MEASURES, kappa
from jackknives import crossed
from scipy import stats

from benchmark.stats.differences import power_of
from benchmark.stimuli.experiments import experiment_from
from suites.human_comparison import suite_of
from suites.human_comparison.against_people import people_scores
from suites.human_comparison.pairing import METHOD, compare_all, compare_pair, with_each
from suites.human_comparison.shown_experiments import BY_ROLE

METRICS = list(MEASURES)
ACCURACY = "ood_accuracy"


def observers(make, count, n, seed=7, role="contrast", condition="c50"):
    rng, shares = np.random.default_rng(seed), np.linspace(0.3, 0.8, count)
    hard = rng.random(n) < 0.6
    return [make(np.where(rng.random(n) < p, hard, rng.random(n) < p), role, condition) for p in shares]


def people_of(group):
    return {f"subject-{i}": one for i, one in enumerate(group)}


def overall(found, metric="error_consistency"):
    return next(c for c in found if c.metric == metric and not c.condition)


def difference(metric, a, b, people):
    """b None: people with one another; of accuracy, their mean."""
    if metric == ACCURACY:
        return a.mean() - np.mean(people if b is None else b)
    first = np.mean([MEASURES[metric](a, one) for one in people])
    if b is not None:
        return first - np.mean([MEASURES[metric](b, one) for one in people])
    return first - np.mean([MEASURES[metric](x, y) for x, y in combinations(people, 2)])


@pytest.mark.parametrize("metric", [*METRICS, ACCURACY])
@pytest.mark.parametrize("alone", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_p_and_interval_are_those_of_delete_one_loops(make, metric, alone):
    crowd = observers(make, 7, 60)
    right = [t["response"] == t["category"] for t in crowd]
    a, b, people = crowd[0], None if alone else crowd[-1], crowd[1:-1]
    found = overall(compare_pair(a, b, people_of(people)), metric)
    one, two, crowd = right[0], None if alone else right[-1], right[1:-1]
    assert found.difference == pytest.approx(difference(metric, one, two, crowd))

    def without(keep, who):
        return difference(metric, one[keep], None if alone else two[keep], [person[keep] for person in who])

    se, df = crossed(without, 60, crowd)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(found.difference) / se, df), rel=0.12)
    half = stats.t.ppf(0.975, df) * se
    assert (found.low, found.high) == pytest.approx((found.difference - half, found.difference + half), abs=0.08 * half)
    assert found.method == METHOD


@pytest.mark.parametrize("metric", METRICS)
def test_what_an_image_adds_is_the_slope_of_its_weight(metric):
    def weighted(x, y, w):
        """The metric where image i counts w[i] times."""
        seen, p, q = (np.average(v, weights=w) for v in (x == y, x, y))
        chance = p * q + (1 - p) * (1 - q)
        return ((seen - chance) / (1 - chance), seen, (p - q) ** 2)[METRICS.index(metric)]

    rng = np.random.default_rng(3)
    one, others = rng.random(40) < 0.8, rng.random((40, 3)) < [0.3, 0.6, 0.9]
    values, adds = with_each(metric, one, others)
    for k, theirs in enumerate(others.T):
        assert values[k] == pytest.approx(weighted(one, theirs, np.ones(40)))
        for i in range(0, 40, 5):
            up, down = (np.ones(40) + step * (np.arange(40) == i) for step in (1e-5, -1e-5))
            slope = weighted(one, theirs, up) - weighted(one, theirs, down)
            assert adds[i, k] / 40 == pytest.approx(slope / 2e-5, abs=1e-7)


def test_agreement_is_not_all_kappa_of_always_right_and_always_wrong_is_0(make):
    """Their kappas are 0 with whomever, up to rounding: no test of them; their accuracies are 1 apart."""
    rng = np.random.default_rng(2)
    people = [make(rng.random(97) < 0.7) for _ in range(5)]
    right, wrong = (make(np.full(97, value)) for value in (True, False))
    found = {c.metric: c for c in compare_pair(wrong, right, people_of(people))}
    kappa, accuracy = found["error_consistency"], found["ood_accuracy"]
    assert kappa.difference == pytest.approx(0, abs=1e-12)
    assert (kappa.p, kappa.low) == (None, None) and "does not vary" in kappa.reason
    assert (accuracy.difference, accuracy.low) == (-1.0, -1.0) and accuracy.high < -0.9
    assert accuracy.p < 1e-20


def test_pairing_is_on_common_images_and_same_people(make):
    a, b, *others = observers(make, 5, 60)
    part = b.where(np.arange(60) < 40)
    found = overall(compare_pair(a, part, people_of(others)))
    right = [(t["response"] == t["category"])[:40] for t in (a, part, *others)]
    first, second = (np.mean([kappa(one, other) for other in right[2:]]) for one in right[:2])
    assert (found.a, found.b, found.n) == (pytest.approx(first), pytest.approx(second), 40)


def test_values_are_means_over_conditions_then_experiments(make, join):
    rng = np.random.default_rng(2)

    def one(role, condition, start):
        return [make(rng.random(30) < 0.6, role, condition, start) for _ in range(5)]

    parts = [one("contrast", "c50", 0), one("contrast", "c30", 100), one("edges", "", 200)]
    a, b, *people = (join(*shown) for shown in zip(*parts, strict=True))
    found = compare_pair(a, b, people_of(people))
    right = [[t["response"] == t["category"] for t in part] for part in parts]
    gaps = [difference("error_consistency", r[0], r[1], r[2:]) for r in right]
    assert overall(found).difference == pytest.approx(np.mean([np.mean(gaps[:2]), gaps[2]]))
    by_role = {c.condition: c for c in found if c.metric == "error_consistency"}
    assert by_role["contrast"].difference == pytest.approx(np.mean(gaps[:2]))
    assert by_role["contrast"].n == 60 and overall(found).n == 90


def shown_as(trials, role, names):
    shown = {"role": np.full(len(trials), role), "stimulus": np.array([*map(str, names)])}
    return type(trials)(columns={**trials.columns, **shown})


@pytest.mark.parametrize("metric", [METRICS[0], ACCURACY])
def test_experiments_that_share_shapes_do_not_count_twice(make, join, metric):
    """The same answers to edges and to silhouettes: of 40 shapes they say no more than those to edges alone; of 40
    and 40 photographs they are twice as many."""
    crowd = observers(make, 5, 40, condition="")

    def se(**shown):
        a, b, *others = (join(*(shown_as(one, role, names) for role, names in shown.items())) for one in crowd)
        found = compare_pair(a, b, {f"ideal-{i}": one for i, one in enumerate(others)})
        return overall(found, metric).test.se

    alone, photographs = se(edges=range(40)), [f"n{i}.jpg" for i in range(80)]
    names = [f"{'cat' if i % 2 else 'dog'}{i}.png" for i in range(40)]
    assert se(edges=names, silhouettes=names) == pytest.approx(alone)
    for edges, silhouettes in ((photographs[:40], photographs[40:]), (names, photographs[:40])):
        assert se(edges=edges, silhouettes=silhouettes) == pytest.approx(alone / 2**0.5)


def test_without_people_there_is_a_reason(make):
    a, b, *two = observers(make, 4, 80)
    assert all(c.difference is None and c.reason for c in compare_pair(a, b, {}))
    alone = compare_pair(a, None, people_of(two))  # of two people there is one pair: no spread of it
    assert all(c.reason.startswith("fewer than three people") for c in alone)


def test_all_pairs_at_once_are_each_pair_by_itself(make, join):
    parts = [observers(make, 6, 40, 3), observers(make, 6, 30, 4, "sketch", ""), observers(make, 6, 30, 5, "edges", "")]
    group = [join(*each) for each in zip(*parts, strict=True)]
    networks = {"a": group[0], "b": group[1], "c": parts[0][2]}
    found = {(a, b): test for a, b, test in compare_all(networks, people_of(group[3:]))}
    assert sorted(found) == [("a", "b"), ("a", "c"), ("b", "c")]
    for (a, b), test in found.items():
        alone = overall(compare_pair(networks[a], networks[b], people_of(group[3:])))
        for name in ("a", "b", "difference", "p", "low", "high", "n", "average"):
            assert getattr(test, name) == pytest.approx(getattr(alone, name), abs=1e-12), name
    assert compare_all(networks, {}) == []


def test_people_who_saw_other_images_are_compared_on_their_own(make):
    """With all images each person gives the test of everybody; with parts of them the means over people."""
    own = {"contrast": replace(BY_ROLE["contrast"], partial=True)}
    a, b, *others = observers(make, 5, 60)
    for second in (b, None):  # another observer, or people as a group
        whole, apart = (compare_pair(a, second, people_of(others), *given) for given in ((), (own,)))
        for one, other in zip(whole, apart, strict=True):
            for name in ("a", "b", "difference", "p", "low", "high", "n"):
                assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-12), name
    parts = [one.where(np.arange(60) % 3 != i) for i, one in enumerate(others)]
    found = overall(compare_pair(a, b, people_of(parts), own))
    right = [t["response"] == t["category"] for t in (a, b, *others)]
    seen = [np.arange(60) % 3 != i for i in range(len(others))]
    shown = list(zip(right[2:], seen, strict=True))
    first, second = (np.mean([kappa(one[at], other[at]) for other, at in shown]) for one in right[:2])
    assert (found.a, found.b, found.n) == (pytest.approx(first), pytest.approx(second), 60) and 0 < found.p < 1
    ceiling = np.mean([kappa(x[s & t], y[s & t]) for (x, s), (y, t) in combinations(shown, 2)])
    alone = compare_pair(a, None, people_of(parts), own)
    assert (overall(alone).a, overall(alone).b) == (pytest.approx(first), pytest.approx(ceiling))
    assert overall(alone, "ood_accuracy").b == pytest.approx(np.mean([x[s].mean() for x, s in shown]))
    ends = [one.where(np.arange(60) % 4 == i) for i, one in enumerate((*others[:2], others[2]))]
    assert "fewer than three" in overall(compare_pair(a, None, people_of(ends), own)).reason
    ((*_, pair),) = compare_all({"a": a, "b": b}, people_of(parts), own)
    assert (pair.difference, pair.p) == (pytest.approx(found.difference), pytest.approx(found.p))


def test_images_that_no_person_answered_are_not_compared(make):
    own = replace(BY_ROLE["contrast"], file="contrast.yaml")
    a, b, *others = observers(make, 5, 60)
    parts = people_of([one.where(np.arange(60) < 40) for one in others])
    shown = [one.where(np.arange(60) < 40) for one in (a, b)]
    for second, same in ((b, shown[1]), (None, None)):
        pairs = (a, second), (shown[0], same)
        found, alone = (overall(compare_pair(x, y, parts, {"contrast": own})) for x, y in pairs)
        assert found == alone and found.n == 40 and found.p is not None
    rows = {(row.metric, row.condition): row for row in people_scores(own, a, parts)}
    row = rows["error_consistency", "kept"]
    assert (row.n, row.excluded) == (40, 20) and "people answered 40 of 60 images" in row.flags
    assert suite_of(experiment_from("own", {"categories": ["a", "b"]})).partial


def crowd(make, rng, images, people):
    """Two networks and people; what makes an image hard for people is hard for the first one more than the second, and
    people differ in how far they share it."""
    hard = rng.normal(0, 1, images)
    shares = [1.0, 0.45, *rng.uniform(0.2, 1.4, people)]
    right = [share * hard + rng.normal(0, 1, images) > -0.4 for share in shares]
    a, b, *others = map(make, right)
    return a, b, people_of(others)


def kappa_with_people(share):
    """Of the model of `crowd`, with very many images and people: over a grid of how hard images and people are."""
    hard = np.linspace(-8, 8, 4001)
    weight = stats.norm.pdf(hard) / stats.norm.pdf(hard).sum()
    own, others = (stats.norm.cdf(np.multiply.outer(s, hard) + 0.4) for s in (share, np.linspace(0.2, 1.4, 241)))
    p, q, same = weight @ own, others @ weight, (others * own + (1 - others) * (1 - own)) @ weight
    chance = p * q + (1 - p) * (1 - q)
    return ((same - chance) / (1 - chance)).mean()


@pytest.mark.release
@pytest.mark.parametrize(("times", "more"), [(0.5, 1), (1, 3)])
def test_a_difference_in_kappa_is_seen_as_often_as_simulated(make, times, more):
    """Of 200 simulations a share of .7 or .3 has a standard error of .033: three of them. As planned, .6 are seen."""
    rng, truth = np.random.default_rng(5), kappa_with_people(1.0) - kappa_with_people(0.45)
    pilots = [overall(compare_pair(*crowd(make, rng, 160, 10))).test for _ in range(60)]
    foretold = np.mean([power_of(test, truth, times=times, people=more) for test in pilots])
    tests = [overall(compare_pair(*crowd(make, rng, round(160 * times), 10 * more))) for _ in range(200)]
    assert foretold == pytest.approx(np.mean([test.p < 0.05 for test in tests]), abs=0.1)
