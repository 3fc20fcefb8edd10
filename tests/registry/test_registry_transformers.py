"""Classifiers, CLIP and SigLIP of transformers from tiny folders with random weights."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from registry_builders import details
from safetensors.torch import load_file, save_file

from registry.cards import Preprocess
from registry.download import missing_weights
from registry.families.transformers import fields_of, require_same_pixels
from registry.labels import label_space
from registry.loading import load_network
from registry.register import CardFolder, backbone_card, register
from registry.user_errors import CardError, WeightsError

pytestmark = pytest.mark.slow

THREE = {0: "elm", 1: "tabby cat", 2: "jay"}


@pytest.fixture(scope="module", autouse=True)
def transformers():
    return pytest.importorskip("transformers")


@pytest.fixture
def vit(tmp_path, transformers):
    def make(name="net", kind="ViTForImageClassification", processor=True, **config):
        from saved_by_libraries import VISION

        torch.manual_seed(0)
        settings = transformers.ViTConfig(**{**VISION, "id2label": THREE, **config})
        getattr(transformers, kind)(settings).save_pretrained(tmp_path / name)
        if processor:
            transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / name)
        return tmp_path / name

    return make


def test_a_folder_answers_as_transformers_does(vit, folders, transformers):
    folder = vit()
    card, checks = register("mine", f"hf:{folder}", **folders)
    assert (card.arch, card.weights, card.source) == ("hf:vit", str(folder), "file")
    assert not missing_weights(card, folders["place"])
    told, said = details(checks), {"labels": "unmatched: elm", "resize": "both sides to 32 px (squash)"}
    said["normalisation"] = "preprocessor_config.json"
    assert all(text in told[name] for name, text in said.items())
    model = load_network(card, folders["place"])
    assert model.preprocess.fixed_size and label_space(card.labels).classes == ("elm", "tabby cat", "jay")
    network, images = transformers.ViTForImageClassification.from_pretrained(folder), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(model.forward(images), network((images - 0.5) / 0.5).logits, atol=1e-6)


SQUARE = {"height": 40, "width": 40}
SMALL = {"size": {"shortest_edge": 40}, "crop_size": SQUARE}


@pytest.mark.parametrize(("kind", "settings"), [
    ("CLIPImageProcessor", SMALL), ("MobileViTImageProcessor", SMALL),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}),
    ("EfficientNetImageProcessor", {"size": SQUARE, "rescale_factor": 1 / 127.5, "rescale_offset": True}),
    ("ViTImageProcessor", {"size": SQUARE, "do_normalize": False}),
    ("ViTImageProcessor", {"size": SQUARE, "do_rescale": False, "image_mean": [120] * 3, "image_std": [60] * 3}),
])  # fmt: skip
def test_a_card_feeds_what_the_processor_feeds(kind, settings, transformers):
    own = getattr(transformers, kind)(**settings)
    how = Preprocess.model_validate(fields_of(json.loads(own.to_json_string())))
    require_same_pixels(own, how)
    for wrong in ({"mean": (0.45, 0.5, 0.5)}, {"channels": "rgb" if how.channels == "bgr" else "bgr"}):
        with pytest.raises(ValueError, match="a card cannot express"):
            require_same_pixels(own, how.model_copy(update=wrong))


def test_a_processor_with_a_rule_of_its_own_is_refused(vit, folders, transformers):
    folder, strange = vit(processor=False), transformers.PoolFormerImageProcessor(size={"shortest_edge": 400})
    for own in (strange, transformers.CLIPImageProcessor(do_center_crop=False)):
        own.save_pretrained(folder)
        with pytest.raises(CardError, match=f"a card cannot express what {type(own).__name__} does"):
            register("mine", f"hf:{folder}", **folders)


def test_files_that_are_refused(vit, folders, tmp_path):
    folder = vit("pickled")
    plain, _ = register("plain", f"hf:{folder}", **folders)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"holds its weights as a pickle.*--convert"):
        register("mine", f"hf:{folder}", **folders)
    assert register("again", f"hf:{folder}", **folders, convert=True)[0].sha256 == plain.sha256
    code = vit("code")
    config = json.loads((code / "config.json").read_text())
    auto = {"AutoConfig": "evil.Config", "AutoModelForImageClassification": "evil.Net"}
    (code / "config.json").write_text(json.dumps(config | {"model_type": "mine", "auto_map": auto}))
    (code / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises((WeightsError, CardError), match="transformers"):
        register("mine", f"hf:{code}", **folders)
    assert not (tmp_path / "ran").exists() and len([*folders["cards_folder"].glob("*.yaml")]) == 2  # plain, again


def test_a_backbone_is_refused_and_a_probe_takes_it(vit, folders, transformers):
    folder = vit(kind="ViTModel")
    with pytest.raises(WeightsError, match=r"weights of its classifier.*bench register NAME --probe"):
        register("mine", f"hf:{folder}", **folders)
    shelf = CardFolder(cards=folders["cards_folder"], place=folders["place"])
    card, _ = backbone_card("mine", f"hf:{folder}", None, shelf=shelf)
    model = load_network(card, shelf.place, bare=True)
    network, images = transformers.ViTModel.from_pretrained(folder), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(model.module(images), network(images).pooler_output, atol=1e-6)
    card, _ = backbone_card("mine", f"hf:{vit('whole')}", None, shelf=shelf)
    model = load_network(card, shelf.place, bare=True)
    network = transformers.ViTForImageClassification.from_pretrained(card.weights)
    with torch.no_grad():  # its pooler was never trained: the class token is what its own classifier reads
        assert torch.allclose(network.classifier(model.module(images)), network(images).logits, atol=1e-6)


def test_a_mirror_stands_in_for_the_hub(vit, folders, tmp_path, monkeypatch):
    def offline(*_args, **_words):
        raise OSError("no network here")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    vit("somebody/tiny")
    folders["place"] = replace(folders["place"], mirror=str(tmp_path))
    card, _ = register("mine", "hf:somebody/tiny", **folders)
    assert (card.arch, card.source, card.weights) == ("hf:somebody/tiny", "hub", None)
    assert load_network(card, folders["place"]).digest == card.sha256
    with pytest.raises(WeightsError, match=r"could not be had.*it lacks.*no network here.*HF_ENDPOINT"):
        register("two", "hf:somebody/none", **folders)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CardError, match=r"pip install 'gestaltbench\[hf\]'"):
        register("three", f"hf:{tmp_path / 'somebody' / 'tiny'}", **folders)


SIXTEEN = label_space("geirhos16").classes
IMAGES = [np.random.default_rng(side).integers(0, 256, (side, 97 - side, 3)).astype(np.uint8) for side in (33, 47, 61)]


@pytest.fixture(scope="module")
def towers(tmp_path_factory):
    pytest.importorskip("transformers")
    pytest.importorskip("sentencepiece")
    from saved_by_libraries import save_clip, save_siglip

    nets = tmp_path_factory.mktemp("nets")
    return {"clip": save_clip(nets / "clip"), "siglip": save_siglip(nets / "siglip")}.get


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_it_answers_as_the_pipeline_of_transformers(kind, towers, folders, transformers):
    folder = towers(kind)
    card, checks = register("mine", f"hf:{folder}", labels="geirhos16", options={"templates": "single"}, **folders)
    assert (card.arch, card.source, card.training) == (f"hf:{kind}", "file", ("zero-shot(16 names x 1 templates)",))
    assert not missing_weights(card, folders["place"])
    assert details(checks)["scale"] == ("20.09, bias -2" if kind == "siglip" else "20.09, bias 0")
    assert "processor_config.json" in details(checks)["size"]
    model = load_network(card, folders["place"])
    own = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    pipeline = transformers.pipeline("zero-shot-image-classification", str(folder), image_processor=own)
    for image in IMAGES:
        answers = pipeline(Image.fromarray(image), candidate_labels=SIXTEEN, hypothesis_template="a photo of a {}.")
        wanted = torch.tensor([next(a["score"] for a in answers if a["label"] == name) for name in SIXTEEN])
        with torch.no_grad():
            logits = model.forward(model.prepare([image], "card"))[0]
        scores = logits.sigmoid() if kind == "siglip" else logits.softmax(0)
        assert torch.allclose(scores, wanted, atol=1e-4) and scores.std() > 1e-3
    images, shelf = torch.rand(2, 3, 32, 32), CardFolder(cards=folders["cards_folder"], place=folders["place"])
    own, _ = backbone_card("own", f"hf:{folder}", None, shelf=shelf)  # the image tower alone
    assert "text_head" not in own.options
    with torch.no_grad():
        features = load_network(own, shelf.place, bare=True).module(images)
        assert torch.allclose(features, pipeline.model.get_image_features(images).pooler_output, atol=1e-6)


def test_a_classifier_on_a_tower_stays_a_classifier(towers, folders, tmp_path, transformers):
    config = transformers.CLIPConfig.from_pretrained(towers("clip"), id2label={0: "elm", 1: "jay"})
    transformers.CLIPForImageClassification(config).save_pretrained(tmp_path / "net")
    transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(tmp_path / "net")
    card, _ = register("mine", f"hf:{tmp_path / 'net'}", **folders)
    assert label_space(card.labels).classes == ("elm", "jay")
    with pytest.raises(CardError, match="is a classifier: --templates"):
        register("two", f"hf:{tmp_path / 'net'}", options={"templates": "7"}, **folders)


@pytest.mark.parametrize(("lost", "said"), [
    ("tokenizer.json", "no tokenizer.json, vocab.json or spiece.model"),
    ("model.safetensors", "holds neither .safetensors nor pytorch_model.bin"),
    ("text_model.", r"lacks \d+ weights of its towers: text_model"),
])  # fmt: skip
def test_a_folder_that_lacks_a_part(lost, said, towers, folders, tmp_path):
    for file in towers("clip").iterdir():
        if file.name not in (lost, "model.safetensors"):
            (tmp_path / file.name).symlink_to(file)
    state = load_file(towers("clip") / "model.safetensors")
    if lost != "model.safetensors":
        kept = {name: tensor for name, tensor in state.items() if not name.startswith(lost)}
        save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises((WeightsError, CardError), match=said):
        register("mine", f"hf:{tmp_path}", labels="geirhos16", **folders)
