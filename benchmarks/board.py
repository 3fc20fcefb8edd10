"""What it costs to look at a big leaderboard: `bench rank` on 1,000 models x 30 scores, and `bench
--help`.

Baselines: a Python that only imports what a ranked table cannot do without, and one that does
nothing. Commands and baselines alternate as fresh processes; medians of CPU time (user + system)
and of wall time.

    python benchmarks/board.py --models 1000 --scores 30 --rounds 7
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ratios import ratio

from benchmark.contracts import Observer, Score, Stimuli, Suite
from benchmark.store import Observation, ScoreSet, Store, open_store
from registry.digests import digest_data
from suites.cue_conflict import SUITE

Seconds = tuple[float, float]  # (CPU, wall)
SPACE = "geirhos16"
CATEGORIES = (
    *("airplane", "bear", "bicycle", "bird", "boat", "bottle", "car", "cat"),
    *("chair", "clock", "dog", "elephant", "keyboard", "knife", "oven", "truck"),
)
TRAINING = ("standard", "stylised", "adversarial", "noise")
IMPORTS = "import sqlalchemy, rich, numpy"


def synthetic_leaderboard(path: str | Path, models: int = 1000, scores: int = 30) -> None:
    """Makes a leaderboard of invented networks, each with that many cue-conflict scores, at
    `path`."""
    draw = random.Random(0)
    with open_store(str(path)) as store:
        run = store.begin_run("benchmarks/board.py", {"synthetic": True})
        digests = _stimuli(store, SUITE)
        for number in range(models):
            tags = [TRAINING[number % len(TRAINING)]]
            name = f"network-{number:04d}"
            observer = store.put_observer(Observer(name, "network", name, {"training": tags}))
            keys = _observations(store, run, observer, digests)
            made = ScoreSet(observer, SUITE.name, SUITE.version, SPACE, "synthetic", digests, keys)
            store.put_scores(run, made, _scores(SUITE, scores, draw))
        store.end_run(run, "done")


def _observations(
    store: Store, run: int, observer: int, digests: dict[str, str]
) -> tuple[str, ...]:
    """One observation per role, as a run leaves them, without answers; their keys."""
    policy = {"device": "cpu", "precision": "fp32", "compile": False, "seed": 0}
    details = {"policy": policy, "missing": {}}
    keys = []
    for role, stimuli in digests.items():
        keys.append(digest_data([observer, role]))
        names = (SUITE.name, SUITE.version, SPACE, stimuli, role, "", "whole", "")
        store.put_observation(run, Observation(keys[-1], observer, *names, 16, details))
    return tuple(keys)


def _stimuli(store: Store, suite: Suite) -> dict[str, str]:
    """A small set for each role that the suite measures; role -> digest."""
    roles = sorted({metric.role for metric in suite.metrics if metric.role})
    for role in roles:
        ids = tuple(f"{role}-{category}.png" for category in CATEGORIES)
        labels = {"category": np.array(CATEGORIES)}
        store.put_stimuli(Stimuli(role, f"synthetic-{role}", SPACE, ids, ids, labels, _no_image))
    return {role: f"synthetic-{role}" for role in roles}


def _no_image(index: int) -> np.ndarray:
    raise LookupError(f"image {index} of a synthetic leaderboard")


def _scores(suite: Suite, count: int, draw: random.Random) -> list[Score]:
    """The suite's metrics as a whole, then per category, until there are `count`."""
    cells = [(metric, condition) for condition in ("", *CATEGORIES) for metric in suite.metrics]
    if len(cells) < count:
        raise ValueError(f"at most {len(cells)} scores per model")
    made = []
    for metric, condition in cells[:count]:
        value = draw.random()
        made.append(
            Score(
                metric.name,
                value,
                low=max(0.0, value - 0.03),
                high=min(1.0, value + 0.03),
                method="Wilson",
                n=1280 if not condition else 80,
                condition=condition,
                role=metric.role,
            )
        )
    return made


def bench(*arguments: str) -> list[str]:
    """The command line of `bench` in this environment."""
    script = Path(sys.executable).with_name("bench")
    start = "import sys; from benchmark.cli import main; sys.exit(main())"
    program = [str(script)] if script.exists() else [sys.executable, "-c", start]
    return [*program, *arguments]


def timed(command: Sequence[str], folder: str) -> Seconds:
    """CPU and wall seconds of one process. RuntimeError where it fails."""
    root = str(Path(__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, "BENCH_HOME": folder}
    log = Path(folder) / "log"
    started = time.perf_counter()
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, cwd=folder)
        _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {process.returncode}:\n{log.read_text()}"
        )
    return used.ru_utime + used.ru_stime, wall


def medians(commands: dict[str, list[str]], rounds: int, folder: str) -> dict[str, Seconds]:
    """Medians per command; the commands take turns, so that other load hits all of them alike."""
    seen: dict[str, list[Seconds]] = {name: [] for name in commands}
    for command in commands.values():
        timed(command, folder)  # warms the disk cache and the byte code
    for _ in range(rounds):
        for name, command in commands.items():
            seen[name].append(timed(command, folder))
    return {
        name: (statistics.median(cpu for cpu, _ in all_), statistics.median(w for _, w in all_))
        for name, all_ in seen.items()
    }


def report(name: str, command: Seconds, base: Seconds, baseline: str) -> None:
    """One command against its baseline."""
    ratio(f"board_{name}_cpu", command[0] / base[0], baseline)
    ratio(f"board_{name}_wall", command[1] / base[1], baseline)
    print(f"{name}: {command[0]:.3f} s CPU, {command[1]:.3f} s wall")
    print(f"{name} baseline: {base[0]:.3f} s CPU, {base[1]:.3f} s wall")


def query(path: Path) -> float:
    """Seconds of the query behind the table, best of five, in this process."""
    best = float("inf")
    with open_store(str(path), write=False) as store:
        for _ in range(5):
            started = time.perf_counter()
            store.latest_scores(suite=SUITE.name)
            best = min(best, time.perf_counter() - started)
    return best


def main() -> None:
    """Makes the leaderboard and prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--scores", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.db"
        synthetic_leaderboard(path, options.models, options.scores)
        commands = {
            "rank": bench("rank", "--suite", SUITE.name, "--db", str(path)),
            "imports": [sys.executable, "-c", IMPORTS],
            "help": bench("--help"),
            "pass": [sys.executable, "-c", "pass"],
        }
        found = medians(commands, options.rounds, folder)
        report("rank", found["rank"], found["imports"], f'python -c "{IMPORTS}"')
        report("help", found["help"], found["pass"], 'python -c "pass"')
        size = f"{options.models} models x {options.scores} scores"
        print(f"latest_scores: {query(path):.3f} s for {size}, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
