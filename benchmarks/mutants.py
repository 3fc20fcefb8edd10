"""Do the tests notice? Random single-line mutants of scoring code, each against the quick tests that run its line.

    python benchmarks/mutants.py [--number 300] [--seed 0] [--only benchmark/stats] [--list]

A mutant changes one operator, comparison, constant, condition or order of arguments, or drops one statement. It is
killed where a test fails (or takes far too long), and survives where all pass: then a test is missing, unless the
mutant does the same as the original; such ones are listed with reasons in `mutants_equal.txt`, one
"FILE | LINE OF CODE | CHANGE | REASON" a line, and left out. Tests that hold code to recorded digests or outputs
do not count.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # before numpy: children are forked
sys.path[0] = str(Path(__file__).resolve().parent.parent)  # in this folder `coverage` is another

from benchmarks.mutation import ROOMS, ROOT  # noqa: E402
from benchmarks.mutation.changes import Mutant, mutants_of  # noqa: E402
from benchmarks.ratios import ratio  # noqa: E402

EQUAL = Path(__file__).with_name("mutants_equal.txt")


def chosen(only: list[str], number: int, seed: int) -> list[Mutant]:
    """Random mutants of the rooms (of files whose path begins with one of `only`), less those known to be equal."""
    equal = {line.rpartition(" | ")[0] for line in EQUAL.read_text().splitlines()}
    paths = sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))
    files = [str(path.relative_to(ROOT)) for path in paths]
    wanted = [f for f in files if not only or any(f.startswith(part) for part in only)]
    everything = [one for f in wanted for one in mutants_of(f)]
    drawn = random.Random(seed).sample(everything, min(number, len(everything)))
    return [one for one in drawn if one.name not in equal]


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--number", type=int, default=300, help="how many mutants")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--only", action="append", default=[], help="path that files begin with")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--list", action="store_true", help="say which ones, run nothing")
    return parser.parse_args()


def line(mutant: Mutant) -> str:
    """A mutant in one line."""
    return f"{mutant.file}:{mutant.line}: {mutant.change}: {mutant.code}"


def main() -> int:
    """Print each mutant's fate and the share killed."""
    args = arguments()
    mutants = chosen(args.only, args.number, args.seed)
    if args.list:
        print("\n".join(map(line, mutants)))
        return 0
    from benchmarks.mutation.coverage_map import measured
    from benchmarks.mutation.server import preload
    from benchmarks.mutation.trial import killed

    preload()
    coverage = measured(args.workers)
    for name in coverage.failing:
        print(f"fails without any mutant, not counted: {name}")
    dead = 0
    for mutant, fate in killed(mutants, coverage, args.workers):
        dead += fate
        print(f"{'killed  ' if fate else 'SURVIVED'} {line(mutant)}", flush=True)
    ratio("mutants_killed", dead / max(1, len(mutants)), "0.85")
    return 0


if __name__ == "__main__":
    sys.exit(main())
