"""A few of the kills of benchmarks/interruption.py and benchmarks/mixed_interruption.py, which kill more often."""

import importlib.util
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


def test_a_mixed_run_that_is_killed_twice_ends_as_uninterrupted(tmp_path, monkeypatch):
    tally = script("mixed_interruption", monkeypatch).interrupt(tmp_path, kills=2, limit=2, seed=1)
    assert (tally.killed, tally.wrong) == (2, [])
    assert tally.ended >= 1
