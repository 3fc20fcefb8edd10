"""The suite by hand: plan, averages, degenerate cases, what is flagged and what has no value."""

from dataclasses import replace

import numpy as np
import pytest
from answers import MEASURES, build, kappa
from shelves import Shelf

from benchmark.contracts import Trials
from benchmark.failures import MissingStimuli
from benchmark.identity import Codes, block_key
from benchmark.stats.agreement import agreement
from benchmark.testing import ToyShelf, check_suite
from suites.cue_conflict import SUITE as CUE_CONFLICT
from suites.human_comparison import SUITE
from suites.human_comparison.against_people import people, people_scores
from suites.human_comparison.metrics import BESIDE, reliability, weighted_correlation


def bits(seed, n, p=0.6):
    return np.random.default_rng(seed).random(n) < p


@pytest.mark.slow
def test_keeps_the_contract():
    assert [check for check in check_suite(SUITE) if not check.ok] == []


def test_plan_takes_what_is_there_and_says_what_is_not_and_shows_nothing_of_cue_conflict_again():
    plan = SUITE.plan(None, Shelf("geirhos16", only=("edges", "contrast")))
    assert {block.role for block in plan.blocks} == {"edges", "contrast"}
    assert len(plan.missing) == 15 and plan.missing["colour"] == "'colour' is not here"
    with pytest.raises(MissingStimuli, match="none of the 17"):
        SUITE.plan(None, Shelf("geirhos16", only=()))
    shelf = ToyShelf("world16")
    cues, own = ({block_key(b, Codes()) for b in suite.plan(None, shelf).blocks} for suite in (CUE_CONFLICT, SUITE))
    assert len(cues & own) == 3  # cue conflict, edges, silhouettes


def test_ood_accuracy_is_the_mean_over_experiments_of_kept_trials(make, join, find):
    contrast = make([1] * 8 + [0] * 2 + [1] * 10, condition=["c50"] * 10 + ["c100"] * 10)
    edges = make([1, 1, 0, 0], role="edges", condition="")
    score = find(SUITE.score(None, join(contrast, edges)), "ood_accuracy")
    assert (score.value, score.n, score.excluded) == (pytest.approx((0.8 + 0.5) / 2), 14, 10)
    assert score.flags == ("2 of 17 experiments",)


def test_averages_go_over_conditions_then_people_then_experiments(make, join, find):
    """Unequal numbers everywhere: any other order of averaging gives another number."""
    shown = (("c50", 0, 30, 0.6), ("c30", 10, 90, 0.4), ("c100", 20, 40, 0.9))
    mine, first, second = (
        join(*(make(bits(seed + more, n, p), condition=c, start=10 * more) for c, more, n, p in shown))
        for seed in range(3)
    )
    edges, third = (make(bits(seed, 50), role="edges", condition="") for seed in (50, 51))
    mine = join(mine, edges)
    scores = SUITE.against.scores(None, mine, {"subject-1": first, "subject-2": second, "subject-3": third})

    def right(trials, role, condition):
        keep = (trials["role"] == role) & (trials["condition"] == condition)
        return (trials["response"] == trials["category"])[keep]

    for metric, measure in MEASURES.items():

        def mean(role, conditions, people, measure=measure):
            each = [[measure(*(right(who, role, c) for who in (mine, one))) for c in conditions] for one in people]
            return pytest.approx(np.mean(np.mean(each, axis=1)), abs=1e-12)

        contrast, edges = mean("contrast", ("c50", "c30"), (first, second)), mean("edges", ("",), (third,))
        assert find(scores, metric, "contrast", "kept").value == contrast
        assert find(scores, metric).value == pytest.approx((contrast.expected + edges.expected) / 2, abs=1e-12)
        alone = find(scores, metric, "contrast", "c100")
        assert alone.value == mean("contrast", ("c100",), (first, second))
        assert "not in the averages" in alone.flags and alone.low <= alone.value <= alone.high
    for name in ("c50", "c30", "c100"):  # of two people there is one pair
        theirs = kappa(right(first, "contrast", name), right(second, "contrast", name))
        assert find(scores, "human_error_consistency", "contrast", name).value == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize(("mine", "theirs", "kappa"), [
    ([1] * 6, [1] * 6, 1.0), ([0] * 6, [0] * 6, 1.0), ([1] * 6, [1, 1, 1, 0, 0, 0], 0.0),
    ([1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], -1.0),
])  # fmt: skip
def test_degenerate_observers_have_a_defined_kappa(make, find, mine, theirs, kappa):
    scores = SUITE.against.scores(None, make(mine), {"subject-1": make(theirs), "subject-2": make(theirs)})
    score = find(scores, "error_consistency")
    assert score.value == pytest.approx(kappa)
    assert find(scores, "human_error_consistency").value == 1.0
    assert find(scores, "ceiling_fraction").value == pytest.approx(kappa)
    for one in scores:
        assert one.value is None or np.isfinite([v for v in (one.value, one.low, one.high) if v is not None]).all()
    if kappa == 1.0:  # six images without an error in common, or without any, say next to nothing
        assert score.low < 0.3 and score.high == 1.0


