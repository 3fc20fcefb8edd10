"""`bench register --probe` from a backbone to a row on a board; docs/models.md has a row for each case."""

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from benchmark import api
from benchmark.stimuli.world.sets import generated_set, training_set
from registry import register
from registry.cards import read_cards


def probe(name, backbone, training, *words):
    """A command line."""
    return ("register", name, "--arch", backbone, "--probe", training, *words)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Class folders of two colours, six images each."""
    folder = tmp_path_factory.mktemp("pictures")
    draw = np.random.default_rng(0)
    for number, name in enumerate(("elm", "jay")):
        (folder / name).mkdir()
        for i in range(6):
            pixels = draw.integers(0, 128, (40, 32, 3)) + np.eye(3, dtype=int)[number] * 127
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{name}{i}.png")
    return folder


@pytest.mark.slow
def test_the_world_trains_a_probe_that_reads_the_world(bench, home):
    done = bench(*probe("mine", "world-standard-0", "world", "--limit", "320"))
    assert done.code == 0 and "training set: 320 images of 16 classes" in done.out, done.err
    card = read_cards(home / "cards")["mine"]
    assert card.training == ("standard", "probe(linear)")
    assert card.options["trained_on"] == training_set("natural", 320, seed=0).digest
    assert bench("run", "--model", "mine", "--suite", "cue-conflict", "--limit", "6").code == 0
    model, natural = api.load_model("mine"), generated_set("world-natural")
    images = model.prepare([natural.decode(i) for i in range(0, 480, 10)], "card")
    answers = model.forward(images).argmax(1).tolist()
    truth = [model.labels.classes.index(name) for name in natural.labels["category"][::10]]
    assert np.mean(np.equal(answers, truth)) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("classes", [21, 0])
def test_a_file_with_and_without_a_classifier(classes, bench, pictures, tmp_path):
    state = timm.create_model("test_resnet", num_classes=classes).state_dict()
    save_file(state, tmp_path / "net.safetensors")
    given = ("--weights", tmp_path / "net.safetensors", "--head", "nearest-class", "--size", "32")
    done = bench(*probe("two", "timm:test_resnet", pictures, *given))
    assert done.code == 0 and "held out: 1.000" in done.out, done.err
    model = api.load_model("two")
    assert (model.labels.classes, model.labels.name) == (("elm", "jay"), pictures.name) and not model.module.training
    same = model.module.backbone.state_dict()
    assert all(torch.equal(same[name], state[name]) for name in same)


@pytest.mark.slow
def test_a_head_lives_as_long_as_its_card(bench, home, pictures, monkeypatch):
    words = probe("mine", "world-standard-0", pictures)
    heads = home / "cards" / "heads"
    assert bench(*words).code == 0
    (linear,) = heads.iterdir()
    again = bench(*words, "--head", "nearest-class")
    assert again.code == 2 and "--replace" in again.err and list(heads.iterdir()) == [linear]
    with monkeypatch.context() as patch:
        refused = register.Check(name="finite logits", ok=False, detail="made to fail")
        patch.setattr(register, "check_network", lambda _: [refused])
        assert "made to fail" in bench(*words, "--head", "nearest-class", "--replace").err
        assert "made to fail" in bench(*words, "--replace").err  # the same head as before
    assert list(heads.iterdir()) == [linear]
    assert api.load_model("mine").module.head.weight.shape[0] == 2
    replaced = bench(*words, "--head", "nearest-class", "--replace")
    assert replaced.code == 0 and "Scores of older weights stay" in replaced.out, replaced.err
    (nearest,) = heads.iterdir()
    assert nearest != linear
    assert read_cards(home / "cards")["mine"].training[-1] == "probe(nearest-class)"

    copy = (home / "cards" / "mine.yaml").read_text().replace("name: mine", "name: twin")
    (home / "cards" / "twin.yaml").write_text(copy)
    assert "head" not in bench("models", "remove", "mine").out
    assert list(heads.iterdir()) == [nearest]
    removed = bench("models", "remove", "twin")
    assert f"removed 'twin' and its head {nearest.name}." in removed.out
    assert not list(heads.iterdir())
    assert (home / "cards" / "labels").exists()


@pytest.mark.parametrize(("words", "told"), [
    (("world-standard-0", "nowhere"), "folder not found"),
    (("world-standard-0", "{}/elm"), "expected class folders"),
    (("no-such-net", "{}"), "no model is called 'no-such-net'"),
    (("ideal-shape", "{}"), "it has no features"),
    (("world-standard-0", "{}", "--labels", "geirhos16"), "are not those of label space"),
    (("world-standard-0", "{}"), "exists already"),
    (("world-standard-0", "{}", "--size", "32"), "registered with its input"),
    (("python:os:getcwd", "{}"), "returned str, not a module"),
    (("python:registry.world_networks:tiny_resnet", "{}"), "size, mean, std"),
])  # fmt: skip
def test_what_no_head_is_fitted_to(words, told, bench, home, pictures, monkeypatch):
    monkeypatch.setattr("registry.heads.pooled_features", None)  # all of it is said before
    name = "resnet50" if told == "exists already" else "mine"
    done = bench(*probe(name, *(word.format(pictures) for word in words)))
    assert done.code in (1, 2) and told in done.err and len(done.errors) == 1
    assert not list((home / "cards").rglob("*.*"))
