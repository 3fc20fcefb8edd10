"""What a second worker adds: throughput of two Ray workers, and of two processes, against one, a thread each.

One worker and two alternate on the same plan, on two cores. Counted is the time in which answers are made, from the
moment that networks are loaded and tuned to the last stored chunk; scores must equal the single run's bit for bit.

    python benchmarks/executors.py [--model NAMES] [--suite corruption] [--limit 480] [--rounds 2]
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from ratios import need_packages, ratio

from benchmark import api
from benchmark.api.workers import local_workers
from benchmark.contracts import Policy
from benchmark.engine.running import RunOptions
from benchmark.engine.running import execute as run_tasks
from benchmark.engine.workers.messages import Assignment, Start
from benchmark.engine.workers.ray_cluster import cluster
from benchmark.store import open_store
from benchmark.variables import read_settings

BATCH = 16
Scores = list[tuple[object, ...]]


class Clock(api.Silent):
    """Times what is between the last network's loading and the end of the last one's work."""

    def __init__(self) -> None:
        self.begun = self.ended = 0.0

    def expect(self, observer: str, trials: int, passes: float) -> None:  # noqa: ARG002 - protocol
        """Networks are ready."""
        self.begun = time.perf_counter()

    def done(self, observer: str) -> None:  # noqa: ARG002 - the protocol's
        """An observer has answered everything."""
        self.ended = time.perf_counter()


def timed(prepared: api.Prepared, workers: Sequence[Start]) -> tuple[float, Scores]:
    """Seconds of answering, and the scores."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        db = str(Path(folder) / "results.db")
        with open_store(db) as store:
            options = RunOptions("cpu", Policy("cpu"), BATCH, workers=tuple(workers))
            report = run_tasks(prepared.tasks, store, prepared.settings, options, clock)
            if report.exit_code:
                raise SystemExit(f"the run did not do everything: {report}")
            rows = store.latest_scores()
    scores = [(r.observer, r.metric, r.role, r.condition, r.value, r.low, r.high) for r in rows]
    return clock.ended - clock.begun, scores


def compare(
    name: str, prepared: api.Prepared, starts: Sequence[Start], rounds: int, expected: Scores
) -> None:
    """One worker against two, in turns."""
    one = two = 0.0
    for _ in range(rounds):
        for count in (1, 2):
            seconds, scores = timed(prepared, starts[:count])
            if scores != expected:
                raise SystemExit(f"{name}: {count} workers have other scores than the single run")
            one, two = (one + seconds, two) if count == 1 else (one, two + seconds)
    ratio(f"throughput_of_two_{name}", one / two, "one of them, a thread each; same scores")


def main() -> None:
    """Both kinds of workers."""
    need_packages("ray")
    torch.set_num_threads(1)
    settings = read_settings()
    request = api.RunRequest(models=ARGS.model, suites=ARGS.suite, limit=ARGS.limit, batch=BATCH)
    prepared = api.prepare(request, settings)
    seconds, expected = timed(prepared, ())
    trials = sum(task.trials for task in prepared.tasks)
    print(
        f"{ARGS.model}, {ARGS.suite}: {trials} trials, {len(expected)} scores; single run {seconds:.1f} s"
    )
    policy = Policy("cpu")
    with cluster(None, 1.0, "cpu", cpus=2) as joined:
        assignment = Assignment("cpu", policy, 1, settings, prepared.recipe)
        starts = joined.starts(assignment)
        compare("ray_workers", prepared, starts, ARGS.rounds, expected)
    processes = local_workers(prepared.recipe, ("cpu", "cpu"), policy)
    compare("processes", prepared, processes, ARGS.rounds, expected)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="world-standard-0,world-standard-1,world-stylised-0")
    parser.add_argument("--suite", default="corruption")
    parser.add_argument("--limit", type=int, default=480, help="stimuli per set")
    parser.add_argument("--rounds", type=int, default=2)
    ARGS = parser.parse_args()
    if "BENCH_HOME" not in os.environ:
        os.environ["BENCH_HOME"] = tempfile.mkdtemp()
    main()
