"""Where tables come from, told from the folders that they lie in, and who their observers are."""

from dataclasses import fields
from pathlib import Path

import pytest

from benchmark.errors import TrialsError
from benchmark.stimuli.catalogue import Source, check_source, experiment_of, known_sources, named, sources_of


def told(root, *names):
    paths = [root / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return list(sources_of(paths, root).values())


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("human-trials", "model-vs-human"),
        ("model-vs-human-0.1/raw-data", "model-vs-human"),
        ("model-vs-human-v0.1", "model-vs-human"),
        ("Model-vs-Human-master", "model-vs-human"),
        ("model-vs-human-dmc", "model-vs-human-dmc"),
        ("model-vs-human-dmc-1d076b68/outputs/raw-data", "model-vs-human-dmc"),
        ("published-decisions/noise", "texture-vs-shape"),
        ("error-consistency-eb53bdb5/raw-data/texture-shape_edges", "error-consistency"),
        ("vlm_shapebias/raw-data", "vlm_shapebias"),
        ("model-vs-human-of-mine", "model-vs-human-of-mine"),
        ("my tables", "my tables"),
        ("es\x1b[2Jcape", "es?[2Jcape"),
    ],
)
def test_a_folder_tells_the_source(tmp_path, folder, source):
    assert told(tmp_path / folder, "edge_resnet50_session-1.csv") == [source]


def test_people_of_a_copy_are_the_people_of_its_origin():
    def name(source, experiment):
        return str(named(source, "subject-01", experiment, human=True))

    assert name("model-vs-human-dmc", "contrast") == "subject-01 (model-vs-human)"
    assert name("error-consistency", "edges") == "subject-01 (model-vs-human)"
    assert name("error-consistency", "contrast") == "subject-01 (error-consistency)"  # others
    assert name("mine", "edges") == "subject-01 (mine)"


def test_every_alias_has_a_reason_and_every_origin_is_known():
    import yaml

    rows = yaml.safe_load((Path(__import__("benchmark").__file__).parent / "stimuli/sources.yaml").read_text())
    assert set(rows) == set(known_sources())
    for row in rows.values():
        assert set(row) <= {field.name for field in fields(Source)}
        for alias in row.get("names", {}).values():
            assert set(alias) == {"name", "reason"} and len(alias["reason"]) > 20
        assert set(row.get("people", {}).values()) <= set(rows)


@pytest.mark.parametrize("name", ["", "  ", "a\x1b[31m", "a (b)"])
def test_a_stated_source_must_be_a_name(name):
    with pytest.raises(TrialsError, match="expected a name"):
        check_source(name)
    assert check_source(" mine ") == "mine"


@pytest.mark.parametrize(
    ("path", "experiment"),
    [
        ("texture-shape_cue-conflict/texture-shape_cue-conflict_vgg16session-1.csv", "cue-conflict"),
        ("raw/texture-shape_edges_alexnet_session-1.csv", "edges"),
        ("x/noise-generalisation_contrast-png_resnet50_session-1.csv", "contrast"),
        ("noise-generalisation_high-pass/highpass-experiment_subject-01_session_1.csv", "high-pass"),
        ("noise-generalisation_uniform-noise/noise-experiment_subject-01_session_1.csv", "uniform-noise"),
    ],
)
def test_experiments_of_error_consistency(path, experiment):
    assert experiment_of(Path(path)) == experiment
