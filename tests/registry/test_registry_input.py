"""What a network is fed: stated with its source, read from folders and the hub's cache, resized as the field does."""

import json
from importlib import import_module

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from registry_builders import details
from safetensors.torch import save_file
from torch import nn
from torchvision.transforms import Compose, Normalize

from registry.cards import ModelCard, Preprocess, read_cards
from registry.checkpoints import read_weights
from registry.files import Caches, WeightSources, digest_state, write_whole
from registry.loading import load_network
from registry.model import LoadedModel, present_plane, presented
from registry.preprocessing import UNSTATED, StatedInput, settled_input, stated_by_training, stated_input
from registry.register import register
from registry.user_errors import CardError, WeightsError


@pytest.mark.parametrize("shape", [(50, 81), (90, 47), (20, 31)])
@pytest.mark.parametrize(("mode", "timms"), [("longest", "border"), ("squash", "squash"), ("shortest", "center")])
def test_resize_modes_are_those_of_timm(shape, mode, timms):
    from timm.data import create_transform

    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    fed = {"interpolation": "bicubic", "crop_pct": 0.8, "crop_mode": timms, "mean": (0.2, 0.4, 0.6)}
    expected = create_transform((3, 32, 32), **fed, normalize=False)(Image.fromarray(pixels))
    how = Preprocess(size=32, resize=40, interpolation="bicubic", resize_mode=mode, fill=(51, 102, 153))
    assert np.array_equal(presented(pixels, how, "card"), expected.permute(1, 2, 0).numpy())


def test_a_mask_follows_and_the_filled_rest_is_no_object():
    how = Preprocess(size=32, resize=32, resize_mode="longest", fill=(255, 255, 255))
    mask = present_plane(np.ones((16, 32), dtype=bool), how, "card", (32, 32))
    assert mask.shape == (32, 32) and mask[8:24].all() and not mask[:8].any() and not mask[24:].any()


def test_the_usual_rule_leaves_identities_as_they_were():
    before = {"size": 32, "resize": 36, "interpolation": "bilinear", "channels": "rgb", "scale": 1.0}
    before |= {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "fixed_size": False}
    assert Preprocess(size=32, resize=36).model_dump(mode="json") == before
    for rare in ({"resize_mode": "squash"}, {"margin": "down"}):
        assert Preprocess(size=32, resize=36, **rare).model_dump(mode="json") == {**before, **rare}


