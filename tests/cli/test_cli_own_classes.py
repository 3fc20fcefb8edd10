"""A network with classes of its own: its labels from a list or a folder, its suites by its own space."""

import json
import shutil

import numpy as np
import pytest
import timm
import torch
import torchvision
from click.testing import CliRunner
from PIL import Image

from benchmark import api
from benchmark.cli import cli
from benchmark.variables import read_settings
from registry.cards import read_cards
from registry.labels import built_in_space, geirhos_groups, given_labels, label_space, read_class_list, space_name
from registry.user_errors import LabelError

CLASSES = ("anemone", "beetle", "cup")


def bench(*words):
    arguments = [str(word) for word in words]
    return CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_DB", str(tmp_path / "r.db"))
    torch.manual_seed(0)
    torch.save(timm.create_model("test_resnet", num_classes=3).state_dict(), tmp_path / "net.pt")
    draw = np.random.default_rng(0)
    mask = np.zeros((72, 72), dtype=np.uint8)
    mask[20:50, 20:50] = 255
    for name in CLASSES:
        for number in range(2):
            pixels = draw.integers(0, 256, (72, 72, 3), dtype=np.uint8)
            for root in ("photos", "masked/images"):
                save(tmp_path / root / name / f"{name}{number}.png", pixels)
            save(tmp_path / "masked" / "masks" / name / f"{name}{number}.png", mask)
    return tmp_path


def registered(home):
    how = ("--arch", "timm:test_resnet", "--size", 64, "--labels", home / "photos")
    return bench("register", "mine", *how, "--weights", home / "net.pt")


@pytest.mark.slow
def test_it_enters_by_its_own_space(home):
    before = registered(home)
    assert "3 classes as the space 'photos'" in before.stdout
    assert "waiting for data: adversarial, corruption, saliency" in before.stdout
    bench("data", "add", "mine-val", home / "photos", "--role", "natural", "--space", "photos")
    card = read_cards(read_settings().cards)["mine"]
    found = api.entrances(card)
    assert found["corruption"] == found["adversarial"] == ("can run", "")
    assert found["saliency"][0] == "waiting for data" and "natural-masked" in found["saliency"][1]
    how, reason = found["cue-conflict"]
    assert how == "not applicable" and "its labels 'photos' answer in photos" in reason


@pytest.mark.slow
@pytest.mark.parametrize("suite", [pytest.param("adversarial", marks=pytest.mark.release), "saliency"])
def test_it_is_scored_there(suite, home):
    registered(home)
    bench("data", "add", "mine-val", home / "photos", "--role", "natural", "--space", "photos")
    bench("data", "add", "mine-masks", home / "masked", "--space", "photos")
    result = bench("run", "mine", "--suite", suite, "-q", "--batch-size", 6)
    assert result.return_value == 0, result.stderr
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
    (tmp_path / "mine" / "train" / ".cache").mkdir()
    (tmp_path / "mine" / "train" / "note.txt").write_text("")
    classes, place = ("Zebra", "anemone", "c10", "c9", "cup"), tmp_path / "mine" / "train"
    assert read_class_list(place) == classes
    assert space_name(place, "net") == "mine"  # "train" says nothing
    shutil.rmtree(tmp_path / "mine" / "train" / ".cache")
    assert classes == tuple(torchvision.datasets.ImageFolder(place).classes)


@pytest.mark.slow
def test_a_list_that_covers_a_space_answers_there(tmp_path):
    imagenet = built_in_space("imagenet1k")
    order = list(reversed(imagenet.classes))
    (tmp_path / "labels.json").write_text(json.dumps({str(i): name for i, name in enumerate(order)}))
    whole = label_space(given_labels(str(tmp_path / "labels.json"), "net", tmp_path)[0])
    assert (whole.name, whole.classes) == ("net", tuple(order))
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
