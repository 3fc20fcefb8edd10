"""Pages name what exists and quote what scripts wrote; the tutorial's commands print what the page shows (with
BENCH_WRITE_DOCS=1 the tutorial is written)."""

import csv
import os
import re
import runpy
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = sorted({*ROOT.glob("*.md"), *DOCS})
END = r"[-+]?\d?\.\d+"
TUTORIAL = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"(?<=```console\n).*?(?=```)", flags=re.S)
#: Float noise, which is each processor's own.
NOISE = re.compile(r"\d(\.\d)?e-\d\d")


def anchors(page: Path) -> set[str]:
    """GitHub's anchors of the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        outside = "://" in link or link.startswith("mailto:")
        if not outside and (not target.exists() or (anchor and anchor not in anchors(target))):
            broken.append(link)
    assert not broken


def test_every_file_of_the_program_that_a_page_names_exists():
    pages = "\n".join(page.read_text(encoding="utf-8") for page in DOCS[1:])
    named = set(re.findall(r"`((?:benchmark|registry|suites|gestaltbench|docs)/[\w/]+\.\w+)`", pages))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def rows_of(name: str) -> list[dict[str, str]]:
    with (ROOT / "docs" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tables_of_results_are_drawn_from_their_file_and_costs_are_within_a_factor_of_four():
    script = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "measured_tables.py")))
    drawn = script.pages()
    assert len(drawn) > 5 and [path.name for path, text in drawn.items() if path.read_text() != text] == []
    rows = [row for row in rows_of("costs.csv") if row["what"] == "checked"]
    ratios = {(row["network"], row["suite"]): float(row["predicted"]) / float(row["measured"]) for row in rows}
    assert len(ratios) == 10
    assert {name: ratio for name, ratio in ratios.items() if not 0.5 <= ratio <= 4.1} == {}


def forms(row: dict[str, str]) -> list[tuple[str, ...]]:
    """Value and interval as pages write them, and as a terminal shows them."""
    value, *ends = (float(row[name]) for name in ("value", "low", "high"))
    plain = [f"{end:.3f}" for end in (value, *ends)]
    return [tuple(text.replace("0.", ".", 1) for text in plain), (f"{value:.4f}", *plain[1:])]


def test_no_page_quotes_an_estimate_that_no_script_wrote():
    """The tutorial has a test of its own."""
    rows = [row for name in ("numbers.csv", "reference.csv") for row in rows_of(name) if row["low"]]
    known = {form for row in rows for form in forms(row)}
    quoted = {}
    for page in DOCS:
        lines = [line for line in page.read_text(encoding="utf-8").splitlines() if " ideal-" not in line]
        for found in re.findall(rf"({END})\s+\[({END}),\s+({END})\]", "\n".join(lines)):
            quoted[tuple(end.lstrip("+") for end in found)] = page.name
    unknown = {ends: page for ends, page in quoted.items() if ends not in known and page != "tutorial.md"}
    assert len(quoted) > 100 and unknown == {}


#: Three decimals in prose that no script measures: constants of the program, and what publications report.
CONSTANTS = {".485", ".456", ".229", ".225", ".875", ".449", ".301"}


def test_three_decimals_in_prose_are_those_of_a_file():
    kept = {name: {f"{abs(float(row[key])):.3f}".replace("0.", ".", 1) for row in rows_of(f"{name}.csv")
                   for key in ("value", "low", "high", "share") if row.get(key)}
            for name in ("numbers", "coverage", "reference")}  # fmt: skip
    unknown = {}
    for page in DOCS:
        known = kept["numbers"] | kept["coverage"] | CONSTANTS
        known |= kept["reference"] if page.stem == "reference" else set()
        text = re.sub(r"```.*?```|^(    |\|).*?$", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
        unknown |= {end: page.name for end in re.findall(r"(?<![\d.\w])\.\d{3}(?!\d)", text) if end not in known}
    assert unknown == {}


def commands(block: str) -> list[str]:
    """The commands of a block: each begins with "$ " and may be a here-document."""
    return [match[1] for match in re.finditer(r"^\$ (.*<<END\n(?:.*\n)*?END|.*)$", block, flags=re.M)]


@pytest.mark.release
def test_the_commands_of_the_tutorial_print_what_it_shows(tmp_path):
    page = TUTORIAL.read_text(encoding="utf-8")
    places = {"BENCH_HOME": str(tmp_path / "home"), "BENCH_DB": "results.db", "COLUMNS": "100", "OMP_NUM_THREADS": "1"}

    def block_of(match: re.Match[str]) -> str:
        lines = []
        for command in commands(match[0]):
            how = {"cwd": tmp_path, "env": os.environ | places, "capture_output": True, "text": True}
            done = subprocess.run(["bash", "-c", command], check=False, **how)
            assert done.returncode == 0 and "bench:" not in done.stderr, done.stderr
            lines += [f"$ {command}", *(line.rstrip() for line in done.stdout.splitlines())]
        return "\n".join(lines) + "\n"

    again = BLOCK.sub(block_of, page)
    if os.environ.get("BENCH_WRITE_DOCS"):
        TUTORIAL.write_text(again, encoding="utf-8")
    assert NOISE.sub("noise", again) == NOISE.sub("noise", page) or os.environ.get("BENCH_WRITE_DOCS")
