"""What a training script saved beside the weights says what the network was fed; a library's default tag does not."""

from argparse import Namespace
from types import SimpleNamespace

import pytest
import timm
import torch
from torch import nn

from registry.errors import CardError, WeightsError
from registry.preprocessing import UNSTATED, stated_by_training, stated_input
from registry.register import register

TIMM = dict.fromkeys(("img_size", "input_size", "crop_pct", "mean", "std", "interpolation"))
USUAL_STD = (0.229, 0.224, 0.225)


@pytest.fixture
def saved(tiny, tmp_path):
    """A checkpoint of test_resnet with these entries beside the weights."""

    def save(**beside):
        torch.save({"state_dict": tiny.state_dict(), **beside}, tmp_path / "net.pth")
        return tmp_path / "net.pth"

    return save


def fields(**settings):
    return stated_by_training(settings, "args", "net.pth").fields


@pytest.mark.slow
def test_arguments_of_timm_are_completed_as_timm_does(saved, nine, folders):
    args = Namespace(model="test_resnet", **{**TIMM, "crop_pct": 0.8, "mean": [0.1, 0.2, 0.3]})
    card, rows = register("mine", "timm:test_resnet", saved(args=args), labels=nine, **folders)
    how = card.preprocess
    assert (how.size, how.resize, how.mean, how.std) == (160, 200, (0.1, 0.2, 0.3), (0.5, 0.5, 0.5))
    told = {row.name: row.detail for row in rows}
    assert told["size"] == "160 px, stated by the checkpoint (args of timm's training script)"
    assert "input" not in told


@pytest.mark.slow
def test_what_nothing_states_is_the_fields_usual_and_said(saved, nine, folders):
    card, rows = register("mine", "timm:test_resnet", saved(), labels=nine, **folders)
    how = card.preprocess
    assert (how.size, how.resize, how.interpolation, how.std) == (160, 183, "bilinear", USUAL_STD)
    told = {row.name: row.detail for row in rows}
    assert "--mean, --std say otherwise" in told["input"]
    assert "timm:test_resnet.TAG" in told["input"]
    assert told["normalisation"].endswith(UNSTATED)
    card, rows = register("tagged", "timm:test_resnet.r160_in1k", saved(), labels=nine, **folders)
    assert (card.preprocess.resize, card.preprocess.std) == (168, (0.5, 0.5, 0.5))
    assert "input" not in {row.name for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("place", ["args", "hyper_parameters"])
def test_a_contradiction_is_refused(place, saved, nine, folders):
    path = saved(**{place: {"image_size": 128, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic",
                            "resize_size": 146}})  # fmt: skip
    for given in ({"size": 160}, {"size": 96}, {"mean": (0.4, 0.5, 0.5)}, {"interpolation": "nearest"}):
        with pytest.raises(CardError, match=rf"stated by the checkpoint \({place}\), and --{next(iter(given))}.*leave"):
            register("mine", "timm:test_resnet", path, labels=nine, **given, **folders)
    agreeing = {"size": 128, "mean": (127.5,) * 3, "std": (127.5,) * 3, "scale": 255.0}
    card, _ = register("mine", "timm:test_resnet", path, labels=nine, **agreeing, **folders)
    assert (card.preprocess.resize, card.preprocess.interpolation) == (146, "bicubic")


@pytest.mark.slow
def test_an_architecture_of_one_size_contradicts_another(nine, folders, tmp_path):
    name = "vit_tiny_patch16_224"
    network = timm.create_model(name, num_classes=9, img_size=96)
    nn.init.normal_(network.head.weight)
    torch.save({"model": network.state_dict(), "args": {"input_size": 96}}, tmp_path / "net.pth")
    said = r"size 96 is stated by the checkpoint \(args\).*takes 224 px and no other.*--arch-option img_size=96"
    with pytest.raises(CardError, match=said):
        register("mine", f"timm:{name}", tmp_path / "net.pth", labels=nine, **folders)
    built = {"arch_option": ("img_size=96",), "labels": nine}
    card, _ = register("mine", f"timm:{name}", tmp_path / "net.pth", **built, **folders)
    assert (card.preprocess.size, card.preprocess.resize, card.preprocess.fixed_size) == (96, 110, True)
    tagged = f"timm:{name}.augreg_in21k_ft_in1k"
    with pytest.raises(CardError, match="size 96 is stated by the checkpoint"):
        register("tag", tagged, tmp_path / "net.pth", labels=nine, **folders)
    torch.save(network.state_dict(), tmp_path / "net.pth")
    card, _ = register("tag", tagged, tmp_path / "net.pth", **built, **folders)
    assert (card.preprocess.size, card.preprocess.resize) == (96, int(96 / 0.9))


def test_usual_names_and_what_is_something_else():
    torchvisions = fields(val_crop_size=224, val_resize_size=232, interpolation="bilinear", train_crop_size=176)
    assert torchvisions == {
        "size": 224, "resize": 232, "interpolation": "bilinear", "mean": (0.485, 0.456, 0.406), "std": USUAL_STD,
    }  # fmt: skip
    assert fields(input_size=224, eval_crop_ratio=0.875) == {"size": 224, "resize": 256}
    assert fields(image_size=[3, 96, 96], interpolation="InterpolationMode.BICUBIC") == {
        "size": 96, "interpolation": "bicubic",
    }  # fmt: skip
    assert fields(mean=[127.5], std=[127.5]) == {"mean": (127.5,) * 3, "std": (127.5,) * 3, "scale": 255}
    assert fields(mean=0.0, std=1.0, image_size="large", interpolation=0.5, lr=0.1) == {}
    assert fields() == {}


@pytest.mark.parametrize(
    "settings",
    [
        {"image_size": (224, 192)},
        {"image_size": 10**5000},
        {"image_size": 0},
        {"interpolation": "lanczos"},
        {"model": "test_resnet", **TIMM, "img_size": "wide"},
        {"model": "test_resnet", **TIMM, "crop_pct": -1.0},
        {"image_size": 224, "crop_pct": 0.0},
        {"mean": ["a"], "std": [1]},
    ],
)
def test_what_no_card_can_say_is_refused(settings):
    with pytest.raises(
        (WeightsError, CardError), match=r"args of checkpoint net\.pth (cannot be read|states crop_pct -1)"
    ):
        fields(**settings)


@pytest.mark.slow
def test_a_python_factory_needs_no_flags(nine, folders, tmp_path, factories):
    from importlib import import_module

    state = import_module(factories).seeded().state_dict()
    beside = SimpleNamespace(image_size=32, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    torch.save({"state_dict": state, "args": beside}, tmp_path / "n.pt")
    card, _ = register("mine", f"python:{factories}:Net", tmp_path / "n.pt", labels=nine, **folders)
    assert (card.preprocess.size, card.preprocess.resize, card.preprocess.mean) == (32, 37, (0.1, 0.2, 0.3))


def test_a_published_file_is_known_by_its_digest(tmp_path, monkeypatch):
    file = tmp_path / "download.pth"
    file.write_bytes(b"published")
    assert stated_input("torchvision:resnet50", file).where == UNSTATED
    monkeypatch.setattr("registry.preprocessing.digest_file", lambda _: "11ad3fa6" + "0" * 56)
    stated = stated_input("torchvision:resnet50", file)
    assert stated.fields["resize"] == 232
    assert "IMAGENET1K_V2, which this file is" in stated.where
    monkeypatch.setattr("registry.preprocessing.digest_file", lambda _: "14fe96d1" + "0" * 56)
    assert "a1_in1k of resnet50, which this file is" in stated_input("timm:resnet50", file).where
