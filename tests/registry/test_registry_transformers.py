"""Classifiers of transformers, from tiny folders with random weights; docs/models.md has a row for each case."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from registry.cards import Preprocess
from registry.errors import CardError, WeightsError
from registry.families.transformers import fields_of, require_same_pixels
from registry.labels import label_space
from registry.loading import availability, load_model
from registry.model import present
from registry.register import CardFolder, backbone_card, register

pytestmark = pytest.mark.slow

TINY = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "image_size": 32, "patch_size": 8,
}  # fmt: skip
THREE = {0: "elm", 1: "tabby cat", 2: "jay"}


@pytest.fixture(scope="module", autouse=True)
def transformers():
    """Imported where these tests run: it takes seconds."""
    return pytest.importorskip("transformers")


@pytest.fixture
def vit(tmp_path, transformers):
    """Write a tiny ViT with its processor and return the folder."""

    def make(name="net", kind="ViTForImageClassification", processor=True, **config):
        torch.manual_seed(0)
        settings = transformers.ViTConfig(**{**TINY, "id2label": THREE, **config})
        folder = tmp_path / name
        getattr(transformers, kind)(settings).save_pretrained(folder)
        if processor:
            own = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
            own.save_pretrained(folder)
        return folder

    return make


def rows(checks):
    return {check.name: check.detail for check in checks}


def test_a_folder_answers_as_transformers_does(vit, folders, transformers):
    folder = vit()
    card, checks = register("mine", f"hf:{folder}", **folders)
    assert (card.arch, card.weights, card.source) == ("hf:vit", str(folder), "file")
    assert availability(card, folders["place"]).on_disk
    told = rows(checks)
    assert "unmatched: elm" in told["labels"]
    assert "1 are WordNet" in told["labels"] or "2 are WordNet" in told["labels"]
    assert "both sides to 32 px (squash)" in told["resize"]
    assert "preprocessor_config.json" in told["normalisation"]
    model = load_model(card, folders["place"])
    assert model.preprocess.fixed_size
    assert label_space(card.labels).classes == ("elm", "tabby cat", "jay")
    network = transformers.ViTForImageClassification.from_pretrained(folder)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        wanted = network((images - 0.5) / 0.5).logits
    assert torch.allclose(model.forward(images), wanted, atol=1e-6)


SQUARE = {"height": 48, "width": 48}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("ViTImageProcessor", {"size": SQUARE}),
        ("DeiTImageProcessor", {"size": SQUARE, "crop_size": {"height": 40, "width": 40}}),
        ("CLIPImageProcessor", {"size": {"shortest_edge": 48}, "crop_size": {"height": 40, "width": 40}}),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 48}}),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}),
        ("SiglipImageProcessor", {"size": SQUARE}),
        ("EfficientNetImageProcessor", {"size": SQUARE, "rescale_factor": 1 / 127.5, "rescale_offset": True}),
        ("MobileViTImageProcessor", {"size": {"shortest_edge": 48}, "crop_size": {"height": 40, "width": 40}}),
        ("ViTImageProcessor", {"size": SQUARE, "do_normalize": False}),
        ("ViTImageProcessor", {"size": SQUARE, "do_rescale": False, "image_mean": [120] * 3, "image_std": [60] * 3}),
    ],
)  # fmt: skip
def test_a_card_feeds_what_the_processor_feeds(kind, settings, transformers):
    own = getattr(transformers, kind)(**settings)
    how = Preprocess.model_validate(fields_of(json.loads(own.to_json_string())))
    require_same_pixels(own, how)
    for wrong in ({"mean": (0.45, 0.5, 0.5)}, {"channels": "rgb" if how.channels == "bgr" else "bgr"}):
        with pytest.raises(ValueError, match="a card cannot say"):
            require_same_pixels(own, how.model_copy(update=wrong))


SIZES = np.random.default_rng(1).integers(30, 200, (200, 2)) * 2 + [1, 0]


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("CLIPImageProcessor", {}),
        ("BitImageProcessor", {"size": {"shortest_edge": 256}}),  # DINOv2's
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 224}}),
        ("ViTImageProcessor", {}),
        ("SiglipImageProcessor", {}),
        ("LevitImageProcessor", {}),
        ("DeiTImageProcessor", {"size": {"height": 227, "width": 227}}),
    ],
)
def test_two_hundred_odd_sizes_pixel_for_pixel(kind, settings, transformers):
    raw = {**settings, "do_rescale": False, "do_normalize": False}
    how = Preprocess.model_validate(fields_of(json.loads(getattr(transformers, kind)(**settings).to_json_string())))
    slow, fast = (getattr(transformers, kind + end)(**raw) for end in ("Pil", ""))
    noise = np.random.default_rng(0).integers(0, 256, (400, 401, 3)).astype(np.uint8)
    for turn, (height, width) in enumerate(SIZES):
        image = noise[:height, :width] if turn % 2 else noise[:width, :height]
        (fed,) = present([image], how, "card")
        wanted, of_torch = (own(image, return_tensors="np")["pixel_values"][0] for own in (slow, fast))
        assert np.array_equal(fed, wanted.transpose(1, 2, 0))
        assert np.abs(of_torch.astype(int) - wanted).mean() < 0.5  # torch's filter rounds otherwise than Pillow's
        if how.resize_mode == "shortest":  # nothing to resize: torch's crop is the card's
            image = np.pad(noise, ((0, 0), (0, int(width)), (0, 0)))[: how.resize]
            (fed,) = present([image], how, "card")
            assert np.array_equal(fed, fast(image, return_tensors="np")["pixel_values"][0].transpose(1, 2, 0))


def test_a_processor_with_a_rule_of_its_own_is_refused(vit, folders, transformers):
    folder = vit(processor=False)
    for own in (
        transformers.PoolFormerImageProcessor(size={"shortest_edge": 400}),
        transformers.CLIPImageProcessor(do_center_crop=False),
    ):
        own.save_pretrained(folder)
        with pytest.raises(CardError, match=f"a card cannot say what {type(own).__name__} does"):
            register("mine", f"hf:{folder}", **folders)


def test_names_of_imagenet_in_their_places(vit, folders):
    words = list(label_space("imagenet1k").words)
    words[3], words[7] = "a shark", "somebody's cock"
    named = dict(enumerate(word.split(",")[0] for word in words))
    card, checks = register("mine", f"hf:{vit(id2label=named)}", **folders)
    assert card.labels == "imagenet1k"
    assert "998 of 1000 names" in rows(checks)["labels"]
    assert "not matched: 3 'a shark', 7 'somebody's cock'" in rows(checks)["labels"]
    moved = dict(enumerate([*words[500:], *words[:500]]))
    card, _ = register("moved", f"hf:{vit('moved', id2label=moved)}", **folders)
    assert card.labels != "imagenet1k"


def test_a_folder_says_that_it_is_of_transformers(vit, folders):
    folder = vit()
    whole, _ = register("one", f"hf:{folder}", **folders)
    for name, arch in (("two", ""), ("three", f"hf:{folder}")):
        card, _ = register(name, arch, folder, **folders)
        assert (card.arch, card.weights, card.sha256) == (whole.arch, str(folder), whole.sha256)


def test_files_that_are_refused(vit, folders, tmp_path):
    folder = vit("pickled")
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"holds no .safetensors.*save_pretrained"):
        register("mine", f"hf:{folder}", **folders)
    code = vit("code")
    config = json.loads((code / "config.json").read_text())
    config |= {
        "model_type": "mine",
        "auto_map": {"AutoConfig": "evil.Config", "AutoModelForImageClassification": "evil.Net"},
    }
    (code / "config.json").write_text(json.dumps(config))
    (code / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises((WeightsError, CardError), match="transformers"):
        register("mine", f"hf:{code}", **folders)
    assert not (tmp_path / "ran").exists()
    assert not list(folders["cards_folder"].glob("*.yaml"))


def test_a_backbone_is_refused_and_a_probe_takes_it(vit, folders, transformers):
    folder = vit(kind="ViTModel")
    with pytest.raises(WeightsError, match=r"weights of its classifier.*bench register NAME --probe"):
        register("mine", f"hf:{folder}", **folders)
    shelf = CardFolder(folders["cards_folder"], folders["place"])
    card, _ = backbone_card("mine", f"hf:{folder}", None, shelf=shelf)
    model = load_model(card, shelf.place, bare=True)
    network = transformers.ViTModel.from_pretrained(folder)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(model.module(images), network(images).pooler_output, atol=1e-6)
    card, _ = backbone_card("mine", f"hf:{vit('whole')}", None, shelf=shelf)
    model = load_model(card, shelf.place, bare=True)
    network = transformers.ViTForImageClassification.from_pretrained(card.weights)
    with torch.no_grad():  # its pooler was never trained: the class token is what its own classifier reads
        assert torch.allclose(network.classifier(model.module(images)), network(images).logits, atol=1e-6)


def mirrored(folders, mirror):
    return {**folders, "place": replace(folders["place"], mirror=str(mirror))}


def test_a_mirror_stands_in_for_the_hub(vit, folders, tmp_path):
    folder = vit("somebody/tiny")
    card, _ = register("mine", "hf:somebody/tiny", **mirrored(folders, tmp_path))
    assert (card.arch, card.source, card.weights) == ("hf:somebody/tiny", "hub", None)
    again = load_model(card, mirrored(folders, tmp_path)["place"])
    assert again.digest == card.sha256
    assert folder.is_dir()


def test_a_repository_that_can_be_had_nowhere(folders, tmp_path, monkeypatch):
    import huggingface_hub

    def offline(*_args, **_words):
        raise OSError("no network here")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(WeightsError, match=r"could not be had.*it lacks.*no network here.*HF_ENDPOINT"):
        register("mine", "hf:somebody/tiny", **mirrored(folders, tmp_path))


def test_the_extra_is_named_where_it_is_missing(vit, folders, monkeypatch):
    import sys

    place = vit()  # made while transformers is there
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CardError, match=r"pip install 'gestaltbench\[hf\]'"):
        register("mine", f"hf:{place}", **folders)
