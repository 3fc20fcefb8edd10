"""Every benchmark that states ratios, one after another, small; writes docs/performance.md.

    python benchmarks/all.py [--only NAME ...] [--output docs/performance.md]

Minutes on two cores. What needs data or packages that are not here says so in its line of the page.
"""

import argparse
import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.engine.environment import environment

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
LIMIT = 300  # seconds for one script
NAMES = (
    *("overhead", "board", "folders", "interruption"),
    *("adversarial", "saliency", "corruption_models", "corruptions"),
)


@dataclass(frozen=True)
class Outcome:
    """What a script printed: (name, value, baseline) of each ratio; lacks: why there is none."""

    script: str
    ratios: tuple[tuple[str, str, str], ...]
    lacks: str = ""


def run(name: str) -> Outcome:
    """One script in a process of its own, one thread."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / f"{name}.py")]
    try:
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return Outcome(name, (), f"took longer than {LIMIT} s")
    found = tuple(
        map(parsed, (one for one in done.stdout.splitlines() if one.startswith("RATIO ")))
    )
    last = (done.stderr.strip().splitlines() or ["ended without a ratio"])[-1]
    return Outcome(name, found, "" if found and done.returncode == 0 else last)


def parsed(line: str) -> tuple[str, str, str]:
    """ "RATIO NAME VALUE (BASELINE)" -> its parts."""
    _, name, value, baseline = line.split(" ", 3)
    return name, value, baseline.removeprefix("(").removesuffix(")")


def page(outcomes: Sequence[Outcome]) -> str:
    """The results as Markdown: machine by cores and kind, versions, date."""
    facts = environment("cpu", 1)
    versions = ", ".join(f"{name} {number}" for name, number in facts["packages"].items() if number)
    lines = [
        "# Performance",
        "",
        "Written by `python benchmarks/all.py`: each script states its baseline and alternates with it. Ratios are "
        "cost here over cost of the baseline, unless the line says otherwise.",
        "",
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}; {os.cpu_count()} cores, {platform.machine()}, "
        f"{platform.system()}; Python {facts['python']}; {versions}.",
        "",
        "| ratio | value | baseline | script |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {value} | {baseline.replace('|', '/')} | benchmarks/{one.script}.py |"
        for one in outcomes
        for name, value, baseline in one.ratios
    ]
    if lacking := [one for one in outcomes if one.lacks]:
        lines += ["", "Not run:", ""]
        lines += [f"- benchmarks/{one.script}.py: {one.lacks}" for one in lacking]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run them, write the page; exit code 1 where a script ended in a traceback."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--output", type=Path, default=PAGE)
    given = parser.parse_args()
    outcomes = []
    for name in given.only:
        outcomes.append(run(name))
        for ratio in outcomes[-1].ratios:
            print("RATIO {} {} ({})".format(*ratio), flush=True)
        if outcomes[-1].lacks:
            print(f"{name}: {outcomes[-1].lacks}", flush=True)
    given.output.write_text(page(outcomes))
    return int(any(one.lacks and not one.lacks.startswith("needs ") for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
