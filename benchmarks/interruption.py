"""Kill `bench run` at random moments and see that nothing is lost and nothing is done twice.

    python benchmarks/interruption.py [--kills 3] [--limit 40] [--seed 0]

Each time: a fresh leaderboard, a run in a process of its own, SIGKILL at a random moment, then the same run to
its end. The second run must answer exactly the trials that were not stored yet, and end with the trials and the
scores of a run that nobody interrupted.
"""

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from ratios import ratio

from benchmark import api
from benchmark.api import Silent
from benchmark.contracts import CHUNK
from benchmark.store import open_store

MODELS = "world-standard-0,world-stylised-0,ideal-shape,ideal-noisy"
SUITE = "cue-conflict"
BATCH = 16


@dataclass
class Answered(Silent):
    """A reporter that counts the trials which a run had to answer, and did."""

    owed: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)

    def expect(self, observer: str, trials: int, passes: float) -> None:  # noqa: ARG002
        """What is missing."""
        self.owed[observer] += trials

    def advance(self, observer: str, trials: int) -> None:
        """What was answered."""
        self.made[observer] += trials


@dataclass(frozen=True)
class Content:
    """What a leaderboard holds: trials by (observer, role, stimulus), scores by (observer, metric, ...)."""

    trials: dict[tuple[str, ...], tuple[str, bytes]]
    scores: dict[tuple[str, ...], tuple[object, ...]]


def start(db: Path, limit: int) -> subprocess.Popen[bytes]:
    """`bench run` in a process of its own."""
    words = ["run", "--model", MODELS, "--suite", SUITE, "--limit", str(limit)]
    words += ["--device", "cpu", "--batch-size", str(BATCH), "--quiet", "--db", str(db)]
    code = "from benchmark.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(db: Path, limit: int) -> Answered:
    """The same run to its end, counting what it answers."""
    counted = Answered()
    report = api.run(
        db=str(db), reporter=counted, models=MODELS, suites=SUITE, limit=limit, device="cpu",
        batch=BATCH,
    )  # fmt: skip
    if report.exit_code:
        raise SystemExit(f"the run after the kill failed: {report.failed}")
    return counted


def stored_trials(db: Path) -> Counter[str]:
    """Trials on the disk per observer; of a leaderboard that the kill left without tables: none."""
    if not db.exists() or not db.stat().st_size:
        return Counter()
    found: Counter[str] = Counter()
    with open_store(str(db)) as store:
        for row in store.observations():
            for chunk in store.chunks(row.key):
                found[row.observer_name] += min(CHUNK, row.n - chunk * CHUNK)
    return found


def content(db: Path) -> Content:
    """Everything that a second run must reproduce."""
    trials: dict[tuple[str, ...], tuple[str, bytes]] = {}
    with open_store(str(db), write=False) as store:
        for row in store.observations():
            table = store.trials((row.key,))
            rows = zip(table["stimulus"], table["response"], table["probability"], strict=True)
            for stimulus, response, probability in rows:
                rounded = np.round(probability, 5).astype(np.float32).tobytes()
                trials[row.observer_name, row.role, str(stimulus)] = (str(response), rounded)
        scores = {
            (row.observer, row.metric, row.role, row.condition): (
                row.value, row.reason, row.low, row.high, row.method, row.n, row.excluded, row.flags,
            )
            for row in store.latest_scores(suite=SUITE)
        }  # fmt: skip
    return Content(trials, scores)


def chunks_on_disk(db: Path) -> int:
    """Committed chunks, as another process sees them now."""
    try:
        with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM chunks").fetchone()[0])
    except sqlite3.Error:
        return 0  # not made yet


def wait(process: subprocess.Popen[bytes], db: Path, chunks: int, moment: float) -> None:
    """Until so many chunks are committed and a moment longer, or the run ends.

    Counting commits, not seconds: on a busy machine start-up would take all the kills.
    """
    while process.poll() is None and chunks_on_disk(db) < chunks:
        time.sleep(0.002)
    time.sleep(moment)


def kill_once(
    folder: Path, random_: random.Random, limit: int, whole: Content, chunks: int
) -> tuple[bool, str]:
    """One kill at a random moment, and the run after it. Returns whether all held, and a line."""
    after_chunks, moment = random_.randrange(chunks), random_.uniform(0, 0.05)
    planned = len(whole.trials)
    db = folder / "killed.db"
    for path in folder.glob("killed.db*"):
        path.unlink()
    process = start(db, limit)
    wait(process, db, after_chunks, moment)
    ended = process.poll() is not None
    if not ended:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    there = sum(stored_trials(db).values())
    counted = finish(db, limit)
    made = sum(counted.made.values())
    after = content(db)
    only_missing = made == sum(counted.owed.values()) == planned - there
    same = after == whole
    when = f"{moment:.2f} s after chunk {after_chunks:3d}{' (had ended)' if ended else ''}"
    line = (
        f"killed {when}: {there:5d} of {planned} trials stored, {made:5d} made after it; "
        f"only the missing ones: {only_missing}; trials and scores as uninterrupted: {same}"
    )
    return only_missing and same, line


def interrupt(folder: Path, kills: int, limit: int, seed: int) -> int:
    """All kills. Prints a line for each; returns how many held."""
    torch.set_num_threads(1)
    reference = folder / "whole.db"
    started = time.perf_counter()
    process = start(reference, limit)
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"the uninterrupted run failed: {errors.decode()}")
    seconds = time.perf_counter() - started
    whole = content(reference)
    chunks = chunks_on_disk(reference)
    print(
        f"uninterrupted: {len(whole.trials)} trials in {chunks} chunks, {len(whole.scores)} scores in {seconds:.1f} s"
    )
    moments = random.Random(seed)
    held = 0
    for _ in range(kills):
        ok, line = kill_once(folder, moments, limit, whole, chunks)
        print(line, flush=True)
        held += ok
    print(f"{held} of {kills} kills: nothing lost, nothing done twice, same trials and scores")
    ratio("interruption_survived", held / kills, f"{kills} kills")
    return held


def main() -> int:
    """Read the arguments, work in a folder of its own, exit 1 where anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--limit", type=int, default=40, help="stimuli per set")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["BENCH_HOME"] = str(Path(name) / "home")
        return int(interrupt(Path(name), given.kills, given.limit, given.seed) != given.kills)


if __name__ == "__main__":
    sys.exit(main())
