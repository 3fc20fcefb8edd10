"""Variants of a suite: named, checked, never part of "all", and found again by the names in a leaderboard."""

from dataclasses import replace

import pytest

from benchmark.contracts import EarlyStop, Metric, Plan, Suite
from benchmark.failures import PluginError, UnknownName
from benchmark.plugins import SuiteShelf, known_suites, named_suite, requested_suites, select_suites


def made(name, **changes):
    return Suite(
        name=name, version=1, summary="", needs="decisions",
        metrics=(Metric(name="hits", title="hits", definition="hits", headline=True),),
        plan=lambda _config, _shelf: Plan(()), observe=lambda *_: {}, score=lambda *_: [], **changes,
    )  # fmt: skip


def within(target):
    return replace(PLAIN, name=f"plain:within-{target:g}", config=target)


PLAIN = made("plain")
STRONG = replace(PLAIN, name="plain:strong", config="strong")
SHELF = SuiteShelf(
    {"plain": replace(PLAIN, variants={"strong": STRONG}, stopping=EarlyStop(within=within)), "other": made("other")},
    {"torn": "does not load"},
)


def names(suites):
    return [suite.name for suite in suites]


def test_all_means_plain_suites_and_a_variant_is_chosen_by_name():
    assert names(select_suites("all", SHELF)) == ["plain", "other"]
    assert names(select_suites("plain:strong, other", SHELF)) == ["plain:strong", "other"]
    assert named_suite("plain:within-0.02", SHELF).config == 0.02


@pytest.mark.parametrize(("name", "error", "text"), [
    ("plain:strongg", UnknownName, "plain:strong"), ("plian:strong", UnknownName, "plain"),
    ("other:within-0.1", UnknownName, "other:within-0.1"), ("plain:within-much", PluginError, "between 0 and 0.5"),
    ("plain:within-0.7", PluginError, "between 0 and 0.5"), ("torn:any", PluginError, "does not load"),
])  # fmt: skip
def test_what_is_not_there(name, error, text):
    with pytest.raises(error, match=text):
        named_suite(name, SHELF)


def test_a_precision_target_goes_to_those_that_can_stop():
    assert names(requested_suites("all", 0.01, SHELF)) == ["plain:within-0.01", "other"]
    with pytest.raises(PluginError, match="none of other"):
        requested_suites("other", 0.01, SHELF)


def test_a_leaderboard_shows_its_variants():
    stored = ["other", "plain", "plain:strong", "plain:within-0.01", "gone:strong", "plain:gone"]
    assert list(known_suites(stored, SHELF)) == ["plain", "other", "plain:strong", "plain:within-0.01"]
