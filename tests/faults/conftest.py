"""Runs in processes of their own, which signals reach, and what they leave behind."""

import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from benchmark import api
from benchmark.api import Silent
from benchmark.contracts import CHUNK
from benchmark.engine.devices import working_threads
from benchmark.store import open_store

sys.path.append(str(Path(__file__).parents[1] / "engine"))  # the toys of the engine's tests

MODELS = "world-standard-0,world-stylised-0,ideal-shape,ideal-noisy"
SUITE, BATCH, LIMIT = "cue-conflict", 16, 12


@dataclass
class Answered(Silent):
    """A reporter that counts the trials which a run answered."""

    made: Counter[str] = field(default_factory=Counter)

    def advance(self, observer, trials):
        self.made[observer] += trials


class Runs:
    """Runs of one command on leaderboards of their own."""

    def start(self, db, device="cpu"):
        """`bench run` in a process of its own."""
        words = ["run", "--model", MODELS, "--suite", SUITE, "--limit", str(LIMIT), "--quiet"]
        words += ["--device", device, "--batch-size", str(BATCH), "--db", str(db)]
        return subprocess.Popen(
            [sys.executable, "-c", "from benchmark.cli import main; main()", *words],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def finish(self, db):
        """The same run to its end; how many trials it answered."""
        counted = Answered()
        asked = {"models": MODELS, "suites": SUITE, "limit": LIMIT, "device": "cpu"}
        with working_threads(1):
            report = api.run(db=str(db), reporter=counted, batch=BATCH, **asked)
        assert not report.exit_code, report.failed
        return sum(counted.made.values())

    def stored_trials(self, db):
        """Trials on the disk; of a leaderboard that the signal left without tables: none."""
        if not db.exists() or not db.stat().st_size:
            return 0
        with open_store(str(db)) as store:
            return sum(
                min(CHUNK, row.n - chunk * CHUNK) for row in store.observations() for chunk in store.chunks(row.key)
            )

    def content(self, db):
        """Every trial, float noise apart, and every score."""
        trials = {}
        with open_store(str(db), write=False) as store:
            for row in store.observations():
                table = store.trials((row.key,))
                rows = zip(table["stimulus"], table["response"], table["probability"], strict=True)
                for stimulus, response, probability in rows:
                    rounded = np.round(probability, 5).astype(np.float32).tobytes()
                    trials[row.observer_name, row.role, str(stimulus)] = (str(response), rounded)
            scores = {
                (s.observer, s.metric, s.role, s.condition): (s.value, s.reason, s.low, s.high, s.n, s.flags)
                for s in store.latest_scores(suite=SUITE)
            }
        return trials, scores

    def chunks_on_disk(self, db):
        """Committed chunks, as another process sees them now."""
        try:
            with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
                return int(connection.execute("SELECT count(*) FROM chunks").fetchone()[0])
        except sqlite3.Error:
            return 0  # not made yet

    def wait(self, process, db, chunks, moment):
        """Until so many chunks are committed and a moment longer, or the run ends: start-up takes any time."""
        while process.poll() is None and self.chunks_on_disk(db) < chunks:
            time.sleep(0.002)
        time.sleep(moment)


@pytest.fixture
def runs(monkeypatch, tmp_path):
    """Runs with a home of their own."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    return Runs()
