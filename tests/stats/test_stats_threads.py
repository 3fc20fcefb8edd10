"""One thread for matrix products, in a process of its own: imports stay."""

import subprocess
import sys

import pytest

CODE = """
import numpy
from threadpoolctl import threadpool_info
from benchmark.stats.threads import one_blas_thread
with one_blas_thread():
    print(*[library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"])
"""


@pytest.mark.slow
def test_numpys_and_scipys_products_take_one_thread():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1"]
