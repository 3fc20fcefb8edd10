"""Trials made by hand, and the published ones where BENCH_TEST_DATA points at them."""

import os
from pathlib import Path

import numpy as np
import pytest

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
            parts.setdefault(file.observer, []).append(columns)
    return {
        who: Trials(columns={name: np.concatenate([part[name] for part in found]) for name in found[0]})
        for who, found in parts.items()
    }


@pytest.fixture(scope="session")
def humans(data):
    return by_observer(data / "human-trials")


@pytest.fixture(scope="session")
def published(data):
    if not (data / "published-decisions").is_dir():
        pytest.skip("BENCH_TEST_DATA has no published-decisions")
    return by_observer(data / "published-decisions")


def build(right, role="contrast", condition="c50", start=0, category="cat"):
    """Trials from a list of 0/1: wrong answers say "dog"."""
    n = len(right)
    conditions = [condition] * n if isinstance(condition, str) else condition
    return Trials(
        columns={
            "role": np.full(n, role),
            "condition": np.array(conditions),
            "stimulus": np.array([f"image{start + i:04d}" for i in range(n)]),
            "category": np.full(n, category),
            "response": np.where(np.array(right, dtype=bool), category, "dog"),
        }
    )


@pytest.fixture(scope="session")
def make():
    return build


@pytest.fixture
def join():
    def together(*parts):
        return Trials(columns={n: np.concatenate([p[n] for p in parts]) for n in parts[0].columns})

    return together


@pytest.fixture
def find():
    """find(scores, metric, role="", condition=""): the one score of that name."""

    def one(scores, metric, role="", condition=""):
        found = [s for s in scores if (s.metric, s.role, s.condition) == (metric, role, condition)]
        assert len(found) == 1, f"{len(found)} scores of {metric} {role} {condition}"
        return found[0]

    return one