def test_every_part_says_where_it_comes_from():
    known = StatedInput(stated_input("timm:test_resnet").fields, "the tag")
    _, rows = settled_input("timm:test_resnet", {"size": 64, "interpolation": "bicubic"}, known)
    assert [f"{row.mark} {row.name}: {row.detail}" for row in rows] == [
        " size: 64 px, as given",
        "guess resize: shorter side to 73 px, then the centre 64 px, from the size 64 that was given",
        " interpolation: bicubic, as given",
        " normalisation: mean (0.5, 0.5, 0.5), std (0.5, 0.5, 0.5), the tag",
        " pixels: rgb in 0..1, in the order of the mean",
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


@pytest.mark.slow
@pytest.mark.parametrize("named", ["timm:test_resnet", "", "timm:local-dir:"])
def test_a_folder_of_timm_says_everything(named, tiny, nine, folders, tmp_path):
    folder = saved_folder(tmp_path / "net", tiny.state_dict())
    arch, weights = (f"{named}{folder}", None) if named.endswith(":") else (named, folder)
    card, rows = register("mine", arch, weights, labels=nine, **folders)
    assert (card.arch, card.source, card.sha256) == ("timm:test_resnet", "file", digest_state(tiny.state_dict()))
    shown = card.preprocess
    assert (shown.size, shown.resize, shown.resize_mode) == (32, 40, "longest")
    assert (shown.mean, shown.fill) == ((0.5, 0.4, 0.3), (128, 102, 76))
    assert all("config.json" in row.detail for row in rows if row.name in ("size", "normalisation"))
    assert read_cards(folders["cards_folder"])["mine"] == card
    with pytest.raises(WeightsError, match="class count 9 does not fit"):
        register("other", arch, weights, **folders)


@pytest.mark.parametrize(("field", "value"), [
    *(("crop_pct", value) for value in (0, 5e-324, float("nan"))), ("mean", [float("inf")] * 3),
    *(("input_size", [3, side, side]) for side in (0, float("inf"), 10**400)), ("std", [0.0, 1.0, 1.0]),
    *((argument, "os.system") for argument in ("act_layer", "norm_layer", "global_pool")),
])  # fmt: skip
def test_a_folder_with_an_impossible_input_or_a_function_is_refused(field, value, tiny, nine, folders, tmp_path):
    is_function = value == "os.system"
    part = "model_args" if is_function else "pretrained_cfg"
    config = {**CONFIG, part: {**CONFIG.get(part, {}), field: value}}
    folder = saved_folder(tmp_path / "net", tiny.state_dict(), config)
    said = r"'timm:test_resnet' could not be built \(.*os\.system" if is_function else field
    with pytest.raises(WeightsError if is_function else CardError, match=said):
        register("mine", "", folder, labels=nine, **folders)


def test_a_name_of_the_hub_is_read_from_its_cache(tiny, nine, folders, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    snapshot = saved_folder(tmp_path / "hub" / "models--lab--net" / "snapshots" / ("0" * 40), tiny.state_dict())
    write_whole(snapshot.parents[1] / "refs" / "main", "0" * 40)
    folders["place"] = WeightSources(weights_folder=tmp_path / "weights", caches=Caches(hub=tmp_path / "hub"))
    card, rows = register("mine", "timm:hf_hub:lab/net", labels=nine, **folders)
    assert (card.arch, card.source, card.weights) == ("hf_hub:lab/net", "hub", None)
    assert card.sha256 == digest_state(tiny.state_dict())
    assert (card.preprocess.size, card.preprocess.mean) == (32, (0.5, 0.4, 0.3))
    assert rows[0].detail == "32 px, config.json of hf_hub:lab/net"
    with pytest.raises(WeightsError, match="Offline"):
        register("two", "timm:hf_hub:lab/none", labels=nine, **folders)


INSIDE = """
import torch
from torch import nn
from torchvision.transforms import Normalize
class Head(nn.Module):
    def __init__(self, mean=.3, std=.2):
        super().__init__()
        self.register_buffer("mean", torch.full((1, 3, 1, 1), mean))
        self.register_buffer("std", torch.full((1, 3, 1, 1), std))
        torch.manual_seed(0)
        self.head = nn.Linear(3, 9)
    def forward(self, x):
        return self.head(((x - self.mean) / self.std).mean((2, 3)))
def Levels():
    return Head(76.5, 51.)
def Transform():
    return nn.Sequential(Normalize([.3] * 3, [.2] * 3), Head(0., 1.).requires_grad_(False))
"""


@pytest.mark.parametrize(("factory", "scale"), [("Head", 1.0), ("Levels", 255.0), ("Transform", 1.0)])
def test_normalisation_inside_is_normalisation_outside_or_refused(factory, scale, nine, folders, tmp_path, monkeypatch):
    name = f"inside_{factory}_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(INSIDE)
    monkeypatch.syspath_prepend(str(tmp_path))
    how, stated = {"labels": nine, "size": 32, **folders}, {"mean": (0.3,) * 3, "std": (0.2,) * 3}
    none, flags = {"mean": (0.0,) * 3, "std": (1.0,) * 3}, "--mean 0,0,0 --std 1,1,1" + " --scale 255" * (scale > 1)
    for wrong in (stated, {**none, "scale": 256 - scale}):
        with pytest.raises(WeightsError, match=f"normalises its input itself.*{flags}"):
            register("twice", f"python:{name}:{factory}", **wrong, **how)
    inside, _ = register("inside", f"python:{name}:{factory}", **none, scale=scale, **how)
    images, model = torch.rand(4, 3, 32, 32), load_network(inside, folders["place"])
    outside = ModelCard(name="o", source="python", arch="o", preprocess=Preprocess(size=32, resize=32, **stated))
    plain = LoadedModel(card=outside, module=import_module(name).Head(0.0, 1.0), digest="", labels=model.labels)
    with torch.inference_mode():
        assert torch.allclose(model.forward(images), plain.forward(images), atol=1e-5)


MEAN, STD = torch.tensor([0.41, 0.42, 0.43]), torch.tensor([0.21, 0.22, 0.23])
NORM = {"running_mean": MEAN, "running_var": STD**2 - 1e-5, "num_batches_tracked": torch.tensor(3)}


def beside(prefix, place, **tensors):
    return lambda state: (
        {f"{prefix}{name}": t for name, t in state.items()} | {place + n: t for n, t in tensors.items()}
    )


#: What training code saves beside a network fed with (x - MEAN) / STD, and the scale of its pixels.
BESIDE = {
    "robustness": (beside("model.", "normalize.", mean=MEAN, std=STD), 1),
    "MMPretrain": (beside("backbone.", "data_preprocessor.", mean=255 * MEAN[:, None, None], std=255 * STD), 255),
    "detectron2": (beside("", "", pixel_mean=255 * MEAN, pixel_std=255 * STD), 255),
    "transforms": (beside("net.", "transforms.0.", mean=MEAN, sds=STD), 1),
    "variance": (beside("net.", "", imagenet_mean=MEAN, imagenet_var=STD**2), 1),
    "inverse": (beside("net.", "preprocess.normalize.", mean=MEAN, inv_std=1 / STD), 1),
    "a batch norm": (beside("1.", "0.", **NORM), 1),
    "an affine one": (beside("", "input_norm.", **{**NORM, "weight": torch.full((3,), 2.0), "running_var": 4 * STD**2,
                                                  "bias": torch.zeros(3)}), 1),
    "a convolution": (beside("1.", "0.", weight=(1 / STD).view(3, 1, 1, 1), bias=-MEAN / STD), 1),
    "a diagonal one": (beside("net.", "scale.", weight=(1 / STD).diag()[..., None, None], bias=-MEAN / STD), 1),
    "entries": (lambda state: {"state_dict": state, "mean": MEAN.tolist(), "std": STD}, 1),
    "a transform": (lambda state: {"state_dict": state, "transform": Compose([Normalize(MEAN, STD)])}, 1),
    "a configuration": (lambda state: {"model": state, "cfg": {"data": {"mean": (*MEAN.tolist(),), "std": STD}}}, 1),
    "beside other settings": (lambda state: {"state_dict": state, "hyper_parameters": {
        "lr": 0.1, "data": {"mean": (255 * MEAN).tolist(), "std": (255 * STD).tolist()}}}, 255),
}  # fmt: skip


@pytest.mark.parametrize("name", BESIDE)
def test_the_checkpoints_own_normalisation_is_used(name, tiny, tmp_path):
    wrap, scale = BESIDE[name]
    torch.save(wrap(tiny.state_dict()), tmp_path / "net.pt")
    choice = read_weights(tmp_path / "net.pt", tiny.state_dict(keep_vars=True))
    assert choice.state.keys() == tiny.state_dict().keys()
    trained = stated_by_training(choice.settings[1], choice.settings[0], "net.pt")
    how, rows = settled_input("python:x", {"size": 32}, StatedInput(), choice.normalisation, trained)
    assert how.scale == scale
    assert np.allclose([*how.mean, *how.std], np.multiply([*MEAN, *STD], scale), rtol=1e-4)
    assert [row.mark for row in rows if row.name == "normalisation"] == [""]


@pytest.mark.parametrize(("tensors", "said"), [
    ({"mean": -MEAN, "std": STD}, "which no option expresses"),
    ({"mean": MEAN, "std": STD, "again.mean": STD, "again.std": STD}, "2 different normalisations"),
    ({"0.running_mean": MEAN, "0.running_var": torch.ones(3)}, "may change its input"),  # of normalised pixels
    ({"colours.weight": torch.rand(3, 3, 1, 1)}, "may change its input"),
    ({"pixel_mean": MEAN}, "may change its input"),
])  # fmt: skip
def test_nothing_that_changes_the_input_is_dropped(tensors, said, tiny, nine, folders, tmp_path):
    torch.save(beside("net.", "", **tensors)(tiny.state_dict()), tmp_path / "net.pt")
    with pytest.raises(WeightsError, match=said):
        register("mine", "timm:test_resnet", tmp_path / "net.pt", labels=nine, **folders)


def test_statistics_that_contradict_are_refused_with_both(tiny, nine, card, folders, tmp_path):
    save_file(beside("model.", "normalize.", mean=MEAN, std=STD)(tiny.state_dict()), path := tmp_path / "n.safetensors")
    message = r"mean \(0\.41, 0\.42, 0\.43\), std.*mean \(0\.5, 0\.5, 0\.5\), std"
    with pytest.raises(WeightsError, match=message):
        load_network(card(path), folders["place"])
    with pytest.raises(WeightsError, match=r"Leave out --mean, --std and --scale"):
        register("mine", "timm:test_resnet", path, labels=nine, mean=(0.1, 0.1, 0.1), **folders)
    assert not folders["cards_folder"].exists()


TIMM = dict.fromkeys(("img_size", "input_size", "crop_pct", "mean", "std", "interpolation"))
USUAL_STD = (0.229, 0.224, 0.225)


def fields(**settings):
    return stated_by_training(settings, "args", "net.pth").fields


@pytest.mark.slow
def test_what_nothing_states_is_the_fields_usual_and_said(tiny, tmp_path, nine, folders):
    torch.save(tiny.state_dict(), tmp_path / "net.pth")
    given = {"labels": nine, "training": ("standard",), **folders}
    card, rows = register("mine", "timm:test_resnet", tmp_path / "net.pth", **given)
    assert all(row.ok for row in rows) and len(rows) == 17
    assert card == read_cards(folders["cards_folder"])["mine"] and card.training == ("standard",)
    assert card.sha256 == digest_state(tiny.state_dict()) == load_network(card, folders["place"]).digest
    how, told = card.preprocess, details(rows)
    assert (how.size, how.resize, how.interpolation, how.std) == (160, 183, "bilinear", USUAL_STD)
    assert {row.name for row in rows if row.mark} == {"input", "resize", "interpolation", "normalisation", "pixels"}
    assert "--mean, --std say otherwise" in told["input"]
    assert "timm:test_resnet.TAG" in told["input"] and told["normalisation"].endswith(UNSTATED)
    card, rows = register("tagged", "timm:test_resnet.r160_in1k", tmp_path / "net.pth", labels=nine, **folders)
    assert (card.preprocess.resize, card.preprocess.std) == (168, (0.5, 0.5, 0.5))
    assert "input" not in {row.name for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("place", ["args", "hyper_parameters"])
def test_a_contradiction_is_refused(place, tiny, tmp_path, nine, folders):
    path, half = tmp_path / "net.pth", {"mean": [0.5] * 3, "std": [0.5] * 3}
    said = {"image_size": 128, "resize_size": 146, "interpolation": "bicubic", **half}
    torch.save({"state_dict": tiny.state_dict(), place: said}, path)
    for given in ({"size": 160}, {"mean": (0.4, 0.5, 0.5)}, {"interpolation": "nearest"}):
        with pytest.raises(CardError, match=rf"stated by the checkpoint \({place}\), and --{next(iter(given))}.*Leave"):
            register("mine", "timm:test_resnet", path, labels=nine, **given, **folders)
    agreeing = {"size": 128, "mean": (127.5,) * 3, "std": (127.5,) * 3, "scale": 255.0}
    card, _ = register("mine", "timm:test_resnet", path, labels=nine, **agreeing, **folders)
    assert (card.preprocess.resize, card.preprocess.interpolation) == (146, "bicubic")


@pytest.mark.slow
def test_an_architecture_of_one_size_contradicts_another(nine, folders, tmp_path):
    network = timm.create_model("test_vit", num_classes=9, img_size=96)
    nn.init.normal_(network.head.weight)
    torch.save({"model": network.state_dict(), "args": {"input_size": 96}}, tmp_path / "net.pth")
    said = r"size 96 is stated by the checkpoint \(args\).*takes 160 px and no other.*--arch-option img_size=96"
    with pytest.raises(CardError, match=said):
        register("mine", "timm:test_vit", tmp_path / "net.pth", labels=nine, **folders)
    built = {"arch_option": ("img_size=96",), "labels": nine}
    card, _ = register("mine", "timm:test_vit", tmp_path / "net.pth", **built, **folders)
    assert (card.preprocess.size, card.preprocess.resize, card.preprocess.fixed_size) == (96, 110, True)


def test_usual_names_and_what_is_something_else():
    torchvisions = fields(val_crop_size=224, val_resize_size=232, interpolation="bilinear", train_crop_size=176)
    usual = {"mean": (0.485, 0.456, 0.406), "std": USUAL_STD, "interpolation": "bilinear"}
    assert torchvisions == {"size": 224, "resize": 232, **usual}
    assert fields(input_size=224, eval_crop_ratio=0.875) == {"size": 224, "resize": 256}
    bicubic = fields(image_size=[3, 96, 96], interpolation="InterpolationMode.BICUBIC")
    assert bicubic == {"size": 96, "interpolation": "bicubic"}
    assert fields(mean=[127.5], std=[127.5]) == {"mean": (127.5,) * 3, "std": (127.5,) * 3, "scale": 255}
    assert fields(mean=0.0, std=1.0, image_size="large", interpolation=0.5, lr=0.1) == {} and fields() == {}


@pytest.mark.parametrize("settings", [
    {"image_size": (224, 192)}, {"image_size": 10**5000},
    {"model": "test_resnet", **TIMM, "img_size": "wide"}, {"model": "test_resnet", **TIMM, "crop_pct": -1.0},
    {"image_size": 224, "crop_pct": 0.0}, {"mean": ["a"], "std": [1]},
])  # fmt: skip
def test_what_no_card_can_say_is_refused(settings):
    said = r"args of checkpoint net\.pth( cannot be read|: field 'crop_pct'.*, found '-1.0')"
    with pytest.raises((WeightsError, CardError), match=said):
        fields(**settings)
