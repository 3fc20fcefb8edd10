"""What it costs to look at a big leaderboard: `bench rank` and `bench rank --summary` on 1,000 models x 30 scores.

Baseline: a Python that only imports SQLAlchemy, rich and numpy.
Fresh processes by turns; CPU time (user + system) and the highest resident memory.

    python benchmarks/board.py [--models 10000] [--scores 30]
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from ratios import by_turns, ratio

from benchmark.contracts import Observer, Score, Stimuli
from benchmark.store import Observation, ScoreSet, open_store
from registry.files import digest_data
from registry.labels import geirhos_groups
from suites.cue_conflict import SUITE

SPACE = "geirhos16"
CATEGORIES = tuple(geirhos_groups())
IMPORTS = "import sqlalchemy, rich, numpy"


def synthetic_leaderboard(path: Path, models: int, scores: int) -> None:
    """A leaderboard of invented networks, each with that many cue-conflict scores."""
    draw = random.Random(0)
    policy = {"device": "cpu", "precision": "fp32", "compile": False, "seed": 0}
    with open_store(str(path)) as store:
        run = store.begin_run("benchmarks/board.py", {"synthetic": True})
        roles = sorted({metric.role for metric in SUITE.metrics if metric.role})
        digests = {role: f"synthetic-{role}" for role in roles}
        for role in roles:
            ids = tuple(f"{role}-{category}.png" for category in CATEGORIES)
            labels, decode = {"category": np.array(CATEGORIES)}, list[np.ndarray]().__getitem__  # no image is shown
            store.put_stimuli(
                Stimuli(name=role, digest=digests[role], space=SPACE, ids=ids, items=ids, labels=labels, decode=decode)
            )
        for number in range(models):
            name = f"network-{number:04d}"
            observer = store.put_observer(Observer(name=name, kind="network", identity=name))
            keys = tuple(digest_data([observer, role]) for role in roles)
            for key, role in zip(keys, roles, strict=True):
                what = Observation(
                    key=key,
                    observer=observer,
                    suite=SUITE.name,
                    version=SUITE.version,
                    space=SPACE,
                    stimuli=digests[role],
                    role=role,
                    presentation="whole",
                    n=16,
                    details={"policy": policy, "missing": {}},
                )
                store.put_observation(run, what)
            made = ScoreSet(
                observer=observer,
                suite=SUITE.name,
                version=SUITE.version,
                space=SPACE,
                code="synthetic",
                stimuli=digests,
                keys=keys,
            )
            store.put_scores(run, made, invented(scores, draw))
        store.end_run(run, "done")


def invented(count: int, draw: random.Random) -> list[Score]:
    """The suite's metrics as a whole, then per category, until there are `count`."""
    cells = [(metric, condition) for condition in ("", *CATEGORIES) for metric in SUITE.metrics]
    made = []
    for metric, condition in cells[:count]:
        value = draw.random()
        bounds = {"low": max(0.0, value - 0.03), "high": min(1.0, value + 0.03)}
        n = 80 if condition else 1280
        what = {"method": "Wilson", "n": n, "condition": condition, "role": metric.role}
        made.append(Score(metric=metric.name, value=value, **bounds, **what))  # type: ignore[arg-type]
    return made


def bench(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "import sys; from benchmark.cli import main; sys.exit(main())", *arguments]


def timed(command: Sequence[str], folder: str) -> tuple[float, float]:
    """(processor seconds, highest resident memory in MB) of a process."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    environment |= {"BENCH_HOME": folder, "PYTHONPYCACHEPREFIX": str(Path(folder) / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled once
    log = Path(folder) / "log"
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, cwd=folder)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}:\n{log.read_text()}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--scores", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.db"
        synthetic_leaderboard(path, options.models, options.scores)
        print(f"{options.models} models x {options.scores} scores: {path.stat().st_size / 1e6:.1f} MB")
        commands = {
            "rank": bench("rank", "--suite", SUITE.name, "--db", str(path)),
            "summary": bench("rank", "--summary", "--db", str(path)),
            "imports": [sys.executable, "-c", IMPORTS],
        }
        for command in commands.values():
            timed(command, folder)  # the disk cache and the byte code are warm
        most: dict[str, float] = {}

        def spent(name: str) -> float:
            seconds, memory = timed(commands[name], folder)
            most[name] = max(memory, most.get(name, 0.0))
            return seconds

        found = dict(zip(commands, by_turns([partial(spent, name) for name in commands]).T, strict=True))
        for name in ("rank", "summary"):
            ratio(f"board_{name}_cpu", float(np.median(found[name] / found["imports"])), f'python -c "{IMPORTS}"')
            print(f"{name}: {np.median(found[name]):.3f} s CPU, {most[name]:.0f} MB")
            ratio(f"board_{name}_memory", most[name] / 500, "500 MB resident")


if __name__ == "__main__":
    main()
