"""The one command that runs every benchmark: what it reads of their lines, and that it knows all of them."""

import ast
import runpy
import sys
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import SimpleNamespace

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def runner(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return SimpleNamespace(**runpy.run_path(str(FOLDER / "all.py")))


def test_a_line_is_read_by_its_fields(runner):
    line = "RATIO pgd/foolbox 0.128 (as a user has it; 0.126 ... 0.130 (3 rounds))"
    wanted = ("pgd/foolbox", "0.128", "as a user has it; 0.126 ... 0.130 (3 rounds)")
    assert runner.parsed(line) == wanted


@pytest.mark.parametrize(
    "line",
    ["RATIO a name 0.5 (x)", "RATIO name 0.5", "RATIO name half (x)", "RATIO name 0.5 (x) more"],
)
def test_another_line_is_refused(runner, line):
    with pytest.raises(ValueError):
        runner.parsed(line)


def test_every_script_runs_or_is_left_out_with_a_reason(runner):
    scripts = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "all", "ratios"}
    assert set(runner.SCRIPTS) | set(runner.LEFT_OUT) == scripts
    assert not set(runner.SCRIPTS) & set(runner.LEFT_OUT)


def test_the_page_has_machine_versions_and_what_is_missing(runner):
    ran = runner.Outcome("board", (("board_cpu", "1.250", "pandas | csv"),), "", 12.4)
    bare = runner.Outcome("corruptions", (), "needs photographs")
    text = runner.page([ran, bare])
    assert "| board_cpu | 1.250 | pandas / csv | board |" in text
    assert "| benchmarks/board.py |  | 12 |  |" in text
    assert "| benchmarks/corruptions.py | --count 4 --rounds 3 | 0 | needs photographs |" in text
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}" in text
    assert "torch 2" in text
    assert "cores" in text


def test_what_fails_says_its_last_line_and_what_hangs_is_stopped(runner, tmp_path, monkeypatch):
    for name, code in {
        "board": "raise SystemExit('needs photographs')",
        "folders": "import time; time.sleep(60)",
        "overhead": "print('RATIO share 0.500 (all)')",
    }.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.setitem(runner.run.__globals__, "HERE", tmp_path)
    assert runner.run("board", 60).lacks == "needs photographs"
    assert runner.run("folders", 0.2).lacks == "took longer than 0 s"
    assert runner.run("overhead", 60).ratios == (("share", "0.500", "all"),)
    assert runner.run("overhead", 60).lacks == ""


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
