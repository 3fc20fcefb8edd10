"""How all benchmarks measure and what they print; and all ratios of docs/performance.csv.

    python benchmarks/ratios.py [--runs 5] [SCRIPT ...]     # runs each script so often; `just figures` draws the page

Each run appends rows with its day and processor; of each ratio the last ten runs stay. Scripts need BENCH_TEST_DATA
(photographs, frost textures) and BENCH_IMAUG (benchmarks/corruptions.py); one that lacks something is left out.
"""

import argparse
import csv
import importlib.util
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

KEPT = Path(__file__).resolve().parent.parent / "docs" / "performance.csv"
SCRIPTS = ("overhead", "board", "adversarial", "corruptions")
HEAD = ("ratio", "value", "day", "processor", "baseline", "script")
RUNS = 10
#: Rounds at least, the standard error of the median ratios at which no more follow, and the seconds that end them too.
LEAST, STEADY, LONGEST = 3, 0.01, 60.0


def by_turns(calls: Sequence[Callable[[], float]], longest: float = LONGEST) -> NDArray[np.float64]:
    """What each call says that it took, [rounds, calls]. All are called by turns, at least `LEAST` times, and until the
    median ratio of every one to the first is known to `STEADY`, or for `longest` seconds."""
    rounds, began = list[list[float]](), time.perf_counter()
    while len(rounds) < LEAST or (spread(np.array(rounds)) > STEADY and time.perf_counter() - began < longest):
        rounds.append([call() for call in calls])
    return np.array(rounds)


def spread(rounds: NDArray[np.float64]) -> float:
    """The standard error of the median ratio to the first call, relative to it; of several the largest."""
    low, middle, high = np.quantile(rounds[:, 1:] / rounds[:, :1], [0.25, 0.5, 0.75], axis=0)
    return float((0.93 * (high - low) / math.sqrt(len(rounds)) / middle).max())


def cpu(work: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """Processor seconds of this process, after what comes `before`."""
    before()
    start = time.process_time()
    work()
    return time.process_time() - start


def ratio(name: str, value: float, baseline: str) -> None:
    """One result: RATIO NAME VALUE (BASELINE). The name has no blanks, so that lines are read by their fields."""
    if len(name.split()) != 1:
        raise ValueError(f"a ratio's name has no blanks: {name!r}")
    print(f"RATIO {name} {value:.3f} ({baseline})", flush=True)


def needs(what: str) -> NoReturn:
    """End in one line where something is missing."""
    raise SystemExit(f"needs {what}")


def need_packages(*names: str) -> None:
    """End where a package is not installed; before it is imported."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            needs(f"the package {name}: pip install {name}")


def processor() -> str:
    """Its name as Linux has it, and how many cores there are."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return f"{found[1] if found else 'unknown'}, {os.cpu_count()} cores"


def keep(script: str, lines: Iterable[str], day: str, path: Path = KEPT) -> None:
    """Append the ratios of one run of a script; of each the last `RUNS` stay."""
    with path.open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    found = (re.fullmatch(r"RATIO (\S+) (\S+) \((.*)\)", line.strip()) for line in lines)
    rows += [[match[1], match[2], day, processor(), match[3], script] for match in found if match]
    runs: dict[tuple[str, str], list[list[str]]] = {}
    for row in rows:
        runs.setdefault((row[-1], row[0]), []).append(row)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEAD)
        writer.writerows(row for each in runs.values() for row in each[-RUNS:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scripts", nargs="*", default=SCRIPTS)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    for _ in range(given.runs):
        for script in given.scripts:
            command = [sys.executable, str(Path(__file__).with_name(f"{script}.py"))]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            print(f"{script}: exit code {done.returncode}\n{done.stdout}", flush=True)
            if not done.returncode:
                keep(script, done.stdout.splitlines(), datetime.now(UTC).date().isoformat())


if __name__ == "__main__":
    main()
