"""Detectors as observers: the category of the best box, or no answer."""

import pytest
import torch
from torch import nn

from benchmark.contracts import Block
from benchmark.engine.device_choice import Tuning
from benchmark.engine.devices import feed
from benchmark.engine.model_view import NetworkView
from benchmark.stimuli.world.sets import generated_set
from registry.cards import ModelCard, Preprocess
from registry.heads import FLOOR, BoxAnswers, Boxes, boxes_in_space
from registry.labels import label_space, with_nothing
from registry.loading import load_network
from registry.model import LoadedModel
from registry.register import register

IN = {"size": 64, "resize": 64, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


class Says(nn.Module):
    def __init__(self, *found):
        super().__init__()
        self.found = found
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, images):
        labels = torch.tensor([label for label, _ in self.found], dtype=torch.int64)
        scores = torch.tensor([score for _, score in self.found]) * self.gain
        return [{"boxes": torch.zeros(len(labels), 4), "labels": labels, "scores": scores} for _ in images]


def answers(*found, columns=(1, 2, 5), threshold=0.05):
    network = BoxAnswers(Says(*found), Boxes(columns=columns, outputs=6, threshold=threshold))
    return network(torch.zeros(2, 3, 8, 8))[0].sigmoid().tolist()


def test_the_best_box_of_each_class_decides_and_nothing_where_there_is_none():
    assert answers((1, 0.2), (5, 0.9), (1, 0.7), (2, 0.1)) == pytest.approx([0.7, 0.1, 0.9, 0.05])
    assert answers((3, 0.99), (2, 0.4)) == pytest.approx([FLOOR, 0.4, FLOOR, 0.05])  # 3 is not asked for
    assert answers() == pytest.approx([FLOOR] * 3 + [0.05])
    assert answers((1, 0.3), threshold=0.5) == pytest.approx([0.3, FLOOR, FLOOR, 0.5])


def view_of(*found, threshold=0.05):
    space = with_nothing(label_space("world16"))
    how = Preprocess(**IN)
    card = ModelCard(name="says", source="python", arch="python:says:it", preprocess=how)
    network = BoxAnswers(Says(*found), Boxes(columns=tuple(range(1, 17)), outputs=17, threshold=threshold)).eval()
    model = LoadedModel(card=card, module=network, digest="", labels=space)
    stimuli = generated_set("world-natural")
    index = torch.arange(3).numpy()
    pixels = model.present([stimuli.decode(i) for i in range(3)], "whole")
    block = Block(stimuli=stimuli, condition="natural", transform="whole")
    how = {"feed": feed(model, Tuning(2), device="cpu"), "grouping": space.grouping("world16"), "seed": 0}
    return NetworkView(**how, block=block, index=index, pixels=pixels)


def test_no_box_is_no_answer_and_ties_go_to_the_first():
    names = label_space("world16").classes
    said = {(): "na", ((4, 0.04),): "na", ((4, 0.06),): names[3]}
    said |= {((9, 0.3), (4, 0.3)): names[3], ((9, 0.3), (4, 0.2)): names[8]}
    assert all(view_of(*boxes).responses.tolist() == [name] * 3 for boxes, name in said.items())
    seen = view_of((4, 0.04))
    assert seen.probabilities.shape == (3, 16) and (seen.probabilities.argmax(axis=1) == 3).all()


def test_coco_numbers_with_their_gaps():
    boxes = Boxes.of(boxes_in_space("torchvision:fasterrcnn_resnet50_fpn", "coco80", None))
    names = label_space("coco80").classes
    assert (len(names), boxes.outputs, boxes.threshold) == (80, 91, 0.05)
    known = {"person": 1, "truck": 8, "cat": 17, "oven": 79, "toothbrush": 90}
    assert {name: boxes.columns[names.index(name)] for name in known} == known
    grouping = label_space("coco80").grouping("geirhos16")
    assert grouping.categories == label_space("geirhos16").classes
    assert [names[i] for (i,) in grouping.indices] == list(grouping.categories)


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["world16", "mapping.yaml", "list.txt"])
def test_a_detector_of_python_is_registered(labels, folders, tmp_path):
    names = label_space("world16").classes
    (tmp_path / "mapping.yaml").write_text(f"classes: {list(names)}")
    (tmp_path / "list.txt").write_text("\n".join(names))
    card, checks = register(
        "mine", "detector:python:registry.world_networks:tiny_detector", "random:0",
        labels=labels if labels == "world16" else tmp_path / labels, options={"threshold": 0.01}, **IN, **folders,
    )  # fmt: skip
    assert all(check.ok for check in checks)
    assert card.arch == "python:registry.world_networks:tiny_detector"
    assert card.options["boxes"] == {"columns": list(range(1, 17)), "outputs": 17, "threshold": 0.01}
    model = load_network(card, folders["place"])
    assert model.labels.classes == (*names, "nothing") and model.forward(torch.rand(2, 3, 64, 64)).shape == (2, 17)
    other = card.model_copy(update={"options": {"boxes": {**card.options["boxes"], "threshold": 0.02}}})
    assert load_network(other, folders["place"]).identity != model.identity


@pytest.mark.release
def test_a_detector_of_torchvision_with_random_weights(folders):
    card, checks = register("mine", "torchvision:ssdlite320_mobilenet_v3_large", "random:0", **folders)
    assert card.labels == "coco80"
    assert {check.name: check.ok for check in checks}["gradients reach the input"]
    model = load_network(card, folders["place"])
    assert model.forward(torch.rand(1, 3, 224, 224)).shape == (1, 81)
