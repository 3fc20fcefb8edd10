"""No input ends in a traceback: damaged leaderboards and odd words, by seeds. `fuzzing` says what is tried."""

import os
import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fuzzing import READERS, damaged, ended, sentence, unseen

QUICK, SLOW = 120, 2_000


def leaderboards(board, folder, seeds, readers=READERS):
    """Damage and read once per seed; how often each kind of damage was an error."""
    content, path = Path(board).read_bytes(), folder / "damaged.db"
    refused, failed = Counter(), []
    for seed in seeds:
        random = np.random.default_rng([11, seed])
        for end in ("", "-wal", "-shm"):
            Path(f"{path}{end}").unlink(missing_ok=True)
        how = damaged(content, random, path)
        words = readers[int(random.integers(len(readers)))]
        code, text, trace = ended([*words, str(path)] if words[-1] == "into.db" else [*words, "--db", str(path)])
        refused[how] += code != 0
        if trace or unseen(text):
            failed.append((seed, how, words, trace or unseen(text)))
    return refused, failed


def arguments(seeds):
    """Run one sentence per seed; exit codes by number."""
    codes, failed = Counter(), []
    for seed in seeds:
        words = sentence(np.random.default_rng([12, seed]))
        code, text, trace = ended(words)
        codes[code] += 1
        if trace or unseen(text):
            failed.append((seed, words, trace or unseen(text)))
    return codes, failed


@pytest.fixture
def workplace(board, tmp_path, monkeypatch):
    """A working directory with a leaderboard."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(board, tmp_path / "results.db")
    return tmp_path


@pytest.mark.slow
def test_damaged_leaderboards_are_one_line(board, workplace):
    for readers, count in ((READERS, QUICK), ([("db", "merge", "--into", "into.db")], QUICK // 4)):
        refused, failed = leaderboards(board, workplace, range(count), readers)
        assert failed == [] and sum(refused.values()) > count / 5


@pytest.mark.slow
def test_odd_words_are_one_line(workplace):
    codes, failed = arguments(range(QUICK))
    assert failed == [] and set(codes) <= {0, 1, 2, 3} and codes[2] > QUICK / 5


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_many_are_one_line(board, workplace, part):
    seeds = range(QUICK + part * SLOW // 20, QUICK + (part + 1) * SLOW // 20)
    assert leaderboards(board, workplace, seeds)[1] == []
    assert arguments(seeds)[1] == []


@pytest.mark.slow
@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_what_is_no_file_is_one_line(workplace, words):
    os.mkfifo("pipe")
    Path("folder").mkdir()
    Path("loop").symlink_to("loop")
    sqlite3.connect("other.db").execute("CREATE TABLE bookmarks (name TEXT)").connection.close()
    for name in ("pipe", "folder", "loop", "other.db", "/dev/null", "/dev/zero", "folder/x/y.db"):
        code, text, trace = ended([*words, "--db", name])
        assert (trace, unseen(text)) == ("", set())
        not_there = name in ("loop", "folder/x/y.db")
        assert code == 1 or (not_there and words[0] in ("run", "doctor")), (name, text)
