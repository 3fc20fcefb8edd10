"""A third party's package: its suite runs, ranks and is checked; a broken one is named and stops nobody."""

from functools import partial

import pytest

SUITE = """
from benchmark.contracts import Block, Metric, Plan, Score, Suite


def plan(config, shelf):
    return Plan((Block(shelf.find("edges"), role="edges"),))


def observe(config, view):
    return {"response": view.responses}


def score(config, trials):
    if not len(trials):
        return [Score("hits", None, "no trials", role="edges")]
    right = trials["response"] == trials["category"]
    return [Score("hits", float(right.mean()), n=len(trials), role="edges")]


SUITE = Suite(
    name="third-party",
    version=1,
    summary="share of hits on edge drawings",
    needs="decisions",
    metrics=(Metric("hits", "hits", "answers with the category", role="edges", headline=True),),
    plan=plan,
    observe=observe,
    score=score,
    spaces=("world16",),
)
"""
BROKEN = """
import does_not_exist_anywhere
"""
OTHERS = """
TYPE = {"name": "wrong-type"}
from third_party.good import SUITE as NAME
"""
ENTRIES = """[bench.suites]
third-party = third_party.good:SUITE
does-not-import = third_party.broken:SUITE
wrong-type = third_party.others:TYPE
wrong-name = third_party.others:NAME
no-attribute = third_party.good:NOTHING
"""
BROKEN_NAMES = {
    "does-not-import": "does_not_exist_anywhere",
    "wrong-type": "expected a gestaltbench.contracts.Suite, got dict",
    "wrong-name": "third-party",
    "no-attribute": "NOTHING",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder as pip --target leaves it: a package and its metadata."""
    folder = tmp_path_factory.mktemp("site")
    package, info = folder / "third_party", folder / "third_party-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").touch()
    (package / "good.py").write_text(SUITE)
    (package / "broken.py").write_text(BROKEN)
    (package / "others.py").write_text(OTHERS)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    return folder


@pytest.fixture
def plugged(site, bench_with):
    """How each `bench COMMAND` ended in a process that has the package installed."""
    return partial(bench_with, site)


@pytest.mark.slow
def test_its_suite_runs_and_ranks_beside_ours(plugged):
    ran, ranked = plugged(
        "run -m ideal-shape,ideal-constant -s third-party,cue-conflict --limit 16", "rank -s third-party --by hits"
    )
    assert ran.returncode == 0, ran.stderr
    assert "models by suites" in ran.stdout
    assert "third-party" in ran.stdout and "cue-conflict" in ran.stdout
    assert "left out" not in ran.stderr  # nobody asked for them
    assert ranked.returncode == 0 and "ideal-shape" in ranked.stdout
    assert "1.0000" in ranked.stdout


@pytest.mark.slow
def test_its_suite_is_listed_shown_and_checked(plugged):
    listed, checked = plugged("suites", "suites check third-party")
    assert listed.returncode == 1
    assert "third-party" in listed.stdout and "cue-conflict" in listed.stdout
    for name, reason in BROKEN_NAMES.items():
        (line,) = [line for line in listed.stdout.splitlines() if line.startswith(name)]
        assert "BROKEN" in line and reason in line
    assert checked.returncode == 0, checked.stdout
    assert "FAIL" not in checked.stdout and "Traceback" not in checked.stderr


@pytest.mark.slow
def test_a_broken_suite_that_is_asked_for_is_an_error(plugged):
    every = plugged(*(f"run -m ideal-shape -s {name}" for name in BROKEN_NAMES))
    for name, ended in zip(BROKEN_NAMES, every, strict=True):
        assert ended.returncode == 1
        assert ended.stderr.startswith(f"bench: suite '{name}'") and ended.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_run_of_all_suites_names_those_that_it_lacks(plugged):
    (ended,) = plugged("run -m ideal-shape --limit 1 --dry-run")
    for name, reason in BROKEN_NAMES.items():
        (line,) = [line for line in ended.stderr.splitlines() if f"'{name}' is left out" in line]
        assert reason in line
