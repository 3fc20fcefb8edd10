"""Kill one mixed run again and again: every suite, networks, a simulated person and ideal observers.

    python benchmarks/mixed_interruption.py [--kills 100] [--limit 8] [--seed 0] [--device cpu,cpu]

SIGKILL at a random moment a few stored chunks later, the same run again, and so on until it ends; then a fresh
leaderboard. What was stored before a kill must be there after it, and each leaderboard that came to its end must hold
the trials and the scores of a run that nobody interrupted, bit for bit.

With several devices the signal goes to the run or to one of its processes, which the run then starts again.

Runs are forks of a process that has imported everything: a hundred starts of the program would take the time.
"""

import argparse
import multiprocessing
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from ratios import ratio

from benchmark import api
from benchmark.engine import run, score_shards, tasks  # noqa: F401 - before the forks
from benchmark.store import open_store

MODELS = "world-standard-0,world-reader-0,world-reader-1,ideal-shape,ideal-noisy"
BATCH = 8
FORK = multiprocessing.get_context("fork")
DEVICE = ["cpu"]


@dataclass
class Tally:
    """How many runs were killed, how many leaderboards came to their end, and what was wrong."""

    killed: int = 0
    ended: int = 0
    wrong: list[str] = field(default_factory=list)


def carry_out(db: str, limit: int) -> None:
    """The run, in a process of its own."""
    report = api.run(db=db, models=MODELS, limit=limit, device=DEVICE[0], batch=BATCH)
    for name, reason in report.failed.items():
        print(f"{name}: {reason}", file=sys.stderr, flush=True)
    os._exit(report.exit_code)


def start(db: Path, limit: int) -> multiprocessing.Process:
    process = FORK.Process(target=carry_out, args=(str(db), limit))
    process.start()
    return process


def chunks(db: Path) -> set[tuple[str, int]]:
    if not db.exists() or not db.stat().st_size:
        return set()
    with open_store(str(db)) as store:
        return {(row.key, place) for row in store.observations() for place in store.chunks(row.key)}


def counted(db: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM chunks").fetchone()[0])
    except sqlite3.Error:
        return 0  # not made yet


def content(db: Path) -> tuple[object, object]:
    """All trials, byte by byte, and all scores."""
    with open_store(str(db), write=False) as store:
        trials = {
            row.key: {name: values.tobytes() for name, values in store.trials((row.key,)).columns.items()}
            for row in store.observations()
        }  # fmt: skip
        scores = {
            (row.observer, row.suite, row.metric, row.role, row.condition): (
                row.value, row.reason, row.low, row.high, row.method, row.n, row.excluded, row.flags,
            )
            for row in store.latest_scores()
        }  # fmt: skip
        if found := store.problems():
            raise SystemExit(f"{db} is damaged: {found}")
    return trials, scores


def kill_later(process: multiprocessing.Process, db: Path, random_: random.Random) -> bool:
    """Kill the run some chunks from now, and a moment later. Whether it was still alive."""
    wanted = counted(db) + random_.randrange(6)
    while process.exitcode is None and counted(db) < wanted:
        time.sleep(0.02)
    time.sleep(random_.uniform(0, 0.3))
    alive = process.exitcode is None
    if alive and process.pid:
        victim = random_.choice([process.pid, *children(process.pid)])
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        if victim != process.pid:  # the run goes on; it is the next one's turn
            return True
    process.join()
    return alive


def children(number: int) -> list[int]:
    threads = Path(f"/proc/{number}/task").glob("*/children")
    return [int(child) for thread in threads for child in thread.read_text().split()]


def interrupt(folder: Path, kills: int, limit: int, seed: int) -> Tally:
    """So many kills, and the last run to its end."""
    torch.set_num_threads(1)
    whole, random_, tally = folder / "whole.db", random.Random(seed), Tally()
    start(whole, limit).join()
    wanted, size = content(whole), len(chunks(whole))
    print(f"uninterrupted: {size} chunks, {len(wanted[1])} scores", flush=True)
    while tally.killed < kills:
        db = folder / f"killed-{tally.ended}.db"
        begun = tally.killed
        _one_leaderboard(db, limit, kills, random_, tally)
        same = content(db) == wanted
        tally.ended += 1
        if not same:
            tally.wrong.append(f"{db.name}: other trials or scores than the uninterrupted run")
        print(
            f"leaderboard {tally.ended}: {tally.killed - begun} kills; trials and scores as uninterrupted: {same}",
            flush=True,
        )
    return tally


def _one_leaderboard(db: Path, limit: int, kills: int, random_: random.Random, tally: Tally) -> None:
    """Kill and go on until the run ends."""
    process: multiprocessing.Process | None = None
    while True:
        before = chunks(db)
        if process is None or not process.is_alive():
            process = start(db, limit)
        if tally.killed == kills:
            process.join()
            alive = False
        else:
            alive = kill_later(process, db, random_)
        if lost := before - chunks(db):
            tally.wrong.append(f"{len(lost)} chunks were lost by a kill")
        if not alive:
            if process.exitcode == 3 and "," in DEVICE[0]:  # one of its processes was killed three times
                continue
            if process.exitcode:
                tally.wrong.append(f"a run ended with code {process.exitcode}")
            return
        tally.killed += 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--limit", type=int, default=8, help="stimuli per set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    DEVICE[0] = given.device
    with tempfile.TemporaryDirectory() as name:
        os.environ["BENCH_HOME"] = str(Path(name) / "home")
        tally = interrupt(Path(name), given.kills, given.limit, given.seed)
    for line in tally.wrong:
        print(line)
    print(f"{tally.killed} kills, {tally.ended} leaderboards ended, {len(tally.wrong)} of them or of their kills wrong")
    held = tally.ended - len(tally.wrong)
    ratio("mixed_runs_survived", held / tally.ended, f"{tally.killed} kills, {tally.ended} runs to their end")
    return int(bool(tally.wrong))


if __name__ == "__main__":
    sys.exit(main())
