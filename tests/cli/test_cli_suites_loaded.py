"""What reads a leaderboard loads the suites that have something in it, and no other."""

import pytest

from benchmark import plugins
from benchmark.report.contents import read_contents
from benchmark.variables import read_settings


@pytest.fixture
def loaded(monkeypatch):
    """Names of suites, as they are loaded."""
    names, load = [], plugins._load
    monkeypatch.setattr(plugins, "_load", lambda entry: names.append(entry.name) or load(entry))
    return names


@pytest.mark.parametrize(
    "words",
    [
        ("show", "world-standard-0"),
        ("show", "--provenance", "world-standard-0"),
        ("compare", "world-standard-0", "world-stylised-0"),
        ("compare", "world-standard-0", "world-*", "--suite", "all"),
        ("rank", "--summary", "--baseline", "world-stylised-0"),
        ("export", "--scores"),
    ],
    ids=" ".join,
)
def test_a_suite_without_scores_is_not_loaded(words, bench, board, loaded):
    ended = bench(*words, "--db", board)
    assert ended.code == 0 and "world-standard-0" in ended.out, ended.err
    assert set(loaded) == {"cue-conflict"}


def test_a_report_loads_no_suite_without_scores(board, loaded):
    assert [suite.name for suite in read_contents(read_settings(board)).suites] == ["cue-conflict"]
    assert set(loaded) == {"cue-conflict"}
