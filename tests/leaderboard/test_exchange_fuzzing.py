"""Seeded fuzzing of leaderboards that somebody else wrote: documents that are imported, files that are merged.

Each input is taken or refused with one clear error, never with a traceback. What is refused leaves nothing behind, and
what is taken can be read again by the boards and the export.
"""

import copy
import json
import shutil
import sqlite3
from collections import Counter

import numpy as np
import pytest

from benchmark import api
from benchmark.contracts import Observer
from benchmark.errors import BenchError
from benchmark.store import open_store
from tests.cli.fuzzing import damaged
from tests.report.conftest import score_set, scores_of, stimuli_of

QUICK, PARTS, SLOW = 20, 10, 2_000
SCRAPS = (
    None, True, False, "", " ", "x", "\x1b[2J", "\u202e", "\ud800", "a\0b", "[red]x[/red]", "../../x", "*", "a,b",
    "<script>", "x" * 30_000, "bench run; touch ran", 0, -1, 1, 2, 0.5, 7.5, -1e-9, 1e308, float("nan"), float("inf"),
    10**40, 2**53, [], [[]], {}, {"": ""}, {"a": {"b": [1, "x", None]}}, json.loads("[" * 40 + "]" * 40),
)  # fmt: skip


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """A folder with a laboratory's leaderboard, theirs.db, and its document, lab.json."""
    folder = tmp_path_factory.mktemp("theirs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(folder / "home"))
        db = str(folder / "theirs.db")
        with open_store(db) as store:
            run = store.begin_run("bench run -m theirs", {"device": "cpu"})
            store.put_stimuli(stimuli_of("cue-conflict"))
            for at in range(2):
                card = {"training": ["standard"], "arch": "timm:resnet50"}
                observer = store.put_observer(Observer(f"net-{at}", "network", f"{at:064x}", card))
                rows = list(scores_of("cue-conflict", at))
                store.put_scores(run, score_set(observer, "cue-conflict"), rows)
            store.end_run(run, "done")
        plain = api.document(db=db).model_dump(mode="json")
        (folder / "lab.json").write_text(json.dumps(plain))
        with open_store(str(folder / "empty.db")):
            pass
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mutated(text, random):
    """The text of a document after one or two accidents or attacks."""
    if random.random() < 0.15:
        at = sorted(int(x) for x in random.integers(len(text), size=2))
        return text[: at[0]] + (text[at[1] :] if random.random() < 0.5 else "")
    plain = json.loads(text)
    for _ in range(int(random.integers(1, 3))):
        change(plain, random)
    return json.dumps(plain)


def change(plain, random):
    """One value, somewhere, is another, gone, there twice, or under another name."""
    at = plain
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return
        key = keys[int(random.integers(len(keys)))]
        if isinstance(at[key], dict | list) and at[key] and random.random() < 0.9:
            at = at[key]
            continue
        break
    kind = random.random()
    if kind < 0.6:
        at[key] = copy.deepcopy(SCRAPS[int(random.integers(len(SCRAPS)))])
    elif kind < 0.75:
        del at[key]
    elif isinstance(at, list):
        at.append(copy.deepcopy(at[key]))
    else:
        at[str(SCRAPS[int(random.integers(4, 17))])] = at.pop(key)


def imported(theirs, folder, seeds):
    """Import one changed document per seed into an empty leaderboard; what became of them."""
    text, path, db = (theirs / "lab.json").read_text(), folder / "lab.json", folder / "mine.db"
    ended = Counter()
    for seed in seeds:
        path.write_text(mutated(text, np.random.default_rng([21, seed])))
        begin(theirs, db)
        try:
            report = api.import_leaderboard(path, db=str(db))
        except BenchError as error:
            assert len(str(error)) < 1_000 and str(error).isprintable(), (seed, str(error))
            assert scores_in(db) == 0, seed
            ended["refused"] += 1
            continue
        ended["taken" if report.scores else "left out"] += 1
        assert scores_in(db) >= report.scores, seed
        api.rank(db=str(db))
        assert len(api.document(db=str(db)).scores) == scores_in(db), seed
    print(f"{len(seeds)} documents: {dict(ended)}")
    return ended


def cleared(db):
    """No data base of that name, and no log of one: a reader who is the last to leave leaves it behind."""
    for end in ("", "-wal", "-shm"):
        db.with_name(db.name + end).unlink(missing_ok=True)


def begin(theirs, db):
    """An empty leaderboard."""
    cleared(db)
    shutil.copy(theirs / "empty.db", db)


def scores_in(db):
    with sqlite3.connect(db) as connection:
        return connection.execute("SELECT count(*) FROM scores").fetchone()[0]


def merged(theirs, folder, seeds):
    """Merge one damaged leaderboard per seed into an empty one; what became of them."""
    content, path, db = (theirs / "theirs.db").read_bytes(), folder / "damaged.db", folder / "i.db"
    ended = Counter()
    for seed in seeds:
        cleared(path)
        begin(theirs, db)
        damaged(content, np.random.default_rng([22, seed]), path)
        try:
            api.merge([str(path)], str(db))
        except BenchError as error:
            assert len(str(error)) < 1_000, seed
            ended["refused"] += 1
        else:
            ended["merged"] += 1
        assert api.check_db(str(db)) == [], seed
    print(f"{len(seeds)} damaged leaderboards merged: {dict(ended)}")
    return ended


@pytest.mark.slow
def test_changed_documents_are_taken_or_refused_whole(theirs, home):
    ended = imported(theirs, home, range(QUICK))
    assert ended["refused"] > QUICK / 3 and ended["taken"] > 0


@pytest.mark.slow
def test_damaged_leaderboards_are_merged_or_refused(theirs, home):
    ended = merged(theirs, home, range(QUICK // 4, QUICK // 2))
    assert ended["refused"] > 0 and ended["merged"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_many_changed_documents_are_taken_or_refused_whole(theirs, home, part):
    size = SLOW // PARTS
    imported(theirs, home, range(QUICK + part * size, QUICK + (part + 1) * size))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_many_damaged_leaderboards_are_merged_or_refused(theirs, home, part):
    size = SLOW // PARTS // 4
    merged(theirs, home, range(QUICK + part * size, QUICK + (part + 1) * size))
