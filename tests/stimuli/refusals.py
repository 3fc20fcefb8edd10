"""How what is wrong with a set is said."""

import pytest

from benchmark.errors import BenchError


def refused(message, call, *words, **how):
    """The call ends with one error that says so; its text."""
    with pytest.raises(BenchError, match=message) as error:
        call(*words, **how)
    return str(error.value)
