"""Whatever the order of files and rows, and whatever comes twice: the same images, the same answers."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.engine.importing import _observation, joined
from benchmark.stimuli.regenerate import trial_stimuli
from benchmark.stimuli.trials import TrialFile

pytestmark = pytest.mark.slow

IMAGES = [f"cat{i}-dog{i}.png" for i in range(1, 9)]
ANSWERS = ["cat", "dog", "na", "cat", "bear", "dog", "cat", "truck"]


def file(rows: list[int]) -> TrialFile:
    """One table with these images, in this order."""
    columns = {
        "stimulus": np.array([IMAGES[i] for i in rows]),
        "category": np.full(len(rows), "cat"),
        "response": np.array([ANSWERS[i] for i in rows]),
        "condition": np.full(len(rows), ""),
        "session": np.array([str(i) for i in range(len(rows))]),
        "trial": np.array([str(i) for i in rows]),
        "rt": np.full(len(rows), np.nan),
        "margin": np.array([i / 2 for i in rows]),
    }
    return TrialFile(Path("x.csv"), "cue-conflict", "net", "published", columns, "lab")


def imported(files: list[TrialFile]) -> tuple[str, dict[str, list[object]]]:
    """Which set of images, and what was answered to each."""
    whole = joined(files)
    stimuli = trial_stimuli([whole])
    _, columns = _observation(whole, stimuli, "observer")
    return stimuli.digest, {name: columns[name].tolist() for name in ("response", "margin")}


@given(st.lists(st.lists(st.sampled_from(range(8)), min_size=1, unique=True), min_size=1), st.randoms())
@settings(max_examples=60, deadline=None)
def test_order_and_duplicates_change_nothing(parts, random):
    before = imported([file(rows) for rows in parts])
    again = [list(rows) for rows in parts] + [list(random.choice(parts))]
    for rows in again:
        random.shuffle(rows)
    random.shuffle(again)
    assert imported([file(rows) for rows in again]) == before
