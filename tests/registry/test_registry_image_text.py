"""Zero-shot image-text models, from a tiny configuration with random weights."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from registry_builders import details
from safetensors.torch import load_file, save_file

from registry.cards import read_cards
from registry.download import missing_weights
from registry.files import WeightSources
from registry.labels import label_space
from registry.loading import load_network
from registry.register import register
from registry.user_errors import CardError, WeightsError

pytestmark = pytest.mark.slow

VISION = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8}
TEXT = {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
CLIP = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT}
SIGLIP = {**CLIP, "custom_text": True, "init_logit_bias": -10}
INPUT = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic", "resize_mode": "shortest"}
SQUASHED = {**INPUT, "mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"}


@pytest.fixture(scope="module")
def open_clip():
    return pytest.importorskip("open_clip")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, open_clip):
    made = {}

    def make(config=CLIP, fed=INPUT, name="tiny"):
        if name not in made:
            place = tmp_path_factory.mktemp("models") / name
            place.mkdir(parents=True)
            text = json.dumps({"model_cfg": config, "preprocess_cfg": fed})
            (place / "open_clip_config.json").write_text(text)
            torch.manual_seed(0)
            model = open_clip.create_model(f"local-dir:{place}", load_weights=False)
            state = {name: value.clone() for name, value in model.state_dict().items()}
            save_file(state, place / "open_clip_model.safetensors")
            made[name] = place
        return made[name]

    return make


@pytest.mark.parametrize(("config", "fed", "name"), [(CLIP, INPUT, "tiny"), (SIGLIP, SQUASHED, "sig")])
def test_it_answers_as_open_clip_does(config, fed, name, folder, folders, open_clip):
    place = folder(config, fed, name)
    card, checks = register("mine", f"open_clip:{place}", labels="geirhos16", options={"templates": "7"}, **folders)
    assert not missing_weights(card, folders["place"]) and card.training == ("zero-shot(16 names x 7 templates)",)
    assert "16 names of 'geirhos16', such as 'airplane'" in details(checks)["names"]
    mine = load_network(card, folders["place"])
    theirs, _, transform = open_clip.create_model_and_transforms(f"local-dir:{place}")
    theirs.eval()
    words = label_space("geirhos16").classes, open_clip.SIMPLE_IMAGENET_TEMPLATES
    vectors = open_clip.build_zero_shot_classifier(theirs, open_clip.get_tokenizer(f"local-dir:{place}"), *words)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    fed = transform(Image.fromarray(pixels))[None]
    assert torch.allclose(mine.normalise(mine.prepare([pixels], "card")), fed, atol=1e-5)
    with torch.no_grad():
        image = theirs.encode_image(fed, normalize=True)
        bias = 0 if theirs.logit_bias is None else theirs.logit_bias
        wanted = theirs.logit_scale.exp() * image @ vectors + bias
        assert torch.allclose(mine.forward(mine.prepare([pixels], "card")), wanted, atol=1e-4)
    assert ("resize_mode" in card.model_dump()["preprocess"]) == (name == "sig")


def test_sixteen_names_and_a_thousand_grouped_are_two_observers(folder, folders):
    place, how = f"open_clip:{folder()}", {"options": {"templates": "single"}, **folders}
    few, _ = register("few", place, labels="geirhos16", **how)
    many, checks = register("many", place, **how)
    assert "1000 names of 'imagenet1k', such as 'tench'" in details(checks)["names"]
    assert label_space(few.labels).answers == ("geirhos16",)
    assert label_space(many.labels).answers == ("imagenet1k", "geirhos16")
    one, other = load_network(few, folders["place"]), load_network(many, folders["place"])
    assert one.identity != other.identity
    assert torch.equal(one.module.visual.conv1.weight, other.module.visual.conv1.weight)


def test_templates_of_ones_own(folder, folders, tmp_path):
    place, file = f"open_clip:{folder()}", tmp_path / "mine.txt"
    file.write_text("a drawing of a {}.\n\nthe {} itself\n")
    options = {"templates": str(file)}
    card, checks = register("mine", place, labels="geirhos16", options=options, **folders)
    assert details(checks)["templates"].startswith("2, such as 'a drawing of a {}.'")
    assert read_cards(folders["cards_folder"])["mine"].options == card.options
    assert card.options["templates"] == "a drawing of a {}.\nthe {} itself"
    for text, told in (("a photo", "a photo"), ("{} and {}", "and"), ("", "nothing"), (None, "'9'")):
        file.write_text(text or "")
        options = {"templates": str(file) if text is not None else "9"}
        with pytest.raises(CardError, match=rf"{told}.* is not a template.*Expected single, 7, 80"):
            register("other", place, labels="geirhos16", options=options, **folders)


@pytest.fixture
def listed(monkeypatch, open_clip):
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", {**CLIP})
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", {"ours": {"hf_hub": "somebody/tiny/", **INPUT}})


@pytest.mark.release
def test_an_architecture_with_a_file_and_with_random_weights(folder, folders, listed):
    file = folder() / "open_clip_model.safetensors"
    half = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    card, _ = register("file", "open_clip:tiny", file, labels="geirhos16", **half, **folders)
    assert (card.source, card.weights) == ("file", str(file))
    whole, _ = register("folder", f"open_clip:{folder()}", labels="geirhos16", **folders)
    assert load_network(card, folders["place"]).digest == load_network(whole, folders["place"]).digest
    first, _ = register("r0", "open_clip:tiny", "random:0", labels="geirhos16", **folders)
    second, _ = register("r1", "open_clip:tiny", "random:1", labels="geirhos16", **folders)
    assert first.training[0] == "untrained"
    assert load_network(first, folders["place"]).digest == first.sha256 != second.sha256
    with pytest.raises(WeightsError, match="does not fit"):
        register("misfit", "open_clip:ViT-S-32-alt", file, labels="geirhos16", **folders)


def test_published_weights_come_from_a_mirror(folder, folders, listed, tmp_path):
    (tmp_path / "mirror" / "somebody").mkdir(parents=True)
    (tmp_path / "mirror" / "somebody" / "tiny").symlink_to(folder(), target_is_directory=True)
    words = {**folders, "place": WeightSources(weights_folder=tmp_path / "weights", mirror=str(tmp_path / "mirror"))}
    card, checks = register("mine", "open_clip:tiny", "ours", labels="geirhos16", **words)
    assert (card.source, card.weights, card.options["repository"]) == ("hub", "ours", "somebody/tiny")
    assert details(checks)["normalisation"].startswith("mean (0.5, 0.4, 0.3), std (0.2, 0.3, 0.4), open_clip's")
    whole, _ = register("folder", f"open_clip:{folder()}", labels="geirhos16", **folders)
    assert card.sha256 == whole.sha256
    hub, _ = register("hub", "open_clip:somebody/tiny", labels="geirhos16", **words)
    assert hub.sha256 == whole.sha256


def test_a_head_goes_with_a_registration_that_fails(folder, folders, tmp_path):
    (tmp_path / "open_clip_config.json").symlink_to(folder() / "open_clip_config.json")
    state = load_file(folder() / "open_clip_model.safetensors")
    state["visual.conv1.weight"] *= torch.nan
    save_file(state, tmp_path / "open_clip_model.safetensors")
    with pytest.raises(WeightsError, match="NaN"):
        register("mine", f"open_clip:{tmp_path}", labels="geirhos16", **folders)
    assert not list((folders["cards_folder"] / "heads").iterdir())
