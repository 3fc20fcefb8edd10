"""Heads above a network: a classifier that is fitted to its features, and a detector's boxes as answers."""

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torchvision import models

from benchmark.contracts import Block
from benchmark.engine.device_choice import Tuning
from benchmark.engine.devices import feed
from benchmark.engine.model_view import NetworkView
from benchmark.stimuli.world.sets import generated_set
from registry.cards import ModelCard, Preprocess
from registry.families.family import labels_of_folders
from registry.heads import FLOOR, BoxAnswers, Boxes, boxes_in_space, fit, held_out, pooled_features, without_head
from registry.labels import label_space, with_nothing
from registry.loading import load_network
from registry.model import LoadedModel
from registry.register import register
from registry.user_errors import LabelError, WeightsError


@pytest.fixture
def clouds():
    """Three overlapping clouds in four dimensions of different scales; one dimension is constant."""
    draw = np.random.default_rng(3)
    targets = np.repeat([0, 1, 2], 40)
    points = draw.normal(size=(120, 4)) + np.eye(3, 4)[targets] * 2
    points = points * [1, 10, 0.1, 0] + [0, 5, 0, 7]
    return torch.from_numpy(points).float(), torch.from_numpy(targets)


@pytest.mark.slow
def test_a_head_answers_on_features_as_they_come(clouds):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    features, targets = clouds
    fitted = fit("linear", features, targets, 3)
    z = StandardScaler().fit_transform(features.double().numpy())
    other = LogisticRegression(C=1 / (120 * fitted.penalty), tol=1e-10, max_iter=5000)
    shares = (features @ fitted.weight.T + fitted.bias).softmax(1)
    assert np.allclose(shares, other.fit(z, targets).predict_proba(z), atol=1e-3)
    assert fitted.weight[:, 3].tolist() == [0, 0, 0]


def test_the_nearest_class_head_is_the_nearest_centroid(clouds):
    features, targets = clouds
    fitted = fit("nearest-class", features, targets, 3)
    x = features.double().numpy()
    z = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1)
    centres = np.stack([z[targets == label].mean(0) for label in range(3)])
    wanted = ((z[:, None] - centres) ** 2).sum(2).argmin(1)
    assert np.array_equal((features @ fitted.weight.T + fitted.bias).argmax(1), wanted)
    assert 0.5 < (wanted == targets.numpy()).mean() < 1  # the clouds do overlap


def test_what_is_held_out_is_every_fifth_image_of_a_class():
    targets = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 1])
    assert held_out(targets).nonzero().flatten().tolist() == [4, 10]


def stacked(*more):
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 5), nn.ReLU(True), *more)


@pytest.mark.parametrize(("build", "gone", "width"), [
    (lambda: timm.create_model("test_resnet", num_classes=9), {"fc.weight", "fc.bias"}, 96),
    (lambda: timm.create_model("test_vit", num_classes=0), set(), 64),
    (lambda: models.squeezenet1_1(num_classes=9), set(), 9),
    (stacked, set(), 5),
    (lambda: stacked(nn.Linear(5, 2)), {"3.weight", "3.bias"}, 5),
    (lambda: models.shufflenet_v2_x0_5(num_classes=9), {"fc.weight", "fc.bias"}, 1024),
])  # fmt: skip
def test_the_classifier_is_taken_off_and_nothing_else(build, gone, width):
    module = build().eval()
    side = module.default_cfg["input_size"][-1] if hasattr(module, "default_cfg") else 32
    before = dict(module.state_dict())
    assert without_head(module, side) == gone and set(module.state_dict()) == set(before) - gone
    assert pooled_features(module(torch.rand(2, 3, side, side))).shape == (2, width)


def test_feature_maps_are_averaged_and_tokens_refused():
    maps = torch.arange(24.0).reshape(2, 3, 2, 2)
    assert pooled_features(maps).tolist() == [[1.5, 5.5, 9.5], [13.5, 17.5, 21.5]]
    with pytest.raises(WeightsError, match=r"\(2, 5, 8\): expected features"):
        pooled_features(torch.zeros(2, 5, 8))


def test_the_label_space_of_a_list_of_classes(tmp_path):
    wnids = label_space("imagenet1k").classes
    place = tmp_path / "birds"
    assert labels_of_folders(wnids[::-1], None, place, tmp_path) == ("imagenet1k", wnids)
    sixteen = label_space("geirhos16").classes
    assert labels_of_folders(sixteen, None, place, tmp_path) == ("geirhos16", sixteen)
    assert labels_of_folders(sixteen, "world16", place, tmp_path)[0] == "world16"
    own, classes = labels_of_folders(("jay", "elm"), None, place, tmp_path)
    assert label_space(own).name == "birds" and label_space(own).classes == classes == ("elm", "jay")
    with pytest.raises(LabelError, match=r"bear, bicycle, .*and 11 more"):
        labels_of_folders(("airplane", "jay"), "geirhos16", place, tmp_path)


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
    pixels = model.present([stimuli.decode(i) for i in range(3)], "whole")
    block = Block(stimuli=stimuli, condition="natural", transform="whole")
    how = {"feed": feed(model, Tuning(2), device="cpu"), "grouping": space.grouping("world16"), "seed": 0}
    return NetworkView(**how, block=block, index=np.arange(3), pixels=pixels)


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
    arch = "detector:python:registry.world_networks:tiny_detector"
    how = {"labels": labels if labels == "world16" else tmp_path / labels, "options": {"threshold": 0.01}, **IN}
    card, checks = register("mine", arch, "random:0", **how, **folders)
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
    assert card.labels == "coco80" and all(check.ok for check in checks)
    model = load_network(card, folders["place"])
    assert model.forward(torch.rand(1, 3, 224, 224)).shape == (1, 81)
