"""Heads on frozen backbones: what is taken off, what is fitted, what is frozen."""

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torchvision import models

from registry.families.family import labels_of_folders
from registry.heads import fit, held_out, pooled_features, without_head
from registry.labels import label_space
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
