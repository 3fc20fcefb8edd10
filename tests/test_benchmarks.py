"""Benchmark scripts: the lines that they print, and that what they take from the program is there."""

import ast
import runpy
import sys
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import SimpleNamespace

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def test_names_have_no_blanks(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(FOLDER))
    lines = SimpleNamespace(**runpy.run_path(str(FOLDER / "ratios.py")))
    lines.ratio(lines.slug("size", "of clean", "n=160 x 5, clean 0.9"), 1.0, "nominal")
    assert capsys.readouterr().out == "RATIO size_of_clean_n160_x_5_clean_0.9 1.000 (nominal)\n"
    with pytest.raises(ValueError, match="no blanks"):
        lines.ratio("of clean", 1.0, "nominal")


def test_no_script_hides_a_package_that_others_import():
    """Scripts are on the path of whatever they import: benchmarks/coverage.py stopped numba."""
    scripts = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert not scripts & set(sys.stdlib_module_names)
    hidden = {name for name in scripts if found_elsewhere(name)}
    assert hidden == set()


def found_elsewhere(name):
    rest = [place for place in sys.path if place and Path(place).resolve() != FOLDER]
    found = PathFinder.find_spec(name, rest)
    return found is not None and found.origin is not None


ROOT = FOLDER.parent
ROOMS = ("benchmark", "benchmarks", "gestaltbench", "registry", "suites")


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.stem)
def test_what_a_script_takes_from_the_program_is_there(script):
    """Scripts run seldom: a name that a room gave up is missed in them last. Nothing is imported."""
    missing = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(script.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
        if node.module.partition(".")[0] in ROOMS
        for alias in node.names
        if not has(node.module, alias.name)
    ]
    assert missing == []


def has(module, name):
    """Whether a module of the repository has a submodule of that name, or names it anywhere at its top level."""
    place = ROOT.joinpath(*module.split("."))
    if place.joinpath(name).is_dir() or place.joinpath(f"{name}.py").is_file():
        return True
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return file.is_file() and name in named_in(file)


@cache
def named_in(file):
    return names(ast.parse(file.read_text()).body)


def names(body):
    """What the statements define: functions, classes, assignments, imports."""
    found = set()
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.ImportFrom() | ast.Import():
                found |= {alias.asname or alias.name for alias in node.names}
            case ast.If() | ast.Try():
                found |= names(node.body) | names(node.orelse)
            case _:
                stored = (n for n in ast.walk(node) if isinstance(n, ast.Name))
                found |= {n.id for n in stored if isinstance(n.ctx, ast.Store)}
    return found
