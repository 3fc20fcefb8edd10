"""Claims on recipes: held, refuted, open; stated before or after."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from test_recipe_effects import SIDES, seeds

from benchmark.failures import BenchError
from benchmark.leaderboard import recipe_effects as effects
from benchmark.leaderboard.recipe_effects import PAPERS, RecipeClaim, TriedClaim, claims_table, read_claims, tried


@pytest.fixture(scope="module")
def found():
    """Three networks of a recipe answer right .3 more often than their partners."""
    right = np.random.default_rng(5).random((400, 6)) < [0.4, 0.41, 0.39, 0.7, 0.71, 0.69]
    return effects.compared_recipes([seeds(right)], SIDES)[0]


CLAIM = RecipeClaim(claim="it helps", over="stylised", suite="s", stated=date(2026, 1, 2), networks=5)


@pytest.mark.parametrize(("change", "verdict"), [
    ({}, "held"), ({"margin": 0.1}, "held"), ({"margin": 0.3}, "open"), ({"margin": 0.6}, "refuted"),
    ({"direction": "lower"}, "refuted"),
], ids=str)  # fmt: skip
def test_a_claim_is_held_beyond_its_margin_and_refuted_below_it(found, change, verdict):
    (one,) = tried([TriedClaim(claim=replace(CLAIM, **change), found=found)])
    assert one.verdict == verdict
    row = dict(zip([f.key for f in claims_table([one]).fields], claims_table([one]).rows[0], strict=True))
    assert row["verdict"] == verdict and row["difference"].value == pytest.approx(found.row.comparison.difference)
    assert row["difference"].low == pytest.approx(found.row.comparison.low, abs=1e-9)
    assert "planned for 5 networks of each recipe" in row["difference"].flags and row["over"] == "3 pairs by seed"


def test_families_are_adjusted_and_what_no_network_tells_is_open(found):
    pair = tried([TriedClaim(claim=CLAIM, found=found), TriedClaim(claim=CLAIM, found=found)])
    apart = tried([TriedClaim(claim=replace(CLAIM, family=name), found=found) for name in "ab"])
    assert pair[0].test.p_holm == pytest.approx(2 * apart[0].test.p_holm)
    missing = TriedClaim(claim=CLAIM, found=None, reason="nobody")
    assert tried([missing])[0].verdict == "open" and claims_table([missing]).rows[0][4].reason == "nobody"


@pytest.mark.parametrize(("stated", "first", "before"), [
    ("2026-01-02", "2026-01-03T08:00:00+00:00", True), ("2026-01-02", "2026-01-02T23:00:00+00:00", False),
    ("2026-01-02", "", False),
])  # fmt: skip
def test_a_claim_is_stated_before_the_first_trial_or_looked_for_after_it(found, stated, first, before):
    claim = replace(CLAIM, stated=date.fromisoformat(stated))
    assert TriedClaim(claim=claim, found=found, first=first).before is before


@pytest.mark.parametrize(("text", "said"), [
    ("a: 1", "expected a list of claims"), ("[]", "expected a list"), ("[1]", "expected a list"),
    ("- {claim: x, over: a, suite: s}", "claim 1: field 'stated' is missing"),
    ("- {claim: x, over: a, suite: s, stated: '2026'}", "field 'stated'"),
    ("- {claim: x, over: a, suite: s, stated: '2026-01-02', direction: up}", "field 'direction'"),
    ("- {claim: x, over: a, suite: s, stated: '2026-01-02', word: 1}", "no such field"),
])  # fmt: skip
def test_a_file_that_is_no_list_of_claims_is_refused_in_a_line(tmp_path, text, said):
    file = tmp_path / "claims.yaml"
    file.write_text(text)
    with pytest.raises(BenchError, match=said):
        read_claims(file)


def test_the_papers_claims_are_such_a_file():
    claims = read_claims(PAPERS)
    suites = {"cue-conflict", "corruption", "adversarial", "saliency", "human-comparison"}
    assert {claim.suite for claim in claims} == suites
