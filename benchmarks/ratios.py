"""What every benchmark prints, how it says what it lacks, and where its ratios are kept.

python benchmarks/NAME.py | python benchmarks/ratios.py NAME        # docs/performance.csv: those of NAME made anew
"""

import csv
import importlib.util
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

KEPT = Path(__file__).resolve().parent.parent / "docs" / "performance.csv"


def ratio(name: str, value: float, baseline: str) -> None:
    """One result: RATIO NAME VALUE (BASELINE). The name has no blanks, so that lines are read by their fields."""
    if len(name.split()) != 1:
        raise ValueError(f"a ratio's name has no blanks: {name!r}")
    print(f"RATIO {name} {value:.3f} ({baseline})", flush=True)


def slug(*parts: str) -> str:
    return "_".join(" ".join(parts).replace(",", "").replace("=", "").split())


def needs(what: str) -> NoReturn:
    """End in one line where something is missing."""
    raise SystemExit(f"needs {what}")


def need_packages(*names: str) -> None:
    """End where a package is not installed; before it is imported."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            needs(f"the package {name}: pip install {name}")


def keep(script: str, lines: Iterable[str], path: Path = KEPT) -> None:
    """The ratios of a script's lines, in place of those that it gave before."""
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    found = (re.fullmatch(r"RATIO (\S+) (\S+) \((.*)\)", line.strip()) for line in lines)
    rows = [row for row in rows if row[-1] != script] + [[*match.groups(), script] for match in found if match]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *rows])


if __name__ == "__main__":
    keep(sys.argv[1], sys.stdin)
