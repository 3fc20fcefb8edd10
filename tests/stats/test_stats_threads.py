"""One thread for matrix products, of whichever libraries are there. In processes of their own: imports stay."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def said(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_scipy_is_not_imported_for_it():
    code = """
import sys
from benchmark.stats.threads import one_blas_thread
with one_blas_thread():
    print("scipy" in sys.modules)
"""
    assert said(code) == ["False"]


def test_scipy_that_comes_later_is_limited_too():
    code = """
import sys
import numpy
from threadpoolctl import threadpool_info
from benchmark.stats.threads import one_blas_thread
def threads():
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]
with one_blas_thread():
    before = threads()
import scipy.special
with one_blas_thread():
    after = threads()
print(set(before + after) == {1}, len(after) > len(before))
"""
    assert said(code) == ["True", "True"]
