"""Every benchmark, one after another, small; writes docs/performance.md.

    BENCH_TEST_DATA=FOLDER python benchmarks/all.py [--only NAME ...] [--minutes 20] [--limit 300] [--output FILE]

FILE is docs/performance.md. On two quiet cores the whole takes less than `--minutes`; what does not fit in says so in
its line of the page, as does what needs data or packages that are not here. Scripts run with fewer images and studies
than the tables of the other pages were made with.
"""

import argparse
import datetime
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.engine.environment import environment

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
#: What runs, in this order, and with what; what is timed first.
SCRIPTS: dict[str, tuple[str, ...]] = {
    "overhead": ("--rounds", "2"),
    "board": (),
    "report": (),
    "memory": (),
    "scale": (),
    "folders": (),
    "adversarial": (),
    "saliency": (),
    "corruption_models": (),
    "corruptions": ("--count", "4", "--rounds", "3"),
    "interruption": ("--kills", "2"),
    "mixed_interruption": ("--kills", "2", "--limit", "4"),
    "executors": (),
    "writers": ("--writers", "4", "--chunks", "300"),
    "attack_strength": ("--images", "4", "--epsilons", "0.5"),
    "masked_networks": ("--images", "32"),
    "saliency_headline": ("--images", "32", "--groups", "10"),
    "human_claims": (),
    "world_effects": ("--seeds", "1"),
    "interval_coverage": ("--studies", "40"),
    "size": ("--runs", "40"),
}
#: What is no measurement, or takes hours.
LEFT_OUT = {
    "postgres_server": "starts a data base server for other scripts",
    "reader_templates": "makes the templates of the built-in world's simulated people",
    "reference": "writes docs/reference.md from a leaderboard of published trials",
    "mutants": "an hour and more; its figures stand in the file that it writes",
    "train_detector": "trains the built-in world's detector",
    "train_world": "trains the built-in world's networks",
    "world_contact_sheet": "draws a figure",
}


@dataclass(frozen=True)
class Outcome:
    """What a script printed: (name, value, baseline) of each ratio; lacks: why there is none; seconds: CPU time."""

    script: str
    ratios: tuple[tuple[str, str, str], ...]
    lacks: str = ""
    seconds: float = 0.0


def run(name: str, limit: float) -> Outcome:
    """One script in a process of its own, one thread, at most `limit` seconds."""
    command = [sys.executable, str(HERE / f"{name}.py"), *SCRIPTS[name]]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if data := env.get(
        "BENCH_TEST_DATA"
    ):  # published stimuli, for the scripts that run what a user would
        env.setdefault("BENCH_DATA", data)
    before = _children()
    try:
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return Outcome(name, (), f"took longer than {limit:.0f} s", _children() - before)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RATIO ")]
    last = (done.stderr.strip().splitlines() or ["ended without a ratio"])[-1]
    lacks = "" if lines and done.returncode == 0 else last
    return Outcome(name, tuple(map(parsed, lines)), lacks, _children() - before)


def _children() -> float:
    """CPU seconds of all processes that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def parsed(line: str) -> tuple[str, str, str]:
    """ "RATIO NAME VALUE (BASELINE)" -> its parts. ValueError where it is none."""
    parts = line.split(" ", 3)
    if len(parts) != 4 or not (parts[3].startswith("(") and parts[3].endswith(")")):
        raise ValueError(f"no line of the form RATIO NAME VALUE (BASELINE): {line!r}")
    float(parts[2])
    return parts[1], parts[2], parts[3][1:-1]


def page(outcomes: Sequence[Outcome]) -> str:
    """The results as Markdown: machine by processor and cores, versions, date."""
    facts = environment("cpu", 1)
    versions = ", ".join(f"{name} {number}" for name, number in facts["packages"].items() if number)
    lines = [
        "# Performance",
        "",
        "Written by `python benchmarks/all.py`: each script states its baseline and, where time counts, "
        "alternates with it. Ratios are cost here over cost of the baseline, unless the line says otherwise.",
        "",
        "Of `bench run` there are three baselines: `overhead` holds it against a loop whose images lie ready in "
        "memory, which no user has, `overhead_reading` against a loop that opens and decodes them itself, "
        "`overhead_within` against the forward passes of the same run, which other work moves least. What is done once "
        "per network (loading, folding, checking, scoring) is in all, and left out of the lines with `_loop`.",
        "",
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}; {processor()}, {os.cpu_count()} cores, "
        f"{platform.machine()}, {platform.system()}; Python {facts['python']}; {versions}.",
        "",
        "| ratio | value | baseline | script |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {value} | {cell(baseline)} | {one.script} |"
        for one in outcomes
        for name, value, baseline in one.ratios
    ]
    lines += ["", "| script | arguments | CPU s | |", "|---|---|---|---|"]
    lines += [
        f"| benchmarks/{one.script}.py | {' '.join(SCRIPTS[one.script])} | {one.seconds:.0f} | {cell(one.lacks)} |"
        for one in outcomes
    ]
    lines += ["", "Not part of it:", ""]
    lines += [f"- benchmarks/{name}.py: {why}" for name, why in LEFT_OUT.items()]
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """Text that fits into a table."""
    return text.replace("|", "/")


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "processor unknown"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "processor unknown"


def main() -> int:
    """Run them, write the page; exit code 1 where a script failed, 0 where it only lacks something."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=tuple(SCRIPTS), default=tuple(SCRIPTS))
    parser.add_argument("--minutes", type=float, default=20.0, help="for all of them")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for one script")
    parser.add_argument("--output", type=Path, default=PAGE)
    given = parser.parse_args()
    end = time.monotonic() + 60 * given.minutes
    outcomes = []
    for name in given.only:
        left = end - time.monotonic()
        one = run(name, min(given.limit, left)) if left > 0 else Outcome(name, (), "no time left")
        outcomes.append(one)
        for ratio in one.ratios:
            print("RATIO {} {} ({})".format(*ratio), flush=True)
        print(f"{name}: {one.seconds:.0f} CPU s {one.lacks}".rstrip(), flush=True)
        given.output.write_text(page(outcomes))
    return int(any(one.lacks and not one.lacks.startswith("needs ") for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
