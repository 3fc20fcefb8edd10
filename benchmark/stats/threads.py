"""One thread for numpy's and scipy's matrix products: here they are small, and on a busy machine threads that wait for
one another cost thirty to a hundred times the product. torch keeps the threads that it was given.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[Any]:
    """Within it, BLAS uses the calling thread alone: numpy's, and scipy's where scipy has been imported before."""
    limited: AbstractContextManager[Any] = _libraries("scipy" in sys.modules).limit(limits=1, user_api="blas")
    return limited


@lru_cache(maxsize=2)
def _libraries(with_scipy: bool) -> ThreadpoolController:
    """What is loaded, looked at once; and once more when scipy has come, which takes longer than most scoring."""
    if with_scipy:
        import scipy.linalg  # noqa: F401  # its BLAS is seen only once it is loaded

    return ThreadpoolController()
