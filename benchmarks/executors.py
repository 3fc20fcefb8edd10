"""What a second process adds: throughput of two Ray tasks at once, and of two processes, against one, a thread each.

One and two alternate on the same plan, on two quiet cores; scores must equal the single run's bit for bit. The time is
that of the whole run, in a process that has imported everything; Ray and its processes are warm.

    python benchmarks/executors.py [--model NAMES] [--suite corruption] [--limit 480] [--rounds 2]
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from ratios import need_packages, ratio

from benchmark import api
from benchmark.store import open_store

BATCH = 16
Scores = list[tuple[object, ...]]


def timed(**how: Any) -> tuple[float, Scores]:
    asked = {"models": ARGS.model, "suites": ARGS.suite, "limit": ARGS.limit, "batch": BATCH}
    with tempfile.TemporaryDirectory() as folder:
        db = str(Path(folder) / "results.db")
        begun = time.perf_counter()
        report = api.run(db=db, **(asked | how))
        seconds = time.perf_counter() - begun
        if report.exit_code:
            raise SystemExit(f"the run did not do everything: {report}")
        with open_store(db, write=False) as store:
            rows = store.latest_scores()
    scores = [(r.observer, r.metric, r.role, r.condition, r.value, r.low, r.high) for r in rows]
    return seconds, sorted(scores, key=str)


def by_ray(processors: int) -> tuple[float, Scores]:
    """A run by a cluster of this machine, after a small one."""
    import ray

    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
    ray.init(num_cpus=processors, **quiet)
    try:
        timed(executor="ray", limit=16)
        return timed(executor="ray")
    finally:
        ray.shutdown()


def main() -> None:
    need_packages("ray")
    torch.set_num_threads(1)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    seconds, expected = timed(device="cpu")
    print(f"{ARGS.model}, {ARGS.suite}: {len(expected)} scores; single run {seconds:.1f} s")
    ways = {"ray_tasks": by_ray, "processes": lambda count: timed(device=",".join(["cpu"] * count))}
    for name, way in ways.items():
        one = two = 0.0
        for _ in range(ARGS.rounds):
            for count in (1, 2):
                seconds, scores = way(count)
                if scores != expected:
                    raise SystemExit(f"{name}: {count} have other scores than the single run")
                one, two = (one + seconds, two) if count == 1 else (one, two + seconds)
        ratio(f"throughput_of_two_{name}", one / two, "one of them, a thread each; same scores")


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
