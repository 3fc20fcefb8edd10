"""A network with classes of its own: its labels from a list or a folder, its suites by its own space."""

import json
from itertools import product

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image

from benchmark import api
from benchmark.variables import read_settings
from registry.cards import read_cards
from registry.labels import geirhos_groups, given_labels, label_space, read_class_list, space_name
from registry.user_errors import LabelError

CLASSES = ("anemone", "beetle", "cup")


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def registered(bench, tmp_path):
    """How a network with the classes of a folder is registered; photographs of them, and more with masks."""
    torch.manual_seed(0)
    torch.save(timm.create_model("test_resnet", num_classes=3).state_dict(), "net.pt")
    draw = np.random.default_rng(0)
    mask = np.zeros((72, 72), dtype=np.uint8)
    mask[20:50, 20:50] = 255
    for name, number in product(CLASSES, range(2)):
        pixels = draw.integers(0, 256, (72, 72, 3), dtype=np.uint8)
        for root in ("photos", "masked/images"):
            save(tmp_path / root / name / f"{name}{number}.png", pixels)
        save(tmp_path / "masked" / "masks" / name / f"{name}{number}.png", mask)
    how = ("--arch", "timm:test_resnet", "--size", 64, "--labels", "photos")
    ended = bench("register", "mine", *how, "--weights", "net.pt")
    bench("data", "add", "mine-val", "photos", "--role", "natural", "--space", "photos")
    return ended


@pytest.mark.slow
def test_it_enters_by_its_own_space(registered):
    assert "3 classes as the space 'photos'" in registered.out
    assert "waiting for data: adversarial, corruption, saliency" in registered.out
    found = api.entrances(read_cards(read_settings().cards)["mine"])
    assert found["corruption"] == found["adversarial"] == ("can run", "")
    assert found["saliency"][0] == "waiting for data" and "natural-masked" in found["saliency"][1]
    how, reason = found["cue-conflict"]
    assert how == "not applicable" and "its labels 'photos' answer in photos" in reason


@pytest.mark.slow
@pytest.mark.parametrize("suite", [pytest.param("adversarial", marks=pytest.mark.release), "saliency"])
def test_it_is_scored_there(suite, bench, registered):
    bench("data", "add", "mine-masks", "masked", "--space", "photos")
    ended = bench("run", "mine", "--suite", suite, "-q", "--batch-size", 6)
    assert ended.code == 0, ended.err
    (board,) = api.rank(api.Selection(), suite)
    assert board.space == "photos" and board.rows[0].cells[board.by].n > 0


def test_a_list_in_json_is_in_the_order_of_its_indices(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"2": "cup", "10": "k", **{str(i): f"c{i}" for i in (9, 0, 1)}}))
    with pytest.raises(LabelError, match="its indices are not 0, 1, 2"):
        read_class_list(path)
    path.write_text(json.dumps({str(i): f"c{i}" for i in (10, 2, *range(2), *range(3, 10))}))
    assert read_class_list(path) == tuple(f"c{i}" for i in range(11))
    path.write_text(json.dumps(["b", "a"]))
    assert read_class_list(path) == ("b", "a")


def test_a_folder_of_classes_is_numbered_as_image_folder_does(tmp_path):
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    for name in ("cup", "Zebra", "c10", "c9", "anemone"):
        save(tmp_path / "mine" / "train" / name / "a.png", pixels)
    classes, place = ("Zebra", "anemone", "c10", "c9", "cup"), tmp_path / "mine" / "train"
    (place / ".cache").mkdir()
    (place / "note.txt").write_text("")
    assert read_class_list(place) == classes
    assert space_name(place, "net") == "mine"  # "train" says nothing
    (place / ".cache").rmdir()
    assert classes == tuple(torchvision.datasets.ImageFolder(place).classes)


def test_a_list_that_covers_a_space_answers_there(tmp_path):
    sixteen = [*sorted(geirhos_groups(), reverse=True), "widget"]
    (tmp_path / "mine.txt").write_text("\n".join(sixteen))
    space = label_space(given_labels(str(tmp_path / "mine.txt"), "net", tmp_path)[0])
    assert set(space.answers) == {"mine", "geirhos16"}
    assert space.grouping("geirhos16").indices == tuple((15 - i,) for i in range(16))


@pytest.mark.parametrize(("name", "text", "message"), [
    ("a.txt", "one\none\ntwo", "listed twice: one"), ("a.txt", "one", "at least two names"),
    ("a.json", "{", "Expected names in output order"), ("a.json", "[1, 2]", "holds something else"),
    ("a.txt", "one\nt\x1b[2Jwo", "control character"),
])  # fmt: skip
def test_a_list_that_cannot_be_used(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(LabelError, match=message) as caught:
        read_class_list(tmp_path / name)
    assert str(caught.value).isprintable()
