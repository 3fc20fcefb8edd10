"""No input ends in a traceback: a reader gives an answer or says what is wrong with the file."""

import os
import threading
import warnings
from contextlib import suppress

import pytest
from image_set_inputs import KINDS, fuzz

from benchmark.errors import BenchError

OURS = {"catalogue", "memory"}  # the test itself reads these files
REFUSED = {"image-tiff-f"}  # floats have no known white


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", KINDS)
def test_the_unchanged_input_is_read(name, tmp_path, settings):
    kind = KINDS[name]
    for file, data in kind.files.items():
        path = tmp_path / "input" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    if name in REFUSED:
        with pytest.raises(BenchError):
            kind.read(tmp_path / "input", settings)
    else:
        kind.read(tmp_path / "input", settings)


@pytest.mark.parametrize("name", KINDS)
def test_a_few_changed_inputs(name, tmp_path):
    _, tracebacks = fuzz(name, 6, 0, tmp_path)
    assert not tracebacks


@pytest.mark.parametrize(
    ("name", "victim"), [(name, file) for name, kind in KINDS.items() for file in kind.files]
)
def test_a_named_pipe_in_place_of_a_file_is_not_waited_for(name, victim, tmp_path, settings):
    kind, ended = KINDS[name], []
    for file, data in kind.files.items():
        path = tmp_path / "input" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if file == victim and name not in OURS:
            os.mkfifo(path)
        else:
            path.write_bytes(data)

    def read():
        with suppress(BenchError):
            kind.read(tmp_path / "input", settings)
        ended.append(True)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(30)
    assert ended


@pytest.mark.slow
def test_many_changed_inputs(tmp_path, capsys):
    """Every kind a thousand times, under another seed."""
    counts = {name: fuzz(name, 1000, 1, tmp_path / name) for name in KINDS}
    inputs, answered = 1000 * len(counts), sum(good for good, _ in counts.values())
    tracebacks = [line for _, lines in counts.values() for line in lines]
    with capsys.disabled():
        print(
            f"\n{inputs} inputs of {len(counts)} kinds: {answered} answered, {len(tracebacks)} tracebacks"
        )
    assert inputs >= 30_000 and not tracebacks
