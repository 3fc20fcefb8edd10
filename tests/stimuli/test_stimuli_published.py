"""What is known of published networks, and how their tables are fetched."""

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from benchmark.stimuli.catalogue import Named, known_of, known_sources
from benchmark.stimuli.fetch import fetch
from benchmark.stimuli.regenerate import named_recipe, recipes_beside, stated_recipes


def test_recipes_are_of_known_sources_and_each_network_has_one():
    text = Path(__import__("benchmark").__file__).parent / "stimuli/published_observers.yaml"
    read = yaml.safe_load(text.read_text())
    assert set(read) <= set(known_sources())
    for source, groups in read.items():
        names = [name for group in groups for name in group["observers"]]
        assert len(set(names)) == len(names), source
    assert known_of(Named("error-consistency", "resnet50-trained-on-SIN")).training == ("stylised",)
    assert known_of(Named("vlm_shapebias", "RN50_openai")) == (("language-image",), "clip")
    assert known_of(Named("elsewhere", "resnet50")) == ((), "")


def test_tables_come_packed_from_a_mirror(settings, tmp_path):
    """With the paths of their publisher's repository: no address is asked."""
    place = tmp_path / "outputs" / "raw-data" / "edge"
    place.mkdir(parents=True)
    head = "subj,object_response,category,condition,imagename\n"
    (place / "edge_net_session-1.csv").write_text(head + "net,cat,cat,0,cat1.png\n")
    packed = tmp_path / "mirror" / "published-trials" / "model-vs-human-dmc.tar.xz"
    packed.parent.mkdir(parents=True)
    with tarfile.open(packed, "w:xz") as tar:
        tar.add(tmp_path / "outputs", "outputs")
    said = []
    mirrored = replace(settings, mirror=str(tmp_path / "mirror"))
    folder = fetch("model-vs-human-dmc", mirrored, said.append)
    assert [path.name for path in folder.rglob("*.csv")] == ["edge_net_session-1.csv"]
    assert f"unpacking {packed}" in said[0]


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("sixteen01v4", ("colour",)),
        (
            "sixteen22--salt-and-pepper-noise-multiple--uniform-noise-multiple--200epochs",
            ("noise(salt-and-pepper)", "noise(uniform)", "epochs(200)"),
        ),
        ("resnet50-train-60-epochs", ("stylised",)),
        ("sixteen40--color--something-new", ()),
        ("subject-01", ()),
    ],
)
def test_published_names_state_their_recipe(name, recipe):
    assert named_recipe(name) == recipe


def test_statements():
    assert stated_recipes(["a=noise(uniform)", "b = standard, stylised", "a=contrast"]) == {
        "a": ("noise(uniform)", "contrast"),
        "b": ("standard", "stylised"),
    }
    assert stated_recipes(["a=adversarial(linf,4/255),standard"]) == {"a": ("adversarial(linf,4/255)", "standard")}
    assert stated_recipes([]) == {}


def test_a_file_beside_the_tables(tmp_path):
    assert recipes_beside(tmp_path) == {}
    (tmp_path / "training.yaml").write_text("a: noise(uniform)\nb: [standard, stylised]\nc: adversarial(l2,3.0)\n")
    expected = {"a": ("noise(uniform)",), "b": ("standard", "stylised"), "c": ("adversarial(l2,3.0)",)}
    assert recipes_beside(tmp_path) == expected
    (tmp_path / "noise_a_session-1.csv").write_text("")
    assert recipes_beside(tmp_path / "noise_a_session-1.csv") == expected
