"""Packages to begin with: they pass their own tests, and what cannot be written is one clear message."""

import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmark.errors import BenchError
from benchmark.templates import KINDS, write_package

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_is_complete(kind, tmp_path):
    names = {str(path) for path in write_package("my-own", kind, tmp_path)}
    assert {"README.md", "pyproject.toml", "my_own/__init__.py", "tests/test_my_own.py"} <= names
    for path in (tmp_path / "my-own").rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert "$" not in text and "__module__" not in str(path) and path.suffix != ".tmpl"
            if path.suffix == ".py":
                compile(text, str(path), "exec")


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_installs_as_its_first_page_says(kind, tmp_path):
    write_package("my-own", kind, tmp_path)
    project = tomllib.loads((tmp_path / "my-own" / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"] == {"test": ["pytest"]}
    assert "pip install -e '.[test]'" in (tmp_path / "my-own" / "README.md").read_text()


def test_a_suite_calls_its_stimuli_by_the_role_that_it_asks_for(tmp_path, monkeypatch):
    """`bench suites show` says how a set is added for them: `bench data add --role ROLE`."""
    write_package("my-own", "suite", tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "my-own")
    suite = importlib.import_module("my_own").SUITE
    assert {metric.role for metric in suite.metrics} == {suite.config.role} == {"natural"}


@pytest.mark.slow
def test_templates_are_typed(tmp_path):
    """As in a package of a third party: gestaltbench is installed, not the folder that is looked at."""
    pytest.importorskip("mypy")
    for kind in KINDS:
        write_package(f"my-{kind}", kind, tmp_path)
    folders = [str(path) for kind in KINDS for path in (f"my-{kind}/my_{kind}", f"my-{kind}/tests")]
    env = {**os.environ, "MYPYPATH": os.pathsep.join(f"my-{kind}" for kind in KINDS)}
    words = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", *folders]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_template_passes_its_own_tests(kind, tmp_path):
    write_package("my-own", kind, tmp_path)
    place = tmp_path / "my-own"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(place), str(ROOT)])}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(place)]
    done = subprocess.run(words, cwd=place, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("My Suite", "small letters"),
        ("../out", "small letters"),
        ("1st", "small letters"),
        ("json", "installed already"),
        ("benchmark", "installed already"),
    ],
)
def test_bad_names(name, expected, tmp_path):
    with pytest.raises(BenchError, match=expected):
        write_package(name, "suite", tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path):
    write_package("mine", "suite", tmp_path)
    with pytest.raises(BenchError, match="there already"):
        write_package("mine", "map", tmp_path)


def test_the_command(bench, tmp_path):
    done = bench("suites", "new", "mirror-test")
    assert done.code == 0 and "mirror-test/mirror_test/plan.py" in done.out
    assert "pip install -e 'mirror-test[test]' && pytest mirror-test" in done.out
    assert bench("suites", "new", "Mirror").errors[0].startswith("bench: 'Mirror' cannot name")
