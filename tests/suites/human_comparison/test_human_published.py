"""The published numbers, from the published trials; each also by a straight line of pandas."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from answers import kappa

from benchmark.stats import compare_ratio
from benchmark.stats.ratios import correct, share
from suites.human_comparison import SUITE
from suites.human_comparison.against_people import people
from suites.human_comparison.metrics import accuracy_name
from suites.human_comparison.shown_experiments import BY_ROLE

pytestmark = pytest.mark.slow

KAPPAS = {
    "colour": 0.4154, "contrast": 0.4370, "cue-conflict": 0.3311, "edges": 0.3184, "eidolonI": 0.3863,
    "eidolonII": 0.4540, "eidolonIII": 0.4595, "false-colour": 0.4440, "high-pass": 0.4401, "low-pass": 0.4689,
    "phase-scrambling": 0.4467, "power-equalisation": 0.5106, "rotation": 0.4385, "silhouettes": 0.4757,
    "sketch": 0.3696, "stylised": 0.5006, "uniform-noise": 0.4341,
}  # fmt: skip
#: Human accuracy, mean over people, in the order of the experiment's conditions.
ACCURACIES = {
    "high-pass": ".883 .808 .739 .616 .353 .178 .073 .064", "low-pass": ".920 .914 .795 .630 .588 .380 .200 .061",
    "eidolonII": ".814 .775 .766 .561 .230 .080 .070 .067", "power-equalisation": ".900 .759", "stylised": ".471",
}  # fmt: skip
#: ResNet-50 trained on ImageNet and on Stylized-ImageNet, per condition (Geirhos et al. 2019).
IN, SIN = "resnet50", "resnet50-train-60-epochs"
#: Mean over the distorted conditions: IN, SIN, and whether stylised training helps (None: not separable here).
CLAIM = {
    "contrast": (0.626, 0.737, True), "low-pass": (0.330, 0.243, False), "eidolonI": (0.350, 0.431, True),
    "silhouettes": (0.544, 0.444, False),
}  # fmt: skip
#: The names that files and folders use, and the kept conditions as their files spell them.
FOLDERS = {"stylised": "stylized", "edges": "edge", "silhouettes": "silhouette"}
KEPT = {
    "colour": "bw", "contrast": "c50 c30 c15 c10 c05", "high-pass": "3.0 1.5 1.0 0.7", "low-pass": "1 3 5 7 10",
    "phase-scrambling": "30 60 90 120", "power-equalisation": "pow", "false-colour": "False",
    "rotation": "90 180 270", "eidolonI": "2-10-10 4-10-10 8-10-10 16-10-10 32-10-10",
    "eidolonII": "2-3-10 4-3-10 8-3-10 16-3-10", "eidolonIII": "2-0-10 4-0-10 8-0-10",
    "uniform-noise": "0.03 0.05 0.1 0.2 0.35",
}  # fmt: skip


@pytest.fixture(scope="module")
def group(humans):
    return people(None, humans)


@pytest.fixture(scope="module")
def frame(data):
    """All human trials as one table, read anew: types inferred, names taken by position."""
    tables = []
    for path in sorted((data / "human-trials").glob("*/*.csv")):
        table = pd.read_csv(path).rename(columns=str.lower)
        image, right = table["imagename"].str.split("_", n=6).str[6], table["object_response"] == table["category"]
        own = {"image": image, "right": right.astype(float), "condition": table["condition"].astype(str)}
        tables.append(table.assign(**own, experiment=path.parent.name))
    return pd.concat(tables)


def wide(frame, role):
    """condition -> right answers, images x people."""
    mine = frame[frame["experiment"] == FOLDERS.get(role, role)]
    for condition, part in mine.groupby("condition"):
        if role not in KEPT or str(condition).lower() in KEPT[role].lower().split():
            yield part.pivot(index="image", columns="subj", values="right")


@pytest.mark.release
def test_human_row(group, find):
    row = {"accuracy_difference": 0.00657, "observed_consistency": 0.8085, "error_consistency": 0.4312}
    for metric, value in (row | {"ood_accuracy": 0.7228}).items():
        score = find(group, metric)
        assert score.value == pytest.approx(value, abs=5e-5 if value > 0.01 else 5e-6)
        assert score.low < score.value < score.high
        assert score.flags == ("17 of 17 experiments",)


@pytest.mark.parametrize(("role", "value"), KAPPAS.items())
def test_human_kappa_of_each_experiment(group, find, frame, role, value):
    score = find(group, "error_consistency", role, "kept")
    tables = list(wide(frame, role))
    pairs = list(combinations(tables[0].columns, 2))
    assert len(tables) == len(KEPT.get(role, "x").split())
    straight = np.mean([[kappa(t[a], t[b]) for t in tables] for a, b in pairs])
    assert score.value == pytest.approx(straight, abs=1e-12)
    assert score.value == pytest.approx(value, abs=5e-5)


@pytest.mark.parametrize("role", ACCURACIES)
def test_human_accuracy_of_each_condition(humans, frame, role):
    published = [float(text) for text in ACCURACIES[role].split()]
    scores = [score for trials in humans.values() for score in SUITE.score(None, trials.of(role))]
    for condition, value in zip(BY_ROLE[role].levels, published, strict=True):
        own = [s.value for s in scores if (s.metric, s.condition) == (accuracy_name(role), condition)]
        assert np.mean([v for v in own if v is not None]) == pytest.approx(value, abs=6e-4)
    part = frame[frame["experiment"] == FOLDERS.get(role, role)]
    straight = part.groupby(["condition", "subj"])["right"].mean().groupby("condition").mean()
    assert sorted(straight.round(3)) == pytest.approx(sorted(published), abs=1.1e-3)


def distorted(trials):
    """[n] bool: trials of every condition but the undistorted control, the first."""
    found = np.zeros(len(trials), dtype=bool)
    for role, experiment in BY_ROLE.items():
        other = trials["condition"] != next(iter(experiment.levels))
        found |= (trials["role"] == role) & (experiment.single | other)
    return found


@pytest.mark.parametrize(("role", "claim"), CLAIM.items())
def test_stylised_training_helps_where_published(published, role, claim):
    metric = replace(SUITE.metric(accuracy_name(role)), ratio=share(correct))
    parts = [trials.where(distorted(trials)).of(role) for trials in (published[SIN], published[IN])]
    found = compare_ratio(metric, *parts)
    assert (found.b, found.a) == pytest.approx(claim[:2], abs=6e-4)
    assert (found.low > 0) if claim[2] else (found.high < 0)
    assert found.only_a == found.only_b == 0 and found.p < 0.05


@pytest.mark.parametrize(("network", "role", "value"), [(SIN, "cue-conflict", 0.190), (IN, "edges", 0.045)])
def test_network_consistency_with_people(published, humans, find, network, role, value):
    scores = SUITE.against.scores(None, published[network].of(role), humans)
    assert find(scores, "error_consistency", role, "kept").value == pytest.approx(value, abs=6e-4)


def test_parametric_experiments_of_published_networks_have_no_consistency(published, humans, find):
    """Their images are not those that people saw: no value, and the reason; never an average over what fits."""
    scores = SUITE.against.scores(None, published[IN], humans)
    score = find(scores, "error_consistency", "contrast", "kept")
    assert score.value is None and "none of the 4 people" in score.reason
    assert "3 of 17 experiments" in find(scores, "error_consistency").flags
