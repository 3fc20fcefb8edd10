"""Published networks against counts of our own: shape bias of every observer, agreement with people to 1e-6.

On the archives of published trials; skipped, with the reason, where BENCH_TEST_DATA does not lead to them. Nothing of
the package reads the tables for the expected values.
"""

import csv
import os
import re
import tarfile
from collections import defaultdict
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from benchmark.contracts import Trials
from benchmark.stimuli.trials import read_tables
from suites.cue_conflict.score import score as cue_scores
from suites.human_comparison.comparing import compare
from suites.human_comparison.experiments import BY_ROLE, SET_ROLES

pytestmark = pytest.mark.slow
COUNTS = {"error-consistency": 18, "model-vs-human-dmc": 8, "vlm_shapebias": 55}  # answer sets
NETWORKS = ("resnet50", "vit_b_16")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    data = os.environ.get("BENCH_TEST_DATA")
    archives = Path(data or ".") / "published-trials"
    if not data or not archives.is_dir():
        pytest.skip("no archives of published trials: set BENCH_TEST_DATA")
    root = tmp_path_factory.mktemp("published")
    for name in COUNTS:
        with tarfile.open(archives / f"{name}.tar.xz") as tar:
            tar.extractall(root / name, filter="data")
    return root


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return [{key.lower(): text for key, text in row.items()} for row in csv.DictReader(file)]


def counted(path: Path) -> tuple[int, int] | None:
    """Shape and texture answers of a cue-conflict table on images whose cues differ; None for other tables."""
    shape = texture = 0
    for row in lines(path):
        answer = row.get("object_response") or row.get("pred_label")
        name = re.search(r"([a-z]+)\d+-([a-z]+)\d+(\.png)?$", row.get("imagename") or row.get("image") or "")
        if name is None or answer is None:
            return None
        if name[1] != name[2]:
            shape, texture = shape + (answer == name[1]), texture + (answer == name[2])
    return shape, texture


def role_trials(file, role: str) -> Trials:
    columns = {name: file.columns[name] for name in ("stimulus", "category", "response", "condition")}
    columns["role"] = np.full(len(file), role)
    if "margin" in file.columns:
        columns["margin"] = file.columns["margin"]
    if role == "cue-conflict":
        named = [re.fullmatch(r"([a-z]+)\d+-([a-z]+)\d+\.png", one) for one in columns["stimulus"]]
        columns["shape"], columns["texture"] = (np.array([m[i] for m in named]) for i in (1, 2))
    return Trials(columns)


@pytest.mark.parametrize("name", COUNTS)
def test_shape_bias_of_every_observer_is_a_count(unpacked, name):
    files = [one for one in read_tables(unpacked / name).files if one.experiment == "cue-conflict"]
    networks = [one for one in files if one.kind != "human"]
    assert len(networks) == COUNTS[name]
    for file in files:
        shape, texture = counted(file.path)
        bias = next(one for one in cue_scores(None, role_trials(file, "cue-conflict")) if one.metric == "shape_bias")
        assert (bias.value, bias.n) == (shape / (shape + texture), shape + texture), file.path


def right_and_wrong(folder: Path) -> dict[str, dict[str, dict[str, bool]]]:
    """observer -> condition as in the file -> image (without its observer's prefix) -> right."""
    found: dict = defaultdict(lambda: defaultdict(dict))
    for path in folder.glob("*.csv"):
        for row in lines(path):
            image = re.sub(r"^\d{4}_[a-z0-9]+_(dnn|s\d+)_[^_]+_[a-z]+_\d+_", "", row["imagename"])
            found[row["subj"]][row["condition"]][image] = row["object_response"] == row["category"]
    return found


def by_hand(answers, network: str, conditions) -> dict[str, float]:
    """Mean over conditions of the mean over people (the same as people first: all saw the same)."""
    people = [name for name in answers if name.startswith("subject-")]
    rows = []
    for (mine, theirs), who in product(conditions, people):
        a, b = answers[network][mine], answers[who][theirs]
        assert a.keys() == b.keys()
        x, y = (np.array([one[image] for image in sorted(a)], float) for one in (a, b))
        same, p, q = (x == y).mean(), x.mean(), y.mean()
        chance = p * q + (1 - p) * (1 - q)
        rows.append((1.0 if same == 1 else (same - chance) / (1 - chance), same, (p - q) ** 2))
    names = ("error_consistency", "observed_consistency", "accuracy_difference")
    return dict(zip(names, np.mean(rows, axis=0), strict=True))


@pytest.mark.parametrize("network", os.environ.get("BENCH_TEST_NETWORKS", ",".join(NETWORKS)).split(","))
def test_agreement_with_people_is_an_independent_computation(unpacked, network):
    root = unpacked / "model-vs-human-dmc"
    files = [one for one in read_tables(root).files if one.kind == "human" or one.observer == network]
    experiments = {one.experiment: one.path.parent for one in files if one.observer == network}
    assert len(experiments) == 17
    for experiment, folder in experiments.items():
        role = SET_ROLES[experiment]
        same = [one for one in files if one.experiment == experiment]
        (mine,) = (role_trials(one, role) for one in same if one.observer == network)
        people = {str(one.named): role_trials(one, role) for one in same if one.kind == "human"}
        answers = right_and_wrong(folder)
        spelled = {one.canonical: one for one in map(Spelling, answers[network])}
        theirs = {
            one.canonical: one
            for one in map(Spelling, next(v for k, v in answers.items() if k != network and k.startswith("subject-")))
        }
        kept = [""] if BY_ROLE[role].single else [Spelling(one).canonical for one in BY_ROLE[role].kept]
        names = (
            [(next(iter(answers[network])), next(iter(theirs.values())).text)]
            if kept == [""]
            else [(spelled[one].text, theirs[one].text) for one in kept]
        )
        expected = by_hand(answers, network, names)
        found = {one.metric: one.value for one in compare(None, mine, people) if one.condition == "kept"}
        for metric, value in expected.items():
            assert found[metric] == pytest.approx(value, abs=1e-6), (experiment, metric)


class Spelling:
    """A condition as a file writes it, and in one spelling."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self.canonical = str(float(text))
        except ValueError:
            self.canonical = text.lower()
