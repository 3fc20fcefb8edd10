"""Trials made by hand, and the published ones where BENCH_TEST_DATA points at them."""

import os
from pathlib import Path

import numpy as np
import pytest
from answers import build, joined

from benchmark.contracts import Trials
from suites.human_comparison.shown_experiments import SET_ROLES


@pytest.fixture(scope="session")
def data():
    folder = os.environ.get("BENCH_TEST_DATA")
    if not folder or not (Path(folder) / "human-trials").is_dir():
        pytest.skip("BENCH_TEST_DATA names no folder with human-trials")
    return Path(folder)


def by_observer(folder):
    from benchmark.stimuli.trial_tables import read_tables

    parts = {}
    for file in read_tables(folder).files:
        if file.experiment in SET_ROLES:
            names = ("condition", "stimulus", "category", "response")
            columns = {name: file.columns[name] for name in names}
            columns["role"] = np.full(len(file), SET_ROLES[file.experiment])
            parts.setdefault(file.observer, []).append(Trials(columns=columns))
    return {who: joined(*found) for who, found in parts.items()}


@pytest.fixture(scope="session")
def humans(data):
    return by_observer(data / "human-trials")


@pytest.fixture(scope="session")
def published(data):
    if not (data / "published-decisions").is_dir():
        pytest.skip("BENCH_TEST_DATA has no published-decisions")
    return by_observer(data / "published-decisions")


@pytest.fixture(scope="session")
def make():
    return build


@pytest.fixture
def join():
    return joined


@pytest.fixture
def find():
    """find(scores, metric, role="", condition=""): the one score of that name."""

    def one(scores, metric, role="", condition=""):
        found = [s for s in scores if (s.metric, s.role, s.condition) == (metric, role, condition)]
        assert len(found) == 1, f"{len(found)} scores of {metric} {role} {condition}"
        return found[0]

    return one
