"""What is known of published networks, and how their tables are fetched."""

import tarfile
from dataclasses import replace
from pathlib import Path

import yaml

from benchmark.stimuli.catalogue import Named, known_of, known_sources
from benchmark.stimuli.fetch import fetch


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
