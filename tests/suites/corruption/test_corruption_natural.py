"""ImageNet-A, -R, -Sketch, -V2, ObjectNet, LAION-C: which answer is right by their rules; the program on all."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from corruption_tables import ran as run_of
from corruption_tables import write_images

from benchmark import api
from benchmark.api import RunRequest, prepare
from benchmark.stats import wilson
from benchmark.stimuli.catalogue import read_catalogue
from benchmark.stimuli.resolver import Resolver
from benchmark.stimuli.score_tables import known_metrics, shipped_scores
from benchmark.testing import check_suite
from benchmark.variables import read_settings
from registry.labels import decide, label_space, subset_groups
from suites.corruption import SUITE
from suites.corruption.laion_c import observe as of_super_classes
from suites.corruption.laion_c import super_classes
from suites.corruption.natural import NATURAL, observe

WNIDS = label_space("imagenet1k").classes
NAMES = ("imagenet-a", "imagenet-r", "imagenet-sketch", "imagenet-v2", "objectnet")


def shown(probabilities, truth):
    labels = {"category": np.asarray([WNIDS[i] for i in truth])}
    return SimpleNamespace(
        block=SimpleNamespace(stimuli=SimpleNamespace(space="imagenet1k")),
        probabilities=np.asarray(probabilities, dtype=np.float32), labels=labels, categories=WNIDS,
        responses=np.asarray(WNIDS)[probabilities.argmax(axis=1)],
    )  # fmt: skip


def test_the_classes_are_the_published_ones():
    for letter in "ar":
        listed = Path(timm.__file__).parent / f"data/_info/imagenet_{letter}_synsets.txt"
        groups = subset_groups(f"imagenet-{letter}")
        assert list(groups) == listed.read_text().split()
        assert all(WNIDS[output] == wnid for wnid, (output,) in groups.items())
    groups = subset_groups("objectnet")
    outputs = [output for group in groups.values() for output in group]
    assert (len(groups), len(outputs), len(set(outputs))) == (113, 125, 125)
    words = dict(enumerate(label_space("imagenet1k").words))
    assert [words[i].partition(",")[0] for i in groups["chair"]] == ["barber chair", "folding chair", "rocking chair"]
    assert [words[i] for i in groups["helmet"]] == ["crash helmet", "football helmet"]
    assert words[groups["full_sized_towel"][0]] == "bath towel" and words[groups["winter_glove"][0]] == "mitten"
    assert subset_groups("imagenet-v2") == {} == subset_groups("imagenet1k")


@pytest.mark.parametrize("name", NAMES)
def test_right_is_the_best_of_the_sets_outputs_or_of_all(name):
    """Against the masked logits of the published evaluations."""
    logits = torch.randn(500, 1000, generator=torch.Generator().manual_seed(3)) * 4
    groups = list(subset_groups(name).values()) or [(i,) for i in range(1000)]
    truth = np.random.default_rng(0).integers(0, len(groups), 500)
    for row, of in enumerate(truth[:300]):  # most are nearly right
        logits[row, groups[of][-1]] += 12
    answers = decide(logits, label_space("imagenet1k").grouping("imagenet1k")).numpy()
    got = observe(SUITE.variants[name].config, shown(answers, [groups[i][0] for i in truth]))
    projected = torch.stack([logits[:, list(group)].amax(dim=1) for group in groups], dim=1).argmax(dim=1).numpy()
    best = logits.argmax(dim=1).tolist()
    np.testing.assert_array_equal(got["among"], projected == truth)
    assert got["of_all"].tolist() == [b in groups[of] for b, of in zip(best, truth, strict=True)]
    rule = "among" if name in NAMES[:2] else "of_all"
    right = got["response"] == np.asarray([WNIDS[groups[i][0]] for i in truth])
    np.testing.assert_array_equal(right, got[rule])
    assert 0.2 < got["of_all"].mean() <= got["among"].mean() < 0.9
    top = torch.topk(logits, 5).indices.tolist()
    assert got["top5"].tolist() == [groups[of][0] in row for row, of in zip(top, truth, strict=True)]
    assert (len(groups) == 1000) == bool((got["among"] == got["of_all"]).all())
    # Confidence, against a softmax over the logits of the set's classes, or over all outputs.
    known = [output for group in groups for output in group] if rule == "among" else range(1000)
    share = torch.zeros(500, 1000)
    share[:, list(known)] = logits[:, list(known)].double().softmax(1).float()
    classes = torch.stack([share[:, list(group)].sum(1) for group in groups], dim=1).numpy()
    np.testing.assert_allclose(got["probability"], classes[np.arange(500), truth], rtol=1e-3, atol=1e-5)
    if len(groups) != 113:
        np.testing.assert_allclose(got["confidence"], classes.max(axis=1), rtol=1e-3, atol=1e-5)
        expected = ((classes - np.eye(len(groups))[truth]) ** 2).sum(axis=1)
        np.testing.assert_allclose(got["brier"], expected, rtol=1e-3, atol=1e-4)


def write(folder, places):
    write_images(folder, [f"{place}/{number}.png" for number, place in enumerate(places)])


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Two ideal observers on all five sets and on a validation set, of which some classes are in each."""
    data = tmp_path / "data"
    for name in NAMES[:2]:
        write(data / name, list(subset_groups(name))[:5])
    write(data / "imagenet-sketch", WNIDS[:4])
    write(data / "imagenet-v2", map(str, range(6)))
    write(data / "objectnet" / "images", ["alarm_clock", "chair", "chair", "squeegee"])
    write(data / "imagenet-val", [*WNIDS[:10], WNIDS[559], WNIDS[765]])
    monkeypatch.setenv("BENCH_DATA", str(data))
    suites = ",".join(f"corruption:{name}" for name in NAMES)
    return run_of(tmp_path, "ideal-shape,ideal-constant", suites)[0], str(tmp_path / "r.db")


