"""A PostgreSQL server that goes away while a leaderboard on it is in use."""

import sqlite3
import threading
import time
from dataclasses import replace

import pytest
import sqlalchemy as sa

from benchmark import api
from benchmark.failures import StoreError
from benchmark.store import db_errors, open_store
from benchmark.store.db_errors import Unavailable, as_store_errors, retry
from benchmark.store.location import parse_location

SHOWN = parse_location("postgresql://me:s3cret@host/db").shown


class OperationalError(Exception):
    def __init__(self, sqlstate=None):
        super().__init__("no server at 'me:e'")
        self.sqlstate = sqlstate


def test_a_server_that_is_gone_is_waited_for_but_not_for_ever(monkeypatch, logged):
    left, waited = [Unavailable("gone")] * 3, []
    monkeypatch.setattr(db_errors.time, "sleep", waited.append)
    monkeypatch.setattr(db_errors.time, "monotonic", lambda: sum(waited))

    def work():
        if left:
            raise left.pop()
        return "done"

    assert retry(work, SHOWN) == "done"
    assert waited == [0.1, 0.2, 0.4]
    assert logged == [
        "gone: waiting for it, at most 300 s",
        "the leaderboard postgresql://me:***@host/db can be used again",
    ]
    waited.clear()
    left += [Unavailable("gone")] * 1000
    with pytest.raises(StoreError, match=r"gone; waited 300 s for it\. What is stored is kept"):
        retry(work, SHOWN)
    assert 300 <= sum(waited) <= 305


def test_what_says_that_a_server_is_gone():
    """Not a deadlock, a full disk, a missing right, a wrong password: these a server that is there refuses. A password
    is hidden, and words with its letters are not."""
    place, gone = parse_location("postgresql://me:e@host/db"), (None, "57P01", "57P03", "08006", "53300")
    for state in (*gone, "40P01", "53100", "42501", "28P01"):
        said = "the leaderboard postgresql://me:\\*\\*\\*@host/db cannot be used: .*no server at 'me:\\*\\*\\*'"
        with pytest.raises(StoreError, match=said) as caught, as_store_errors(place):
            raise sa.exc.OperationalError("", None, OperationalError(state))
        assert isinstance(caught.value, Unavailable) == (state in gone)


def test_a_file_that_is_held_for_long_is_waited_for_by_writers_alone(path, made, monkeypatch, logged):
    """Many writers on a machine that is busy otherwise: SQLite itself gives up after a while."""
    monkeypatch.setattr("benchmark.store.connection.LOCK_TIMEOUT", 0.05)
    with open_store(str(path)) as store:
        made.world(store)
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with open_store(str(path), write=False) as reader:
            assert len(reader.observers()) == 1 and logged == []  # whoever waits is told so
        monkeypatch.setattr(db_errors.time, "sleep", lambda _: holder.execute("ROLLBACK"))
        assert store.begin_run("bench run", {})
        holder.close()
    first, last = logged
    assert "was held by another process for more than 30 s: waiting for it, at most 300 s" in first
    assert last.endswith("results.db can be used again")


@pytest.mark.slow
def test_a_crash_in_the_middle_of_writing(server, made, logged):
    """The writer waits for the server's restart, and every chunk is there once."""
    url = server.create("restarted")
    written = threading.Event()

    def restart():
        written.wait(60)
        server.stop("immediate")
        time.sleep(0.5)
        server.start()

    thread = threading.Thread(target=restart, daemon=True)
    thread.start()
    with open_store(url) as store:
        run, observer = made.world(store)
        store.put_observation(run, made.observation("k1", observer, n=10))
        number = 0
        while number < 200 or thread.is_alive():  # before, while and after it is away
            key = f"more-{number}"
            store.put_observation(run, made.observation(key, observer, n=4))
            store.put_chunks(run, [made.chunk(key, 0, n=4)])
            number += 1
            if number == 100:
                written.set()
        assert len(store.observations()) == number + 1
        assert len(store.trials([f"more-{i}" for i in range(number)])) == 4 * number
    assert "waiting for it, at most 300 s" in logged[0]
    assert logged[-1].endswith("can be used again")


@pytest.mark.slow
def test_a_run_whose_connection_is_ended_at_every_statement_and_commit_ends_equal(server, tmp_path, monkeypatch):
    """From the first statement on: one that came while the leaderboard was opened ended the run."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    monkeypatch.setattr(db_errors, "_LONGEST_PAUSE", 0.02)
    urls, ended, killed = [server.create(name) for name in ("left_alone", "ended")], [""], set()

    def end_it(connection, cursor=None, statement="COMMIT", *_):
        made = statement.split()[:2] if "CREATE" in statement else [statement]  # of 15 tables one
        place = f"{ended[-1]} COMMIT" if statement == "COMMIT" else " ".join(made)
        ended.append(statement)
        if connection.engine.url.database == "ended" and place not in killed:
            killed.add(place)
            admin.execute("SELECT pg_terminate_backend(%s)", [connection.connection.driver_connection.info.backend_pid])
            time.sleep(0.01)

    psycopg, shown = pytest.importorskip("psycopg"), []
    with psycopg.connect(server.url(), autocommit=True) as admin:
        sa.event.listen(sa.Engine, "before_cursor_execute", end_it)
        sa.event.listen(sa.Engine, "commit", end_it)
        try:
            for url in urls:
                assert api.run(db=url, models="ideal-shape", suites="cue-conflict", limit=6).exit_code == 0
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", end_it)
            sa.event.remove(sa.Engine, "commit", end_it)
    assert len(killed) > 30
    for url in urls:
        with open_store(url, write=False) as store:
            assert store.problems() == []
            scores = [row._replace(created="", set_id="") for row in store.latest_scores()]
            keys = [one.key for one in store.observations()]
            shown.append((scores, keys, store.trials(keys)["response"].tolist()))
    assert shown[0] == shown[1] and shown[0][0]
    counts = [api.db_status(url).counts for url in urls]
    assert counts[0] == counts[1]


@pytest.mark.slow
def test_a_data_base_without_an_encoding(server, made):
    """The driver gives bytes for its texts, unless it is told how to read them."""
    with open_store(server.create("plain", "SQL_ASCII")) as store:
        made.world(store)
        store.put_observer(made.observer("größe"))
        assert [one.name for one in store.observers()] == ["größe", "net"]


@pytest.mark.slow
def test_names_have_one_order_whatever_the_servers_language(server, made):
    """Scores of people note the trials that they rest on in this order, and are known again by them."""
    names = ["A", "B 1", "B1", "a", "b"]
    with open_store(server.create("english", locale="en-US")) as store:
        run, _ = made.world(store)
        for name in reversed(names):
            store.put_stimuli(replace(made.stimuli(f"d-{name}"), name=name))
            observer = store.put_observer(made.observer(name, f"weights-{name}"))
            store.put_observation(run, made.observation(f"k-{name}", observer))
        assert [one.name for one in store.observers()] == [*names, "net"]
        assert [one.name for one in store.observers(names={*names})] == names
        assert [one.observer_name for one in store.observations()] == names
        assert [one.name for one in store.stimuli_names()] == [*names, "set of d1"]
