"""A few of the kills of benchmarks/interruption.py and benchmarks/mixed_interruption.py, which kill more often."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


def script(name, monkeypatch):
    """A benchmark as a module."""
    if not (SCRIPTS / f"{name}.py").exists():
        pytest.skip("the benchmark scripts are not here")
    monkeypatch.syspath_prepend(SCRIPTS)  # it imports its neighbours
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_a_killed_run_goes_on_where_it_was(tmp_path, capsys, monkeypatch):
    interrupt = script("interruption", monkeypatch).interrupt
    assert interrupt(tmp_path, kills=1, limit=12, seed=1) == 1
    assert "1 of 1 kills" in capsys.readouterr().out


def test_a_mixed_run_that_is_killed_twice_ends_as_uninterrupted():
    """In a process of its own: the script forks, and where a process has had a GPU's gradients, forks have none."""
    if not (path := SCRIPTS / "mixed_interruption.py").exists():
        pytest.skip("the benchmark scripts are not here")
    words = [sys.executable, str(path), "--kills", "2", "--limit", "2", "--seed", "1"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 kills, " in ended.stdout and ", 0 of them" in ended.stdout
