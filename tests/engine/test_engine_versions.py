"""A component whose code is as it was checked stands in a key by its version, and any other code by itself."""

from dataclasses import replace

import pytest

from benchmark.contracts import Block, Policy
from benchmark.identity import Codes, observation_key, score_code
from benchmark.plugins import find_suites
from benchmark.testing import toy_stimuli
from benchmarks import versions
from registry.code.components import COMPONENTS, Locked, component_digest, tree_stamp

SUITE = find_suites().suites["cue-conflict"]
BLOCK = Block(toy_stimuli("cue-conflict"), role="cue-conflict")


@pytest.fixture(scope="module")
def now():
    """Every component as its code is, at version 1."""
    stamp = tree_stamp()
    digests = {label: component_digest(label, stamp) for label in COMPONENTS}
    return {label: Locked(1, "since", digest) for label, digest in digests.items()}


def keys(lock):
    return (
        observation_key("weights", BLOCK, SUITE, Policy(), Codes(lock=lock)),
        score_code(SUITE, Codes(lock=lock)),
    )


def test_code_that_is_as_it_was_checked_stands_by_its_version(now):
    refactored = {label: replace(one, digest=one.digest) for label, one in now.items()}
    assert Codes(lock=now).component("answers") == "answers@1:since"
    assert keys(refactored) == keys(now)


@pytest.mark.parametrize(
    ("label", "seen"),
    [
        ("answers", (True, False)),
        pytest.param("cue-conflict.observe", (True, False), marks=pytest.mark.slow),
        ("cue-conflict.score", (False, True)),
        pytest.param("scoring", (False, True), marks=pytest.mark.slow),
        pytest.param("imagenet-c", (False, False), marks=pytest.mark.slow),
    ],
)
def test_a_raised_version_and_edited_code_are_new_work_where_they_count(now, label, seen):
    raised = {**now, label: replace(now[label], version=2)}
    edited = {**now, label: replace(now[label], digest="of other code")}
    for lock in (raised, edited):
        assert tuple(a != b for a, b in zip(keys(lock), keys(now), strict=True)) == seen
    assert keys(raised) != keys(edited) or not any(seen)


def test_two_forks_that_raise_the_same_version_do_not_meet(now):
    forks = [{**now, "answers": replace(now["answers"], version=2, since=by)} for by in "ab"]
    assert keys(forks[0])[0] != keys(forks[1])[0]


def test_a_check_keeps_the_version_of_equal_numbers_and_raises_that_of_others(now, monkeypatch):
    monkeypatch.setattr(
        versions, "golden", lambda label: {"x": [2.0 if label == "scoring" else 1.0]}
    )
    kept = {label: {"x": [1.0]} for label in COMPONENTS}
    lock = {label: replace(one, version=3, digest="older") for label, one in now.items()}
    lock["answers"] = now["answers"]
    made = {
        label: locked for label, locked, _ in versions.checked(["tiny-networks"], False, lock, kept)
    }
    assert made["answers"] == now["answers"]
    assert made["statistics"] == replace(now["statistics"], version=3)
    assert (made["scoring"].version, kept["scoring"]) == (4, {"x": [2.0]})
    assert made["scoring"].since == now["scoring"].digest[:16]
    assert made["tiny-networks"].version == 4


def test_golden_outputs_differ_by_more_than_rounding_or_not_at_all():
    assert versions.close("answers", {"a": [1.0]}, {"a": [1.0005]})
    assert not versions.close("answers", {"a": [1.0]}, {"a": [1.005]})
    assert not versions.close("statistics", {"a": [1.0]}, {"a": [1.0005]})
    assert not versions.close("answers", {"a": [1.0]}, {"b": [1.0]})
