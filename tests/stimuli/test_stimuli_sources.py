"""Where tables come from, told from the folders that they lie in, and who their observers are."""

import pytest
from refusals import refused

from benchmark.stimuli.catalogue import check_source, named, sources_of


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
        ("Model-vs-Human-master", "model-vs-human"),
        ("model-vs-human-dmc-1d076b68/outputs/raw-data", "model-vs-human-dmc"),
        ("published-decisions/noise", "texture-vs-shape"),
        ("error-consistency-eb53bdb5/raw-data/texture-shape_edges", "error-consistency"),
        ("vlm_shapebias/raw-data", "vlm_shapebias"),
        ("model-vs-human-of-mine", "model-vs-human-of-mine"),
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


@pytest.mark.parametrize("name", ["", "  ", "a\x1b[31m", "a (b)"])
def test_a_stated_source_must_be_a_name(name):
    refused("expected a name", check_source, name)
    assert check_source(" mine ") == "mine"
