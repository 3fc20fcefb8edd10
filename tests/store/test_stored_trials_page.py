"""The page on stored trials: its program reads what the store wrote, without the store."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmark.store import open_store
from benchmark.store.codec import encode

PAGE = Path(__file__).parents[2] / "docs" / "stored-trials.md"


def program():
    (found,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    return found


def test_the_program_of_the_page_prints_stored_trials(path, made):
    with open_store(str(path)) as store:
        _, observer = made.world(store)
        made.answers(store, "0" * 64, observer)
    words = [sys.executable, "-I", "-c", program(), str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    first, *_ = done.stdout.splitlines()
    assert len(done.stdout.splitlines()) == 3  # ten trials in chunks of four
    assert first == "net cue-conflict  ['answer 0' 'answer 1' 'answer 2']"


def test_its_reader_gives_back_every_kind_of_column():
    definitions, _ = program().split("QUERY = ")
    names = {}
    exec(definitions, names)
    stored = {
        "text": np.array(["b", "a", "b"]),
        "numbers": np.array([1.5, np.nan, -0.0], dtype=np.float32),
        "vectors": np.arange(6, dtype=np.int16).reshape(3, 2),
        "right": np.array([True, False, True]),
        "nothing": np.empty((3, 0)),
    }
    found = names["columns"](encode(stored))
    assert list(found) == list(stored)
    for name, values in stored.items():
        np.testing.assert_array_equal(found[name], values, strict=True)
