"""How files are written, sets are added and opened, and how what is wrong with one is said."""

from functools import partial

import pytest

from benchmark.failures import BenchError, MissingStimuli
from benchmark.stimuli.datasets import open_set
from benchmark.stimuli.fetch import add_folder


def write(path, text):
    """A file of a text or of bytes, with the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def opened(name, folder, settings, **how):
    add_folder(name, folder, settings, **how)
    return open_set(name, settings)


def refused(message, call, *words, kind=BenchError, **how):
    """The call ends with one error of one line that says so; its text."""
    with pytest.raises(kind, match=message) as error:
        call(*words, **how)
    assert "\n" not in str(error.value)
    return str(error.value)


missing = partial(refused, kind=MissingStimuli)