@pytest.mark.slow
def test_each_set_has_a_board_with_interval_and_n(ran):
    prepared, db = ran
    blocks = {task.suite.name: task.plan.blocks for task in prepared.tasks}
    natural = {"imagenet-a": 2, "imagenet-r": 6, "imagenet-sketch": 12, "imagenet-v2": 12, "objectnet": 2}
    n = dict(zip(NAMES, (5, 5, 4, 6, 3), strict=True))
    for name in NAMES:
        shown = [(b.role, b.presentation, len(b.stimuli)) for b in blocks[f"corruption:{name}"]]
        assert shown == [(name, "card", n[name]), ("natural", "card", natural[name])]
        (board,) = api.rank(api.Selection(db), f"corruption:{name}")
        first = next(row for row in board.references if row.observer == "ideal-shape")
        cell = first.cells["accuracy"]
        assert (cell.value, cell.n) == (1.0, n[name])
        assert (cell.low, cell.high) == pytest.approx(wilson(n[name], n[name]))
        assert first.cells["validation_accuracy"].n == natural[name]
        other = {"imagenet-a": "accuracy_of_all", "imagenet-r": "accuracy_of_all", "objectnet": "accuracy_among"}
        assert set(first.cells) == {"accuracy", "validation_accuracy", *([other[name]] if name in other else [])}
    (summary,) = api.summary(api.Selection(db))
    assert {head.suite for head in summary.headlines} == {f"corruption:{name}" for name in NAMES}


def test_without_validation_images_the_reason_is_kept(tmp_path, monkeypatch):
    write(tmp_path / "imagenet-a", list(subset_groups("imagenet-a"))[:5])
    write(tmp_path / "imagenet-val", [WNIDS[0]])
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    settings = read_settings(str(tmp_path / "r.db"))
    prepared = prepare(RunRequest(models="ideal-shape", suites="corruption:imagenet-a,corruption:objectnet"), settings)
    first, second = prepared.tasks
    assert "shows none of the classes" in first.plan.missing["natural"]
    assert "bench data add objectnet FOLDER" in second.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", ["imagenet-a", "objectnet"])
def test_it_keeps_the_contract(name):
    suite = SUITE.variants[name]
    assert suite is NATURAL[suite.config.role] and suite.questions.keys() == {"corruption"}
    assert not [check for check in check_suite(suite) if not check.ok]


PUBLISHED = SUITE.variants["laion-c"]


def test_super_classes_are_the_published_ones():
    folder = os.environ.get("BENCH_TEST_DATA", "")
    path = Path(folder, "laion-c", "category_mapping.json")
    if not folder or not path.is_file():
        pytest.skip("set BENCH_TEST_DATA to a folder that has laion-c/")
    published, ours = (
        {name: sorted(wnids) for name, wnids in classes.items()}
        for classes in (json.loads(path.read_text()), super_classes())
    )
    assert published == ours


def test_the_answer_is_the_super_class_with_the_largest_mean():
    # fruit: 6 classes; cat: 6; dog: 109; 100 (black swan) is a bird, 999 in none.
    given = [({948: 0.6}, "fruit"), ({281: 0.3, 948: 0.2, 999: 0.5}, WNIDS[285])]
    cases = [*given, ({152: 0.9, 281: 0.1}, "dog"), ({999: 1}, "cat")]
    probabilities = np.array([[given.get(output, 0) for output in range(1000)] for given, _ in cases], np.float32)
    labels = {"category": np.array([label for _, label in cases])}
    view = SimpleNamespace(categories=WNIDS, probabilities=probabilities, labels=labels, index=np.arange(4))
    kept = of_super_classes(None, view)
    assert kept["response"].tolist() == ["fruit", WNIDS[285], "cat", "na"]
    assert kept["probability"] == pytest.approx([0.1, 0.05, 0.9 / 109, 0])


def test_published_folders_are_read_with_their_intensities(tmp_path, monkeypatch):
    for cell in ("glitched/intensity_level_1", "glitched/intensity_level_5", "mosaic/intensity_level_2"):
        names = [f"{group}/{group}_{cell[:3]}{cell[-1]}.JPEG" for group in ("fruit", "car_truck")]
        write_images(tmp_path / "laion-c" / cell, names, 224)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    plan = PUBLISHED.plan(PUBLISHED.config, Resolver("imagenet1k", read_settings()))
    assert [block.condition for block in plan.blocks] == ["glitched/1", "glitched/5", "mosaic/2"]
    assert {block.presentation for block in plan.blocks} == {"whole"} and "not published" in plan.missing["natural"]
    assert plan.blocks[0].stimuli.labels["category"].tolist() == [WNIDS[436], WNIDS[948]]
    assert read_catalogue(read_settings())["laion-c"].parts[0] == "glitched"


def test_the_board_of_its_authors_comes_with_the_package():
    rows = {str(score.observer): score.value for score in shipped_scores()}
    assert len(rows) == 10 and rows["best person (laion-c)"] == 0.552 and max(rows.values()) == 0.675
    assert {(score.observer.source, score.metric) for score in shipped_scores()} <= set(known_metrics())
