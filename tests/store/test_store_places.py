"""Where a leaderboard may be, and what is said where it cannot be."""

import contextlib
import os
import sqlite3
import stat
import tempfile
from pathlib import Path

import pytest

from benchmark.failures import StoreError
from benchmark.store import open_store
from benchmark.store.versions import is_there
from benchmark.variables import read_settings

NOBODY = 65534
OPEN_AS_NOBODY = f"""if True:
    import os, sys
    from benchmark.store import open_store
    from benchmark.failures import StoreError
    if os.getuid() == 0:  # root may write everywhere
        os.setgid({NOBODY}); os.setuid({NOBODY})
    try:
        with open_store(sys.argv[1], write=sys.argv[2] == "write") as store:
            print(len(store.latest_scores()), "scores,", len(store.trials(["k1"])), "trials")
    except StoreError as error:
        print(error)
"""


def test_a_path_makes_a_file_and_reading_never_does(path):
    with pytest.raises(StoreError, match=r"no leaderboard at .*results\.db: `bench run` makes one"):
        open_store(str(path), write=False)
    assert not path.exists()
    with open_store(str(path)) as store:
        assert store.place == str(path)
    assert path.exists() and not path.with_name("results.db-wal").exists()  # tidied up
    path.write_bytes(b"")
    with pytest.raises(StoreError, match="no leaderboard at"):
        open_store(str(path), write=False)
    assert path.stat().st_size == 0 and not is_there(str(path))  # another process may be making it


@pytest.mark.parametrize(("given", "message"), [
    ("mysql://u:secret@h/x", "not in 'mysql'"), ("sqlite://", "not in 'memory'"), ("://", "not a database URL"),
    ("{tmp}", "is not a regular file"),
    ("{tmp}/none/results.db", "none does not exist"),
    ("{tmp}/ring", "ring cannot be used: Too many levels of symbolic links"),
    ("{tmp}/" + 300 * "a", "cannot be used: File name too long"),
    ("postgresql://u:p@secret@127.0.0.1:1/x", "password is written %40"),
])  # fmt: skip
def test_places_that_cannot_be(tmp_path, given, message):
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    with pytest.raises(StoreError, match=message) as caught:
        open_store(given.format(tmp=tmp_path))
    assert "secret" not in str(caught.value)


def test_a_leaderboard_may_lie_in_the_programs_own_folder_before_that_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "data" / "home"))
    open_store(read_settings(str(tmp_path / "data" / "home" / "results.db")).db).close()


def test_a_file_of_another_program_stays_as_it_is(path):
    """Also how it keeps its log, which SQLite notes in the file."""
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE runs (id INTEGER)")
        file.commit()
    before = path.read_bytes()
    for create in (True, False):
        with pytest.raises(StoreError, match="another program"):
            open_store(str(path), create=create)
        assert path.read_bytes() == before
        assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("size", "write"), [(30, True), (1000, False), (1, True), (1, False)])
def test_not_a_data_base(path, size, write):
    path.write_bytes(os.urandom(size).replace(b"S", b"x"))
    with pytest.raises(StoreError, match=r"results\.db is not a leaderboard or is damaged"):
        open_store(str(path), write=write)


@pytest.fixture
def shared(made):
    """A leaderboard in a folder that everyone may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "results.db"
        with open_store(str(path)) as store:
            _, observer = made.world(store)
            run = made.answers(store, "k1", observer)
            store.put_scores(run, made.score_set(observer), [made.score()])
        path.chmod(0o644)
        yield path
        Path(folder).chmod(0o755)


def as_nobody(python, path, mode):
    here = Path(__file__)
    if os.getuid() != 0:
        path.chmod(0o444)
    elif not all(one.stat().st_mode & stat.S_IROTH for one in (here, *here.parents)):
        pytest.skip("this checkout is closed to other users")
    process = python(OPEN_AS_NOBODY, path, mode)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return out.strip()


@pytest.mark.slow
def test_a_read_only_leaderboard_is_read_and_not_written(shared, python):
    shared.parent.chmod(0o777)
    told = as_nobody(python, shared, "write")
    assert told.startswith(f"the leaderboard {shared} is read-only: change its permissions")
    assert "--db" in told
    shared.parent.chmod(0o555)
    assert as_nobody(python, shared, "read") == "1 scores, 10 trials"


def test_no_password_is_stored(path):
    """Neither of a command line nor of what ended the run."""
    url = "postgresql://me:s3cret@host/db"
    with open_store(str(path)) as store:
        run = store.begin_run(f"bench run --db {url}", {"device": "cpu"})
        store.end_run(run, "failed", f"the leaderboard {url}?password=s3cret cannot be used")
    kept = path.read_bytes()
    assert b"s3cret" not in kept
    assert b"postgresql://me:***@host/db" in kept
