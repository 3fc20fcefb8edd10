"""Published networks against counts of our own: shape bias of every observer, agreement with people to 1e-6.

On the archives of published trials; skipped, with the reason, where BENCH_TEST_DATA does not lead to them. Nothing of
the package reads the tables for the expected values."""

import os
import re
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from answers import MEASURES

from benchmark.contracts import Trials
from benchmark.stimuli.trial_tables import read_tables
from suites.cue_conflict.shape_bias import score as cue_scores
from suites.human_comparison.against_people import people_scores
from suites.human_comparison.shown_experiments import BY_ROLE, SET_ROLES

pytestmark = pytest.mark.slow
ARCHIVES = {"error-consistency": ("cue-conflict", 18), "vlm_shapebias": (".", 55)}  # tables to read; answer sets
NETWORK = os.environ.get("BENCH_TEST_NETWORK", "resnet50")
PAIR = r"([a-z]+)\d+-([a-z]+)\d+(?:\.png)?$"


@pytest.fixture
def unpacked(tmp_path):
    """unpacked(archive, pattern): the folder of the tables whose paths hold the pattern."""
    data = os.environ.get("BENCH_TEST_DATA")
    archives = Path(data or ".") / "published-trials"
    if not data or not archives.is_dir():
        pytest.skip("no archives of published trials: set BENCH_TEST_DATA")

    def unpack(name, pattern):
        with tarfile.open(archives / f"{name}.tar.xz") as tar:
            wanted = [member for member in tar if re.search(pattern, member.name)]
            tar.extractall(tmp_path / name, wanted, filter="data")
        return tmp_path / name

    return unpack


def lines(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig").rename(columns=str.lower)


def counted(path: Path) -> tuple[int, int]:
    """Shape and texture answers of a cue-conflict table on images whose cues differ."""
    table = lines(path)
    answer = table["object_response" if "object_response" in table else "pred_label"]
    cues = table["imagename" if "imagename" in table else "image"].str.extract(PAIR)
    conflict = cues[0] != cues[1]
    return int((conflict & (answer == cues[0])).sum()), int((conflict & (answer == cues[1])).sum())


def role_trials(file, role: str) -> Trials:
    columns = {name: file.columns[name] for name in ("stimulus", "category", "response", "condition")}
    columns["role"] = np.full(len(file), role)
    if role == "cue-conflict":
        named = [re.fullmatch(PAIR, one) for one in columns["stimulus"]]
        columns["shape"], columns["texture"] = (np.array([m[i] for m in named]) for i in (1, 2))
    return Trials(columns=columns)


@pytest.mark.release
@pytest.mark.parametrize("name", ARCHIVES)
def test_shape_bias_of_every_observer_is_a_count(unpacked, name):
    pattern, count = ARCHIVES[name]
    files = [file for file in read_tables(unpacked(name, pattern)).files if file.experiment == "cue-conflict"]
    assert sum(file.kind != "human" for file in files) == count
    for file in files:
        shape, texture = counted(file.path)
        bias = next(one for one in cue_scores(None, role_trials(file, "cue-conflict")) if one.metric == "shape_bias")
        assert (bias.value, bias.n) == (shape / (shape + texture), shape + texture), file.path


def right_answers(path: Path) -> dict[str, pd.Series]:
    """Condition, in one spelling -> image (without its observer's prefix) -> right, sorted by image."""
    table = lines(path)
    image = table["imagename"].str.replace(r"^\d{4}_[a-z0-9]+_(dnn|s\d+)_[^_]+_[a-z]+_\d+_", "", regex=True)
    right = (table["object_response"] == table["category"]).astype(float).set_axis(image)
    return {name: part.sort_index() for name, part in right.groupby(table["condition"].map(spelled).to_numpy())}


def spelled(condition: str) -> str:
    return str(float(condition)) if re.fullmatch(r"[\d.]+", condition) else condition.lower()


@pytest.mark.release
def test_agreement_with_people_is_an_independent_computation(unpacked):
    """Mean over conditions of the mean over people (the same as people first: all saw the same)."""
    files = read_tables(unpacked("model-vs-human-dmc", rf"subject-|[_/]{NETWORK}_session")).files
    experiments = {one.experiment: one for one in files if one.observer == NETWORK}
    assert len(experiments) == 17
    for experiment, own in experiments.items():
        role = SET_ROLES[experiment]
        crowd = [one for one in files if one.experiment == experiment and one.kind == "human"]
        mine, *theirs = (right_answers(one.path) for one in (own, *crowd))
        if BY_ROLE[role].single:  # one condition, whatever it is called
            pairs = [(next(iter(mine.values())), next(iter(each.values()))) for each in theirs]
        else:
            pairs = [(mine[one], each[one]) for each in theirs for one in map(spelled, BY_ROLE[role].averaged)]
        assert all(a.index.equals(b.index) for a, b in pairs)
        answers = [(a.to_numpy(), b.to_numpy()) for a, b in pairs]
        expected = [np.mean([measure(*pair) for pair in answers]) for measure in MEASURES.values()]
        people = {str(one.who): role_trials(one, role) for one in crowd}
        found = people_scores(None, role_trials(own, role), people)
        scores = {score.metric: score.value for score in found if score.condition == "kept"}
        assert [scores[name] for name in MEASURES] == pytest.approx(expected, abs=1e-6), experiment