def test_beside_kappa_stand_what_accuracies_allow_and_the_copy_model(make, find):
    a, people = bits(1, 60), [bits(2, 60), bits(3, 60, 0.8)]
    named = {f"subject-{at}": make(right) for at, right in enumerate(people)}
    scores = SUITE.against.scores(None, make(a), named)
    each = [agreement(np.array(a, bool), np.array(right, bool)) for right in people]
    names = dict(zip(BESIDE, ("unbiased", "least", "most", "copied"), strict=True))
    for metric, name in names.items():
        for role, condition in (("", ""), ("contrast", "kept")):
            score = find(scores, metric, role, condition)
            assert score.value == pytest.approx(np.mean([getattr(one, name) for one in each]))
            assert score.low <= score.value <= score.high
    assert not [score for score in scores if score.metric == "copy_probability" and score.condition == "c50"]


def test_a_ceiling_below_zero_gives_no_fraction(make, find):
    people_ = {"subject-1": make([1, 1, 0, 0]), "subject-2": make([0, 0, 1, 1])}
    scores = SUITE.against.scores(None, make([1, 0, 1, 0]), people_)
    assert find(scores, "human_error_consistency").value == pytest.approx(-1)
    fraction = find(scores, "ceiling_fraction")
    assert fraction.value is None and fraction.reason == "no ceiling above 0"


@pytest.mark.parametrize("references", [{}, {"subject-1": None}])
def test_nobody_to_compare_with_is_a_reason(make, find, references):
    references = {name: make([1, 0], role="colour", condition="bw") for name in references}
    scores = SUITE.against.scores(None, make(bits(0, 20)), references)
    for metric in ("error_consistency", "observed_consistency", "accuracy_difference", "ceiling_fraction"):
        assert find(scores, metric).value is None and "human-trials" in find(scores, metric).reason


def silenced(trials):
    return replace(trials, columns={**trials.columns, "response": np.full(len(trials), "na")})


def test_nobody_is_compared_with_who_never_answers(make, find):
    crowd = {f"subject-{i}": make(bits(i, 60)) for i in range(1, 4)}
    silent = silenced(make([0] * 60))
    for name in ("error_consistency", "ood_accuracy", "observed_consistency"):
        found = find(people(None, {"subject-0": silent, **crowd}), name)
        assert found == find(people(None, crowd), name)
    mine = make(bits(9, 60))
    theirs = SUITE.against.scores(None, mine, {"subject-0": silent, **crowd})
    assert list(theirs) == list(SUITE.against.scores(None, mine, crowd))


def test_who_never_answers_has_no_score_and_so_no_rank(make, join, find):
    silent = silenced(make([0, 0, 0, 0], role="edges", condition=""))
    other = make([1, 0, 1, 0], role="edges", condition="")
    own, against = (SUITE.score(None, silent), SUITE.against.scores(None, silent, {"subject-1": other}))
    assert {score.value for score in (*own, *against)} == {None}
    for metric in ("error_consistency", "ood_accuracy"):
        scores = against if metric == "error_consistency" else own
        assert find(scores, metric).reason == "no answer but 'na'"
    assert find(own, "edges_accuracy", "edges").excluded == 4
    # One silent experiment is left out of the averages of the others.
    half = join(silent, make([1, 1, 1, 0], role="silhouettes", condition=""))
    found = find(SUITE.score(None, half), "ood_accuracy")
    assert (found.value, found.flags) == (0.75, ("1 of 17 experiments",))


def crossed(right, *, named=True):
    """Trials of cue conflict: shapes x textures in rows, named as the published images are, or not."""
    names = [f"cat{s + 1}-dog{t + 1}.png" for s, t in np.ndindex(np.shape(right))]
    return build(np.ravel(right), "cue-conflict", "", **({"stimulus": np.array(names)} if named else {}))


def test_agreement_on_cue_conflict_is_about_other_shapes_and_textures(find):
    rng = np.random.default_rng(4)
    alike = rng.random((30, 1)) < 0.5  # in half of the shapes the two err together
    mine = rng.random((30, 12)) < 0.6
    theirs = np.where(alike, mine, rng.random((30, 12)) < 0.6)
    scores = []
    for named in (True, False):  # without names nobody knows what images share
        people = dict.fromkeys(("subject-1", "subject-2"), crossed(theirs, named=named))
        scores.append(SUITE.against.scores(None, crossed(mine, named=named), people))
    wide, narrow = (find(each, "error_consistency") for each in scores)
    assert wide.value == narrow.value
    assert wide.high - wide.low > 1.7 * (narrow.high - narrow.low)


