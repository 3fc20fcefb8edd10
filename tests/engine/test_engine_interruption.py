"""Two of the kills of benchmarks/interruption.py, which kills twenty times."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "interruption.py"


def test_killed_runs_go_on_where_they_were(tmp_path, capsys, monkeypatch):
    if not SCRIPT.exists():
        pytest.skip("the benchmark scripts are not here")
    monkeypatch.syspath_prepend(SCRIPT.parent)  # it imports its neighbours
    spec = importlib.util.spec_from_file_location("interruption", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    __import__("sys").modules["interruption"] = script
    spec.loader.exec_module(script)
    assert script.interrupt(tmp_path, kills=2, limit=12, seed=1) == 2
    assert "2 of 2 kills" in capsys.readouterr().out
