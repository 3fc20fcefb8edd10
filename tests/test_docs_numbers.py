"""Numbers on pages are those of the files that scripts wrote: tables of results, intervals, ratios of speed."""

import csv
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
END = r"[-+]?\d?\.\d+"


def rows_of(name: str) -> list[dict[str, str]]:
    with (ROOT / "docs" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tables_of_results_are_drawn_from_their_file():
    script = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "measured_tables.py")))
    drawn = script.pages()
    assert len(drawn) > 5 and [path.name for path, text in drawn.items() if path.read_text() != text] == []


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
    for page in PAGES:
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
    for page in PAGES:
        known = kept["numbers"] | kept["coverage"] | CONSTANTS
        known |= kept["reference"] if page.stem == "reference" else set()
        text = re.sub(r"```.*?```|^(    |\|).*?$", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
        unknown |= {end: page.name for end in re.findall(r"(?<![\d.\w])\.\d{3}(?!\d)", text) if end not in known}
    assert unknown == {}


def test_the_model_of_costs_is_within_a_factor_of_four_of_small_runs():
    rows = [row for row in rows_of("costs.csv") if row["what"] == "checked"]
    ratios = {(row["network"], row["suite"]): float(row["predicted"]) / float(row["measured"]) for row in rows}
    assert len(ratios) == 10
    assert {name: ratio for name, ratio in ratios.items() if not 0.5 <= ratio <= 4.1} == {}