def test_the_human_row_is_about_other_people():
    """Four people of different accuracy on very many images: what is left is the spread of people."""
    rng = np.random.default_rng(1)
    shares = (0.5, 0.6, 0.8, 0.9)
    answers = {f"subject-{i}": build(rng.random(4000) < p, "cue-conflict", "") for i, p in enumerate(shares)}
    (score,) = (s for s in people(None, answers) if (s.metric, s.condition) == ("ood_accuracy", ""))
    assert score.value == pytest.approx(0.7, abs=0.01)
    half = 3.182446 * np.std(shares, ddof=1) / 2  # Student's t with 3 degrees of freedom
    assert (score.low, score.high) == pytest.approx((0.7 - half, 0.7 + half), abs=0.03)


def test_conditions_are_sorted_by_how_right_people_are(make, join, find):
    """Contrast 50: people .85 of undistorted .865; 10: .55; 3, which no average has: .2; low-pass 15: .1."""

    def answers(seed, shares):
        parts = []
        for (role, condition), share in shares.items():
            right = np.arange(100) < round(100 * share)
            np.random.default_rng([seed, len(role), len(condition)]).shuffle(right)
            parts.append(make(right, role=role, condition=condition))
        return join(*parts)

    levels = {("contrast", "c50"): 0.85, ("contrast", "c10"): 0.55, ("contrast", "c03"): 0.2, ("low-pass", "15"): 0.1}
    people = {f"subject-{i}": answers(i, levels) for i in range(3)}
    own = answers(9, dict.fromkeys(levels, 0.5) | {("contrast", "c03"): 0.3, ("low-pass", "15"): 0.1})
    scores = SUITE.against.scores(None, own, people)
    regimes = {"reference": ["c50"], "near": ["c10"], "extreme": ["c03", "15"]}
    assert {s.condition for s in scores if s.metric == "regime_consistency"} == set(regimes)
    assert find(scores, "regime_accuracy", "", "extreme").value == pytest.approx(0.2)
    for regime, names in regimes.items():
        score = find(scores, "regime_consistency", "", regime)
        roles = {"15": "low-pass"}
        kappas = [find(scores, "error_consistency", roles.get(name, "contrast"), name).value for name in names]
        assert score.value == pytest.approx(np.mean(kappas)) and score.low <= score.value <= score.high
        assert score.n == 100 * len(names) and score.flags[0].startswith(f"{len(names)} condition")


def scored(network, people):
    found = people_scores(None, network, {f"subject-{i:02} (lab)": one for i, one in enumerate(people)})
    return {(one.role, one.condition): one for one in found if one.metric == "margin_consistency"}


def test_it_is_the_correlation_with_the_share_of_people_who_are_right():
    rng = np.random.default_rng(3)
    ease = rng.normal(size=40)
    right = [ease + rng.normal(size=40) > 0 for _ in range(5)]
    margin = ease + rng.normal(size=40)
    order = rng.permutation(40)
    network = build(margin > 0, "sketch", "", margin=margin)
    network = Trials(columns={name: values[order] for name, values in network.columns.items()})
    found = scored(network, [build(one, "sketch", "") for one in right])
    expected = np.corrcoef(margin, np.mean(right, axis=0))[0, 1]
    assert found["", ""].value == pytest.approx(expected, abs=1e-12)
    assert found["sketch", "kept"].value == found["", ""].value
    assert found["", ""].low < expected < found["", ""].high and found["", ""].n == 40
    assert "1 of 17 experiments" in found["", ""].flags and found["", ""].method == "bootstrap: images"


@pytest.mark.parametrize("margin", [None, np.full(40, 2.0), np.full(40, np.nan)])
def test_without_margins_or_spread_there_is_none(margin):
    right = np.arange(40) % 2 == 0
    network = build(right, "sketch", "", **({} if margin is None else {"margin": margin}))
    assert scored(network, [build(right, "sketch", ""), build(~right, "sketch", "")]) == {}


def test_a_correlation_with_weights_is_that_of_repeated_values_and_reliability_is_cronbachs_alpha():
    rng = np.random.default_rng(1)
    x, y, counts = rng.normal(size=6), rng.normal(size=6), np.array([1, 2, 3, 1, 4, 2])
    (found,) = weighted_correlation(counts[None, :].astype(float), x[None, :], y[None, :])
    assert found == pytest.approx(np.corrcoef(np.repeat(x, counts), np.repeat(y, counts))[0, 1])
    rng = np.random.default_rng(4)
    right = rng.random((50, 4)) < rng.random((50, 1))
    items = right.astype(float)
    alpha = 4 / 3 * (1 - items.var(axis=0).sum() / items.sum(axis=1).var())
    assert reliability(np.ones((1, 50)), right) == pytest.approx([alpha])
    twice = np.repeat(right, 2, axis=0)
    assert reliability(np.ones((1, 100)), twice) == pytest.approx(reliability(np.full((1, 50), 2.0), right))
    assert reliability(np.ones((1, 50)), right[:, :1]) == [0]
