"""LAION-C: the published folders, the super-classes, and the board of its authors."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from benchmark.stimuli.catalogue import read_catalogue
from benchmark.stimuli.score_tables import known_metrics, shipped_scores
from benchmark.testing.toys import ToyShelf
from registry.labels import label_space
from suites.corruption import SUITE
from suites.corruption.laion_c import observe, super_classes

PUBLISHED, MADE = SUITE.variants["laion-c"], SUITE.variants["laion-c-generated"]
WNIDS = label_space("imagenet1k").classes


def test_super_classes_are_the_published_ones():
    import os
    from pathlib import Path

    folder = os.environ.get("BENCH_TEST_DATA", "")
    path = Path(folder, "laion-c", "category_mapping.json")
    if not folder or not path.is_file():
        pytest.skip("set BENCH_TEST_DATA to a folder that has laion-c/")
    published = json.loads(path.read_text())
    assert {name: sorted(wnids) for name, wnids in published.items()} == {
        name: sorted(wnids) for name, wnids in super_classes().items()
    }


def view(probabilities, labels):
    columns = np.zeros((len(labels), 1000), np.float32)
    for row, given in enumerate(probabilities):
        for output, value in given.items():
            columns[row, output] = value
    return SimpleNamespace(
        categories=WNIDS, probabilities=columns, labels={"category": np.array(labels)}, index=np.arange(len(labels))
    )


def test_the_answer_is_the_super_class_with_the_largest_mean():
    # fruit: 6 classes; cat: 6; dog: 109; 100 (black swan) is a bird, 999 in none.
    given = [({948: 0.6}, "fruit"), ({281: 0.3, 948: 0.2, 999: 0.5}, WNIDS[285])]
    cases = [*given, ({152: 0.9, 281: 0.1}, "dog"), ({999: 1}, "cat")]
    kept = observe(None, view([given for given, _ in cases], [label for _, label in cases]))
    assert kept["response"].tolist() == ["fruit", WNIDS[285], "cat", "na"]
    assert kept["probability"] == pytest.approx([0.1, 0.05, 0.9 / 109, 0])


def test_published_folders_are_read_with_their_intensities(tmp_path, monkeypatch):
    from benchmark.stimuli.roles import Resolver
    from benchmark.variables import read_settings

    for cell in ("glitched/intensity_level_1", "glitched/intensity_level_5", "mosaic/intensity_level_2"):
        for group in ("fruit", "car_truck"):
            folder = tmp_path / "laion-c" / cell / group
            folder.mkdir(parents=True)
            Image.fromarray(np.zeros((224, 224, 3), np.uint8)).save(folder / f"{group}_{cell[:3]}{cell[-1]}.JPEG")
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    plan = PUBLISHED.plan(PUBLISHED.config, Resolver("imagenet1k", read_settings()))
    assert [block.condition for block in plan.blocks] == ["glitched/1", "glitched/5", "mosaic/2"]
    assert {block.presentation for block in plan.blocks} == {"whole"} and "not published" in plan.missing["natural"]
    assert plan.blocks[0].stimuli.labels["category"].tolist() == [WNIDS[436], WNIDS[948]]
    assert read_catalogue(read_settings())["laion-c"].parts[0] == "glitched"


def test_made_ones_are_of_images_of_super_classes():
    plan = MADE.plan(MADE.config, ToyShelf("imagenet1k"))
    groups = set(plan.blocks[0].stimuli.labels["category"].tolist())
    assert groups == {"bird", "boat", "bottle", "cat", "chair", "dog"}
    assert plan.blocks[0].condition == "clean" and len(plan.blocks) >= 1 + 5 * 5
    assert {block.presentation for block in plan.blocks} == {"crop224"}


def test_the_board_of_its_authors_comes_with_the_package():
    rows = {str(score.observer): score.value for score in shipped_scores().scores}
    assert len(rows) == 10 and rows["best person (laion-c)"] == 0.552 and max(rows.values()) == 0.675
    assert {(score.observer.source, score.metric) for score in shipped_scores().scores} <= set(known_metrics())
