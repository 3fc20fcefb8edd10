"""Running `bench` where a third party's package is installed."""

import os
import subprocess
import sys

import pytest


@pytest.fixture
def bench_with(tmp_path):
    """call(folder, *words): `bench WORDS...` in a process that has the packages of a folder installed."""

    def call(folder, *words):
        code = "from benchmark.cli import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code, *words],
            env={**os.environ, "PYTHONPATH": str(folder)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return call
