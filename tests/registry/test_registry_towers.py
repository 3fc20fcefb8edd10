"""CLIP and SigLIP in transformers' own layout as zero-shot observers, beside the library's own pipeline."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from registry.errors import CardError, WeightsError
from registry.labels import label_space
from registry.loading import availability, load_model
from registry.register import CardFolder, backbone_card, register

pytestmark = pytest.mark.slow

NAMES = label_space("geirhos16").classes
IMAGES = [np.random.default_rng(side).integers(0, 256, (side, 97 - side, 3)).astype(np.uint8) for side in (33, 47, 61)]


@pytest.fixture(scope="module")
def towers(tmp_path_factory):
    """The folder of a tiny CLIP or SigLIP."""
    pytest.importorskip("transformers")
    pytest.importorskip("sentencepiece")
    from saved_by_libraries import save_clip, save_siglip

    nets = tmp_path_factory.mktemp("nets")
    return {"clip": save_clip(nets / "clip"), "siglip": save_siglip(nets / "siglip")}.get


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_it_answers_as_the_pipeline_of_transformers(kind, towers, folders):
    import transformers

    folder = towers(kind)
    card, rows = register("mine", f"hf:{folder}", labels="geirhos16", options={"templates": "single"}, **folders)
    assert (card.arch, card.source, card.training) == (f"hf:{kind}", "file", ("zero-shot(16 names x 1 templates)",))
    assert availability(card, folders["place"]).on_disk
    told = {row.name: row.detail for row in rows}
    assert told["scale"] == ("20.09, bias -2" if kind == "siglip" else "20.09, bias 0")
    assert "processor_config.json" in told["size"]
    model = load_model(card, folders["place"])
    own = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    pipeline = transformers.pipeline("zero-shot-image-classification", str(folder), image_processor=own)
    for image in IMAGES:
        answers = pipeline(Image.fromarray(image), candidate_labels=NAMES, hypothesis_template="a photo of a {}.")
        wanted = torch.tensor([next(a["score"] for a in answers if a["label"] == name) for name in NAMES])
        with torch.no_grad():
            logits = model.forward(model.prepare([image], "card"))[0]
        scores = logits.sigmoid() if kind == "siglip" else logits.softmax(0)
        assert torch.allclose(scores, wanted, atol=1e-4)
        assert scores.std() > 1e-3


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_templates_are_averaged_as_for_open_clip(kind, towers, folders):
    import transformers

    folder = towers(kind)
    card, _ = register("mine", "", folder, labels="geirhos16", options={"templates": "7"}, **folders)
    weight = load_model(card, folders["place"]).module.weight
    theirs, tokenizer = (getattr(transformers, f"Auto{k}").from_pretrained(folder) for k in ("Model", "Tokenizer"))
    import open_clip

    for name, vector in zip(NAMES[:3], weight[:3], strict=True):
        texts = [template(name) for template in open_clip.SIMPLE_IMAGENET_TEMPLATES]
        words = {"padding": "max_length", "max_length": 64} if kind == "siglip" else {"padding": True}
        with torch.no_grad():
            units = theirs.get_text_features(**tokenizer(texts, return_tensors="pt", **words)).pooler_output
        mean = (units / units.norm(dim=1, keepdim=True)).mean(0)
        assert torch.allclose(vector, mean / mean.norm(), atol=1e-5)


def test_the_image_tower_alone_is_a_backbone(towers, folders):
    import transformers

    shelf = CardFolder(folders["cards_folder"], folders["place"])
    card, _ = backbone_card("mine", f"hf:{towers('clip')}", None, shelf=shelf)
    theirs = transformers.CLIPModel.from_pretrained(towers("clip"))
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        features = load_model(card, shelf.place, bare=True).module(images)
        assert torch.allclose(features, theirs.get_image_features(images).pooler_output, atol=1e-6)


def test_a_classifier_on_a_tower_stays_a_classifier(towers, folders, tmp_path):
    import transformers

    config = transformers.CLIPConfig.from_pretrained(towers("clip"), id2label={0: "elm", 1: "jay"})
    transformers.CLIPForImageClassification(config).save_pretrained(tmp_path / "net")
    transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(tmp_path / "net")
    card, _ = register("mine", f"hf:{tmp_path / 'net'}", **folders)
    assert label_space(card.labels).classes == ("elm", "jay")
    with pytest.raises(CardError, match="is a classifier: --templates"):
        register("two", f"hf:{tmp_path / 'net'}", options={"templates": "7"}, **folders)


def test_names_of_the_hub_come_with_their_tokenizer(towers, folders, tmp_path):
    repository = tmp_path / "mirror" / "somebody" / "towers"
    repository.parent.mkdir(parents=True)
    repository.symlink_to(towers("clip"), target_is_directory=True)
    words = {**folders, "place": replace(folders["place"], mirror=str(tmp_path / "mirror"))}
    card, _ = register("mine", "hf:somebody/towers", labels="geirhos16", **words)
    assert (card.source, card.options["repository"], card.options["templates"]) == ("hub", "somebody/towers", "80")
    assert load_model(card, words["place"]).digest == card.sha256


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("tokenizer.json", "no tokenizer.json, vocab.json or spiece.model"),
        ("model.safetensors", "holds no .safetensors.*AutoModel.from_pretrained"),
        ("text_model.", r"lacks \d+ weights of its towers: text_model"),
    ],
)
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
