"""Where tables come from, told from the folders that they lie in, and who their observers are."""

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from set_checks import refused, write

from benchmark.stimuli.experiments import canonical_condition, experiment_of, published_experiments
from benchmark.stimuli.fetch import fetch_set
from benchmark.stimuli.published_sources import (
    ObserverName,
    check_source,
    published_network,
    resolve_observer,
    sources_of,
)
from benchmark.stimuli.regenerate import named_recipe, stated_recipes


@pytest.mark.parametrize(("folder", "source"), [
    ("human-trials", "model-vs-human"), ("Model-vs-Human-master", "model-vs-human"),
    ("model-vs-human-dmc-1d076b68/outputs/raw-data", "model-vs-human-dmc"),
    ("published-decisions/noise", "texture-vs-shape"),
    ("error-consistency-eb53bdb5/raw-data/texture-shape_edges", "error-consistency"),
    ("model-vs-human-of-mine", "model-vs-human-of-mine"), ("es\x1b[2Jcape", "es?[2Jcape"),
])  # fmt: skip
def test_a_folder_tells_the_source(tmp_path, folder, source):
    path = write(tmp_path / folder / "edge_resnet50_session-1.csv", "")
    assert sources_of([path], tmp_path / folder) == {path: source}


@pytest.mark.parametrize(("source", "experiment", "people"), [
    ("model-vs-human-dmc", "contrast", "model-vs-human"), ("error-consistency", "edges", "model-vs-human"),
    ("error-consistency", "contrast", "error-consistency"), ("mine", "edges", "mine"),
])  # fmt: skip
def test_people_of_a_copy_are_the_people_of_its_origin(source, experiment, people):
    assert str(resolve_observer(source, "subject-01", experiment, human=True)) == f"subject-01 ({people})"


@pytest.mark.parametrize("name", ["", "  ", "a\x1b[31m", "a (b)"])
def test_a_stated_source_must_be_a_name(name):
    refused("expected a name", check_source, name)
    assert check_source(" mine ") == "mine"


@pytest.mark.parametrize(("name", "expected"), [
    ("0001_s5n_s01_0_bird_00_bird3-bird2.png", "bird3-bird2.png"),
    ("0001_eid_s01_16-0-10_oven_10_n04111531_13542.png", "n04111531_13542.png"),
    ("0001_ske_s01_0_boat_00_boat-0068-sketch-23.png", "boat-0068-sketch-23.png"),
    ("my_own_image_7.png", "my_own_image_7.png"),
    ("0001_x_s01_0_boat_00_", "0001_x_s01_0_boat_00_"),
])  # fmt: skip
def test_only_the_published_prefix_is_taken_off(name, expected):
    assert published_experiments()["contrast"].labels_of(name).get("image", name) == expected


@pytest.mark.parametrize(("experiment", "text", "expected"), [
    ("uniform-noise", "0.20", "0.2"), ("high-pass", "inf", "inf"), ("false-colour", "True", "true"),
    ("contrast", "c05", "c05"), ("cue-conflict", "0", ""), ("edges", "NaN", ""),
])  # fmt: skip
def test_conditions_have_one_spelling(experiment, text, expected):
    assert canonical_condition(experiment, text) == expected


@pytest.mark.parametrize(("path", "expected"), [
    ("style-transfer-512-nomask-experiment_alexnet_session_1.csv", "cue-conflict"),
    ("edge-experiment-trained-CNNs/edge-experiment_resnet50_session-1.csv", "edges"),
    ("silhouette/silhouette_subject-01_session_1.csv", "silhouettes"), ("highpass/x.csv", "high-pass"),
    ("texture-shape_cue-conflict/texture-shape_cue-conflict_vgg16session-1.csv", "cue-conflict"),
    ("x/noise-generalisation_contrast-png_resnet50_session-1.csv", "contrast"),
    ("noise-generalisation_uniform-noise/noise-experiment_subject-01_session_1.csv", "uniform-noise"),
    ("d/style-transfer-512-nomask-content-guessing-experiment_vgg_session_1.csv",
     "style-transfer-512-nomask-content-guessing"),
])  # fmt: skip
def test_experiments_are_told_from_names(path, expected):
    assert experiment_of(Path("/nowhere") / path) == expected


def test_what_is_known_of_published_networks():
    assert published_network(ObserverName("error-consistency", "resnet50-trained-on-SIN"))[0] == ("stylised",)
    assert published_network(ObserverName("vlm_shapebias", "RN50_openai")) == (("language-image",), "clip")
    assert published_network(ObserverName("elsewhere", "resnet50")) == ((), "")


def test_tables_come_packed_from_a_mirror(settings, tmp_path):
    """With the paths of their publisher's repository: no address is asked."""
    rows = "subj,object_response,category,condition,imagename\nnet,cat,cat,0,cat1.png\n"
    write(tmp_path / "outputs" / "raw-data" / "edge" / "edge_net_session-1.csv", rows)
    packed = tmp_path / "mirror" / "published-trials" / "model-vs-human-dmc.tar.xz"
    packed.parent.mkdir(parents=True)
    with tarfile.open(packed, "w:xz") as tar:
        tar.add(tmp_path / "outputs", "outputs")
    said = []
    mirrored = replace(settings, mirror=str(tmp_path / "mirror"))
    folder = fetch_set("model-vs-human-dmc", mirrored, said.append)
    assert [path.name for path in folder.rglob("*.csv")] == ["edge_net_session-1.csv"]
    assert f"taking {packed}" in said[0]


@pytest.mark.parametrize(("name", "recipe"), [
    ("sixteen01v4", ("colour",)),
    ("sixteen22--salt-and-pepper-noise-multiple--uniform-noise-multiple--200epochs",
     ("noise(salt-and-pepper)", "noise(uniform)", "epochs(200)")),
    ("sixteen40--color--something-new", ()), ("subject-01", ()),
])  # fmt: skip
def test_published_names_state_their_recipe(name, recipe):
    assert named_recipe(name) == recipe


def test_statements():
    stated = stated_recipes(["a=noise(uniform)", "b = adversarial(linf,4/255), stylised", "a=contrast"])
    assert stated == {"a": ("noise(uniform)", "contrast"), "b": ("adversarial(linf,4/255)", "stylised")}
    assert stated_recipes([]) == {}
