"""What a network is fed: stated with its source, read from folders and the hub's cache, resized as the field does."""

import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from registry.cards import ModelCard, Preprocess, read_cards
from registry.errors import CardError, WeightsError
from registry.files import Caches, Place, digest_data, digest_state
from registry.loading import load_model
from registry.model import present, present_plane
from registry.preprocessing import StatedInput, settled, stated_input
from registry.register import register


def image(height, width):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("shape", [(50, 81), (90, 47), (64, 64), (20, 31)])
@pytest.mark.parametrize(("mode", "timms"), [("longest", "border"), ("squash", "squash"), ("shortest", "center")])
def test_resize_modes_are_those_of_timm(shape, mode, timms):
    from timm.data import create_transform

    pixels = image(*shape)
    expected = create_transform(
        (3, 32, 32), interpolation="bicubic", crop_pct=0.8, crop_mode=timms, mean=(0.2, 0.4, 0.6), std=(1, 1, 1),
        normalize=False,
    )(Image.fromarray(pixels))  # fmt: skip
    how = Preprocess(size=32, resize=40, interpolation="bicubic", resize_mode=mode, fill=(51, 102, 153))
    (shown,) = present([pixels], how, "card")
    assert np.array_equal(shown, expected.permute(1, 2, 0).numpy())


def test_a_mask_follows_and_the_filled_rest_is_no_object():
    how = Preprocess(size=32, resize=32, resize_mode="longest", fill=(255, 255, 255))
    mask = present_plane(np.ones((16, 32), dtype=bool), how, "card")
    assert mask.shape == (32, 32)
    assert mask[8:24].all()
    assert not mask[:8].any()
    assert not mask[24:].any()


def test_the_usual_rule_leaves_identities_as_they_were():
    before = {
        "size": 32, "resize": 36, "interpolation": "bilinear", "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225], "channels": "rgb", "scale": 1.0, "fixed_size": False,
    }  # fmt: skip
    assert Preprocess(size=32, resize=36).model_dump(mode="json") == before
    squash = Preprocess(size=32, resize=36, resize_mode="squash").model_dump(mode="json")
    assert squash == {**before, "resize_mode": "squash"}
    assert Preprocess(size=32, resize=36, margin="down").model_dump(mode="json") == {**before, "margin": "down"}
    assert digest_data(squash) != digest_data(before)


def test_every_part_says_where_it_comes_from():
    known = StatedInput(stated_input("timm:test_resnet").fields, "the tag")
    _, rows = settled("timm:test_resnet", {"size": 64, "interpolation": "bicubic"}, known, None)
    assert [f"{row.name}: {row.detail}" for row in rows] == [
        "size: 64 px, as given",
        "resize: shorter side to 73 px, then the centre 64 px, from the size 64 that was given",
        "interpolation: bicubic, as given",
        "normalisation: mean (0.5, 0.5, 0.5), std (0.5, 0.5, 0.5), the tag",
        "pixels: rgb in 0..1, default: nothing states it",
    ]


