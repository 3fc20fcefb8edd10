"""One thread for numpy's and scipy's matrix products: here they are small, and on a busy machine threads that wait for
one another cost thirty to a hundred times the product. torch keeps the threads that it was given."""

from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[Any]:
    """Within it, BLAS uses the calling thread alone: numpy's and scipy's."""
    limited: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limited


@lru_cache  # to look for them takes longer than most scoring
def _libraries() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  # its BLAS is seen only once it is loaded

    return ThreadpoolController()
