"""Published weights saved again are known by their tensors: input, labels and name come with them."""

import json
from pathlib import Path

import pytest
import torch
from registry_builders import under
from safetensors.torch import save_file

from registry.cards import builtin_cards
from registry.files import WeightSources
from registry.known_states import known_card, known_check, remember_network, state_key
from registry.loading import load_network
from registry.model import LoadedModel
from registry.register import register

WORLD = {"name": "mine", "arch": "python:registry.world_networks:tiny_resnet", "replaces": True}
CONTAINERS = {
    "state": lambda state: state,
    "prefixed": lambda state: {"state_dict": under("module.", state)},
    "turned round, no counters": lambda state: {n: state[n] for n in reversed(state) if "num_batches" not in n},
    "double": lambda state: {"model": {name: tensor.double() for name, tensor in state.items()}, "epoch": 3},
}


@pytest.fixture(scope="module")
def world():
    card = builtin_cards()["world-stylised-1"]
    return card, load_network(card, WeightSources(weights_folder=Path("unused"))).module.state_dict()


def known(checks):
    return [(check.mark, check.detail) for check in checks if check.name == "known"]


@pytest.mark.slow
@pytest.mark.parametrize("container", CONTAINERS)
def test_known_weights_bring_input_labels_and_name(container, world, folders, tmp_path):
    published, state = world
    torch.save(CONTAINERS[container](state), tmp_path / "net.pt")
    card, checks = register(**WORLD, weights=tmp_path / "net.pt", **folders)
    assert (card.preprocess, card.labels) == (published.preprocess, "world16")
    assert known(checks) == [("", "the weights are those of world-stylised-1, fed and labelled as published")]
    assert not [check for check in checks if check.mark]


@pytest.mark.slow
def test_what_was_asked_for_is_shown_beside_what_is_known(world, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.yaml").write_text(f"name: other\nclasses: [{', '.join(map(str, range(16)))}]\n")
    save_file(world[1], "net.safetensors")
    asked = {"labels": "other.yaml", "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "size": 48}
    card, checks = register(**WORLD, weights="net.safetensors", **asked, **folders)
    flags = "--size 64 --resize 64 --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25 --labels world16"
    assert known(checks) == [("look", f"the weights are those of world-stylised-1, published with {flags}")]
    assert (card.preprocess.mean, card.preprocess.interpolation) == (asked["mean"], "bicubic")
    other = {**world[1], "head.bias": world[1]["head.bias"] + 0.01}
    save_file(other, "net.safetensors")
    assert known(register(**WORLD, weights="net.safetensors", **asked, **folders)[1]) == []


def test_no_option_is_proposed_beside_a_transform_of_its_own():
    card, place = builtin_cards()["world-stylised-1"], WeightSources(weights_folder=Path("unused"))
    model = load_network(card, place)
    how = card.preprocess.model_copy(update={"resize_mode": "own", "size": 48})
    model.card = card.model_copy(update={"preprocess": how, "labels": "geirhos16"})
    text = "the weights are those of world-stylised-1; its own transform feeds them"
    assert known(known_check(model, place)) == [("note", text)]


@pytest.mark.slow
def test_a_published_network_is_known_after_its_first_load(tiny, card, nine, folders, tmp_path):
    place, how = folders["place"], {"size": 32, "resize": 40, "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    published = card(None, source="hub", arch="hf_hub:lab/net", name="lab-net", preprocess=how)
    model = LoadedModel(card=published, module=tiny, digest="0" * 64, labels=None)
    remember_network(model, place)
    remember_network(model, place)
    (file,) = (tmp_path / "known").glob("*")
    assert known_card(state_key(tiny.state_dict()), place) == published
    torch.save(tiny.state_dict(), tmp_path / "net.pth")
    mine, checks = register("mine", "timm:test_resnet", tmp_path / "net.pth", **folders)
    assert (mine.preprocess, mine.labels) == (published.preprocess, nine)
    assert known(checks) == [("", "the weights are those of lab-net, fed and labelled as published")]
    for wrong in ("", "[]", json.dumps({"key": state_key(tiny.state_dict()), "card": {"name": "lab-net"}})):
        file.write_text(wrong)
        assert known_card(state_key(tiny.state_dict()), place) is None
