"""How what is wrong with a set is said."""

from functools import partial

import pytest

from benchmark.failures import BenchError, MissingStimuli


def refused(message, call, *words, kind=BenchError, **how):
    """The call ends with one error of one line that says so; its text."""
    with pytest.raises(kind, match=message) as error:
        call(*words, **how)
    assert "\n" not in str(error.value)
    return str(error.value)


missing = partial(refused, kind=MissingStimuli)
