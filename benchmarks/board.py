"""What it costs to look at a big leaderboard: `bench rank` and `bench rank --summary` on 1,000 models x 30 scores, the
same with the models' cards registered on this machine (which a table holds its scores against), and `bench --help`.

Baselines: a Python that only imports SQLAlchemy, rich and numpy (a ranked table needed them once, and now numpy alone),
and one that does nothing. Commands and baselines alternate as fresh processes; medians of CPU time (user + system) and
of wall time; the highest resident memory. `--report` also draws the whole report once, `--plan` plans so many models
under every suite.

    python benchmarks/board.py [--models 10000] [--scores 30] [--rounds 5] [--report] [--plan]
"""

import argparse
import hashlib
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
from registry.cards import ModelCard, write_card
from registry.files import digest_data
from suites.cue_conflict import SUITE

Seconds = tuple[float, float, float]  # (CPU, wall, highest resident memory in MB)
SPACE = "geirhos16"
CATEGORIES = (
    *("airplane", "bear", "bicycle", "bird", "boat", "bottle", "car", "cat"),
    *("chair", "clock", "dog", "elephant", "keyboard", "knife", "oven", "truck"),
)
TRAINING = ("standard", "stylised", "adversarial", "noise")
IMPORTS = "import sqlalchemy, rich, numpy"


def synthetic_leaderboard(
    path: str | Path, models: int = 1000, scores: int = 30, cards: Path | None = None
) -> None:
    """Makes a leaderboard of invented networks, each with that many cue-conflict scores, at
    `path`. cards: a folder for their cards."""
    draw = random.Random(0)
    with open_store(str(path)) as store:
        run = store.begin_run("benchmarks/board.py", {"synthetic": True})
        digests = _stimuli(store, SUITE)
        for number in range(models):
            card = _card(number)
            stored = card.model_dump(mode="json")
            observer = store.put_observer(Observer(card.name, "network", card.name, stored))
            keys = _observations(store, run, observer, digests)
            made = ScoreSet(observer, SUITE.name, SUITE.version, SPACE, "synthetic", digests, keys)
            store.put_scores(run, made, _scores(SUITE, scores, draw))
        store.end_run(run, "done")
    if cards is not None:
        _register(cards, models)


def _card(number: int) -> ModelCard:
    """The card of one checkpoint."""
    name = f"network-{number:04d}"
    return ModelCard.model_validate(
        {
            "name": name,
            "source": "file",
            "arch": "timm:resnet50.a1_in1k",
            "weights": f"/checkpoints/{name}.safetensors",
            "sha256": hashlib.sha256(name.encode()).hexdigest(),
            "preprocess": {"size": 224, "resize": 236, "interpolation": "bicubic"},
            "training": [TRAINING[number % len(TRAINING)]],
            "license": "Apache-2.0",
            "description": "A checkpoint of a training run.",
        }
    )


def _register(folder: Path, models: int) -> None:
    """The cards as files; those of one recipe differ in name and digest alone."""
    for number in range(models):
        first, card = _card(number % len(TRAINING)), _card(number)
        if number < len(TRAINING):
            write_card(card, folder)
            continue
        text = (folder / f"{first.name}.yaml").read_text()
        text = text.replace(first.name, card.name).replace(str(first.sha256), str(card.sha256))
        (folder / f"{card.name}.yaml").write_text(text)


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
    """CPU and wall seconds and memory of one process. RuntimeError where it fails."""
    root = str(Path(__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, "BENCH_HOME": folder}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled once
    environment["PYTHONPYCACHEPREFIX"] = str(Path(folder) / "compiled")
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
    return used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1e3


def medians(commands: dict[str, list[str]], rounds: int, folder: str) -> dict[str, Seconds]:
    """Medians per command; the commands take turns, so that other load hits all of them alike."""
    seen: dict[str, list[Seconds]] = {name: [] for name in commands}
    for command in commands.values():
        timed(command, folder)  # warms the disk cache and the byte code
    for _ in range(rounds):
        for name, command in commands.items():
            seen[name].append(timed(command, folder))
    return {
        name: tuple(statistics.median(column) for column in zip(*runs, strict=True))
        for name, runs in seen.items()
    }


def report(name: str, command: Seconds, base: Seconds, baseline: str) -> None:
    """One command against its baseline."""
    ratio(f"board_{name}_cpu", command[0] / base[0], baseline)
    ratio(f"board_{name}_wall", command[1] / base[1], baseline)
    for label, one in ((name, command), (f"{name} baseline", base)):
        print(f"{label}: {one[0]:.3f} s CPU, {one[1]:.3f} s wall, {one[2]:.0f} MB")


def query(path: Path) -> float:
    """Seconds of the query behind the table, best of five, in this process."""
    best = float("inf")
    with open_store(str(path), write=False) as store:
        for _ in range(5):
            started = time.perf_counter()
            store.latest_scores(suite=SUITE.name)
            best = min(best, time.perf_counter() - started)
    return best


def planning(models: int) -> float:
    """CPU seconds to plan so many models of the built-in world under every suite, without reading its images' digests,
    which is done once for all."""
    from benchmark.engine.plan import plan_tasks
    from benchmark.plugins import find_suites
    from benchmark.variables import read_settings
    from registry.cards import builtin_cards

    settings, suites = read_settings(), list(find_suites().suites.values())
    card = builtin_cards()["world-standard-0"]
    cards = [card.model_copy(update={"name": f"network-{at}"}) for at in range(models)]

    def cpu(some: int) -> float:
        started = time.process_time()
        plan_tasks(cards[:some], suites, settings, None)
        return time.process_time() - started

    cpu(1)
    return cpu(models) - cpu(1)


def main() -> None:
    """Makes the leaderboard and prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--scores", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--plan", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.db"
        registered = Path(folder) / "registered"
        synthetic_leaderboard(path, options.models, options.scores, registered / "cards")
        rank = bench("rank", "--suite", SUITE.name, "--db", str(path))
        commands = {
            "rank": rank,
            "summary": bench("rank", "--summary", "--db", str(path)),
            "rank_with_cards": ["env", f"BENCH_HOME={registered}", *rank],
            "imports": [sys.executable, "-c", IMPORTS],
            "help": bench("--help"),
            "pass": [sys.executable, "-c", "pass"],
        }
        found = medians(commands, options.rounds, folder)
        report("rank", found["rank"], found["imports"], f'python -c "{IMPORTS}"')
        report("summary", found["summary"], found["imports"], f'python -c "{IMPORTS}"')
        report(
            "rank_with_cards", found["rank_with_cards"], found["imports"], f'python -c "{IMPORTS}"'
        )
        report("help", found["help"], found["pass"], 'python -c "pass"')
        for name in ("rank", "summary"):
            ratio(f"board_{name}_memory", found[name][2] / 500, "500 MB resident")
        if options.report:
            drawn = timed(
                bench("report", "--db", str(path), "-o", str(Path(folder) / "report")), folder
            )
            report("report", drawn, found["imports"], f'python -c "{IMPORTS}"')
        if options.plan:
            base = f'python -c "{IMPORTS}"; {options.models} models under every suite'
            ratio("board_plan_cpu", planning(options.models) / found["imports"][0], base)
        size = f"{options.models} models x {options.scores} scores"
        print(f"latest_scores: {query(path):.3f} s for {size}, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
