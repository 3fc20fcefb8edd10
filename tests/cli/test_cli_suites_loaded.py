"""What reads a leaderboard loads the suites that have something in it, and no other."""

import pytest

from benchmark import plugins


@pytest.mark.parametrize(
    "words",
    [
        ("show", "world-standard-0"),
        ("provenance", "world-standard-0"),
        ("compare", "world-standard-0", "world-stylised-0"),
        ("compare", "world-standard-0", "world-*", "--suite", "all"),
        ("rank", "--summary", "--baseline", "world-stylised-0"),
        ("export", "--scores"),
    ],
    ids=" ".join,
)
def test_a_suite_without_scores_is_not_loaded(words, bench, board, monkeypatch):
    loaded, load = [], plugins._load
    monkeypatch.setattr(plugins, "_load", lambda entry: loaded.append(entry.name) or load(entry))
    ended = bench(*words, "--db", board)
    assert ended.code == 0 and "world-standard-0" in ended.out, ended.err
    assert set(loaded) == {"cue-conflict"}
