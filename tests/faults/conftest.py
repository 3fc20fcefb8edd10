"""Runs in processes of their own, which signals reach, and what they leave behind."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "engine"))  # the toys of the engine's tests


@pytest.fixture
def interruption(monkeypatch, tmp_path):
    """benchmarks/interruption.py as a module: it starts runs and compares what they leave."""
    path = ROOT / "benchmarks" / "interruption.py"
    if not path.exists():
        pytest.skip("the benchmark scripts are not here")
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.syspath_prepend(path.parent)
    spec = importlib.util.spec_from_file_location("interruption", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "interruption", module)
    spec.loader.exec_module(module)
    return module
