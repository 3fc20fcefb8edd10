"""Leaderboards to test on: SQLite files, and PostgreSQL where BENCH_TEST_POSTGRES names a server.

BENCH_TEST_POSTGRES is a URL whose user may create data bases; each test gets one of its own. Slow tests start a server
of their own where it names none."""

import logging
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

import benchmark
from benchmark.contracts import Observer, Score, Stimuli
from benchmark.store import Chunk, Observation, ScoreSet, open_store

ROOT = Path(benchmark.__file__).parent.parent


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'results.db'}"
        return
    server = os.environ.get("BENCH_TEST_POSTGRES")
    if not server:
        if not request.node.get_closest_marker("slow"):
            pytest.skip("BENCH_TEST_POSTGRES names no server; slow tests start their own")
        server = request.getfixturevalue("server").url()
    url, name = sa.make_url(server).set(drivername="postgresql+psycopg"), f"bench_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield url.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def server():
    """A PostgreSQL server of the tests' own, which may be stopped and started."""
    if not (ROOT / "benchmarks" / "postgres_server.py").exists():
        pytest.skip("the benchmark scripts are not here")
    with pytest.MonkeyPatch.context() as patch:  # code that looks for modules by name must not find the others there
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        from postgres_server import own_server, why_none
    if why_none():
        pytest.skip(why_none())
    with own_server() as started:
        yield started


@pytest.fixture(scope="session")
def tables(tmp_path_factory):
    """A SQLite file with the tables of an empty leaderboard: copied, for it costs more to make them."""
    file = tmp_path_factory.mktemp("tables") / "results.db"
    with open_store(str(file)):
        pass
    return file


@pytest.fixture
def store(url, tables):
    if url.startswith("sqlite"):
        shutil.copyfile(tables, sa.make_url(url).database)
    with open_store(url) as opened:
        yield opened


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results.db"


class Made:
    """Builders of small, valid content."""

    def stimuli(self, digest="d1", n=10, **labels):
        columns = labels or {"category": np.array(["cat", "dog"] * n)[:n]}
        ids = tuple(f"image-{index}.png" for index in range(n))
        stated = {"name": "set of " + digest, "digest": digest, "space": "geirhos16", "whole": 1280}
        return Stimuli(**stated, ids=ids, items=ids, labels=columns, decode=lambda i: None)

    def observer(self, name="net", identity="weights-1", kind="network", **card):
        return Observer(name=name, kind=kind, identity=identity, card=card)

    def observation(self, key, observer, stimuli="d1", n=10, **changes):
        fields = {"suite": "cue-conflict", "role": "cue-conflict", "version": 1, "space": "geirhos16", **changes}
        return Observation(key=key, observer=observer, presentation="whole", stimuli=stimuli, n=n, **fields)

    def answers(self, store, key, observer, stimuli="d1", n=10, run=None, **changes):
        """An observation whose `n` trials are stored in chunks of four."""
        run = run or store.begin_run("bench run", {"python": "3.11"})
        store.put_observation(run, self.observation(key, observer, stimuli, n, **changes))
        chunks = [self.chunk(key, index, n) for index in range(-(-n // 4))]
        store.put_chunks(run, chunks)
        return run

    def chunk(self, key, index, n=10, size=4):
        start, stop = index * size, min(n, (index + 1) * size)
        words = np.array([f"answer {position % 3}" for position in range(start, stop)])
        return Chunk(key=key, index=index, start=start, columns={"response": words, "sure": np.arange(start, stop) / n})

    def score_set(self, observer, suite="cue-conflict", version=1, stimuli=None, keys=()):
        what = {"suite": suite, "version": version, "space": "geirhos16", "code": "code-1", "keys": tuple(keys)}
        return ScoreSet(observer=observer, stimuli=stimuli or {"cue-conflict": "d1"}, **what)

    def score(self, metric="shape_bias", value=0.5, **fields):
        return Score(metric=metric, value=value, role="cue-conflict", low=0.4, high=0.6, n=10, **fields)

    def world(self, store):
        """A run, an observer and a stimulus set: what observations refer to."""
        run = store.begin_run("bench run", {"python": "3.11"})
        store.put_stimuli(self.stimuli())
        return run, store.put_observer(self.observer())


@pytest.fixture
def made():
    return Made()


@pytest.fixture
def logged():
    said = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())
    logging.getLogger().addHandler(handler)
    yield said
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def python():
    """Starts a Python process on a piece of code with arguments."""

    def start(code, *arguments, stdin=subprocess.DEVNULL):
        pipes = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=environment, **pipes)

    return start
