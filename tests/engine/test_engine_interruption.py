"""A few of the kills of benchmarks/mixed_interruption.py, which kills more often."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "mixed_interruption.py"


def test_a_mixed_run_that_is_killed_twice_ends_as_uninterrupted():
    """In a process of its own: the script forks, and where a process has had a GPU's gradients, forks have none."""
    if not SCRIPT.exists():
        pytest.skip("the benchmark scripts are not here")
    words = [sys.executable, str(SCRIPT), "--kills", "2", "--limit", "2", "--seed", "1"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 kills, " in ended.stdout and ", 0 of them" in ended.stdout