CONFIG = {
    "architecture": "test_resnet", "num_classes": 9,
    "pretrained_cfg": {"input_size": [3, 32, 32], "crop_pct": 0.8, "interpolation": "bilinear", "crop_mode": "border",
                       "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "fixed_input_size": False},
}  # fmt: skip


def saved_folder(folder, state, config=CONFIG):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(state, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    "how", ["both", *(pytest.param(how, marks=pytest.mark.slow) for how in ("weights", "local-dir"))]
)
def test_a_folder_of_timm_says_everything(how, tiny, nine, folders, tmp_path):
    folder = saved_folder(tmp_path / "net", tiny.state_dict())
    arch, weights = {
        "weights": ("", folder),
        "local-dir": (f"timm:local-dir:{folder}", None),
        "both": ("timm:test_resnet", folder),
    }[how]
    card, rows = register("mine", arch, weights, labels=nine, **folders)
    assert (card.arch, card.source) == ("timm:test_resnet", "file")
    assert card.sha256 == digest_state(tiny.state_dict())
    shown = card.preprocess
    assert (shown.size, shown.resize, shown.resize_mode) == (32, 40, "longest")
    assert (shown.mean, shown.fill) == ((0.5, 0.4, 0.3), (128, 102, 76))
    assert all("config.json" in row.detail for row in rows if row.name in ("size", "normalisation"))
    assert read_cards(folders["cards_folder"])["mine"] == card


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("test_resnet", {"output_stride": 16}),
        ("test_vit", {"img_size": 192}),
        ("test_convnext", {"global_pool": "max"}),
        ("test_efficientnet", {"drop_rate": 0.2}),
    ],
)
def test_a_folder_that_timm_wrote(name, words, nine, folders, tmp_path):
    network = timm.create_model(name, num_classes=9, **words).eval()
    timm.models.save_for_hf(network, tmp_path / "net", safe_serialization=True)
    card, _ = register("mine", "", tmp_path / "net", labels=nine, **folders)
    assert card.sha256 == digest_state(network.state_dict())
    model, images = load_model(card, Place(tmp_path)), torch.rand(2, 3, 160, 160)
    assert torch.allclose(model.forward(images), network(model.normalise(images)), atol=1e-5)
    with pytest.raises(WeightsError, match="class count 9 does not fit"):
        register("other", "", tmp_path / "net", **folders)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("crop_pct", value) for value in (0, 5e-324, float("inf"), float("nan"))),
        *(("input_size", [3, side, side]) for side in (0, float("inf"), float("nan"), 10**400)),
        ("mean", [float("inf")] * 3),
        ("std", [0.0, 1.0, 1.0]),
    ],
)
def test_a_folder_with_an_impossible_input_is_refused(field, value, tiny, nine, folders, tmp_path):
    config = {**CONFIG, "pretrained_cfg": {**CONFIG["pretrained_cfg"], field: value}}
    folder = saved_folder(tmp_path / "net", tiny.state_dict(), config)
    with pytest.raises(CardError, match=field):
        register("mine", "", folder, labels=nine, **folders)


def test_a_name_of_the_hub_is_read_from_its_cache(tiny, nine, folders, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    snapshot = tmp_path / "hub" / "models--lab--net" / "snapshots" / ("0" * 40)
    saved_folder(snapshot, tiny.state_dict())
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    folders["place"] = Place(tmp_path / "weights", caches=Caches(hub=tmp_path / "hub"))
    card, rows = register("mine", "timm:hf_hub:lab/net", labels=nine, **folders)
    assert (card.arch, card.source, card.weights) == ("hf_hub:lab/net", "hub", None)
    assert card.sha256 == digest_state(tiny.state_dict())
    assert (card.preprocess.size, card.preprocess.mean) == (32, (0.5, 0.4, 0.3))
    assert rows[0].detail == "32 px, config.json of hf_hub:lab/net"
    with pytest.raises(WeightsError, match="Offline"):
        register("two", "timm:hf_hub:lab/none", labels=nine, **folders)


DOUBLE = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.full((1, 3, 1, 1), .3))
        self.register_buffer("std", torch.full((1, 3, 1, 1), .2))
        torch.manual_seed(0)
        self.head = nn.Linear(3, 9)
    def forward(self, x):
        return self.head(((x - self.mean) / self.std).mean((2, 3)))
class Plain(Net):
    def forward(self, x):
        return self.head(x.mean((2, 3)))
"""


def test_normalisation_inside_is_normalisation_outside_bit_for_bit_or_refused(nine, folders, tmp_path, monkeypatch):
    name = f"double_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(DOUBLE)
    monkeypatch.syspath_prepend(str(tmp_path))
    how = {"labels": nine, "size": 32, **folders}
    none = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    stated = {"mean": (0.3, 0.3, 0.3), "std": (0.2, 0.2, 0.2)}
    inside, _ = register("inside", f"python:{name}:Net", **none, **how)
    with pytest.raises(WeightsError, match="normalises its input itself"):
        register("twice", f"python:{name}:Net", **stated, **how)
    from importlib import import_module

    module = import_module(name).Plain()
    save_file({n: t for n, t in module.state_dict().items() if "head" in n}, tmp_path / "h.safetensors")
    images = torch.rand(4, 3, 32, 32)
    model = load_model(inside, Place(tmp_path))
    how_outside = Preprocess(size=32, resize=32, **stated)
    outside = ModelCard(name="o", source="python", arch=f"python:{name}:Plain", preprocess=how_outside)
    from registry.model import LoadedModel

    plain = LoadedModel(outside, module, "", model.labels)
    with torch.inference_mode():
        assert torch.equal(model.forward(images), plain.forward(images))
