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


def test_ratios_are_kept_by_script_and_names_have_no_blanks(monkeypatch, capsys, tmp_path):
    monkeypatch.syspath_prepend(str(FOLDER))
    lines = SimpleNamespace(**runpy.run_path(str(FOLDER / "ratios.py")))
    lines.ratio(lines.slug("size", "of clean", "n=160 x 5, clean 0.9"), 1.0, "nominal")
    printed = capsys.readouterr().out
    assert printed == "RATIO size_of_clean_n160_x_5_clean_0.9 1.000 (nominal)\n"
    kept = tmp_path / "kept.csv"
    kept.write_text("ratio,value,baseline,script\nold,2,a,this\nother,3,b,that\n")
    lines.keep("this", ["a line", printed], kept)
    assert kept.read_text().splitlines()[1:] == [
        "other,3,b,that",
        "size_of_clean_n160_x_5_clean_0.9,1.000,nominal,this",
    ]
    with pytest.raises(ValueError, match="no blanks"):
        lines.ratio("of clean", 1.0, "nominal")


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
