"""Packages to begin with: they pass their own tests, and what cannot be written is one clear message."""

import os
import subprocess
import sys
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
