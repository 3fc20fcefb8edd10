"""Benchmark scripts: the lines that they print, and that what they take from the program is there."""

import ast
import runpy
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import SimpleNamespace

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
ROOMS = ("benchmark", "gestaltbench", "registry", "suites")


def test_calls_take_turns_until_their_ratio_is_known_and_each_run_is_kept_with_its_day(monkeypatch, capsys, tmp_path):
    monkeypatch.syspath_prepend(str(FOLDER))
    ratios = SimpleNamespace(**runpy.run_path(str(FOLDER / "ratios.py")))
    ratios.ratio("size_n160", 1.0, "nominal")
    printed = capsys.readouterr().out
    assert printed == "RATIO size_n160 1.000 (nominal)\n"
    kept = tmp_path / "kept.csv"
    kept.write_text("ratio,value,day,processor,baseline,script\nother,3,2026-11-29,p,b,that\n")
    for day in ("2026-11-29", *["2026-11-30"] * 10):
        ratios.keep("this", ["a line", printed], day, kept)
    rows = [line.split(",") for line in kept.read_text().splitlines()[1:]]
    assert rows[0] == ["other", "3", "2026-11-29", "p", "b", "that"]
    assert [(row[0], row[2]) for row in rows[1:]] == [("size_n160", "2026-11-30")] * 10
    with pytest.raises(ValueError, match="no blanks"):
        ratios.ratio("of clean", 1.0, "nominal")
    # Calls take turns: equal seconds end after three rounds; seconds that never settle, when the time is up.
    steady = ratios.by_turns([lambda: 2.0, lambda: 3.0])
    assert steady.tolist() == [[2.0, 3.0]] * 3
    seconds = iter([1.0, 5.0, 2.0] + [3.0] * 200)
    rounds = ratios.by_turns([lambda: 3.0, lambda: next(seconds)])
    assert 100 > len(rounds) > 4 and ratios.spread(rounds) <= 0.01 < ratios.spread(rounds[:-1])
    wild = iter(range(1, 10**6))
    assert len(ratios.by_turns([lambda: 1.0, lambda: float(next(wild))], longest=0.0)) == 3


def test_no_script_hides_a_package_that_others_import():
    """Scripts are on the path of whatever they import: benchmarks/coverage.py stopped numba."""
    scripts = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    rest = [place for place in sys.path if place and Path(place).resolve() != FOLDER]
    elsewhere = {name: PathFinder.find_spec(name, rest) for name in scripts - set(sys.stdlib_module_names)}
    assert elsewhere.keys() == scripts
    assert [name for name, spec in elsewhere.items() if spec is not None and spec.origin is not None] == []


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.stem)
def test_what_a_script_takes_from_the_program_is_there(script):
    """Scripts run seldom: a name that a room gave up is missed in them last."""
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in ROOMS:
            exec(ast.unparse(node), {})
