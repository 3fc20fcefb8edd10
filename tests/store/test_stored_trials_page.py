"""The page on stored trials: its program reads what the store wrote, without the store."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.store import open_store

PAGE = Path(__file__).parents[2] / "docs" / "stored-trials.md"


def program():
    (found,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    return found


@pytest.mark.slow
def test_the_program_of_the_page_prints_stored_trials(path, made):
    with open_store(str(path)) as store:
        _, observer = made.world(store)
        made.answers(store, "0" * 64, observer)
    words = [sys.executable, "-I", "-c", program(), str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    first, *_ = done.stdout.splitlines()
    assert len(done.stdout.splitlines()) == 3  # ten trials in chunks of four
    assert first == "net cue-conflict  ['answer 0' 'answer 1' 'answer 2']"
