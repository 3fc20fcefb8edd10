"""The boundary of a network, the geometry of images and masks, the identity of an observer."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from registry_builders import lively
from tensors import assert_close
from torch import nn
from torchvision import transforms

from registry.cards import ModelCard, Preprocess
from registry.labels import label_space
from registry.model import LoadedModel, fold_batch_norm, present_plane, presented

ANY = Preprocess(size=224, resize=256, interpolation="bicubic")
FIXED = ANY.model_copy(update={"fixed_size": True})


def image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_caffe_preprocessing():
    how = {"channels": "bgr", "scale": 255.0, "mean": (103.9, 116.8, 123.7), "std": (1.0, 1.0, 1.0)}
    caffe, x = network(Preprocess(size=8, resize=8, **how)), torch.rand(2, 3, 8, 8)
    by_hand = torch.stack([x[:, 2] * 255 - 103.9, x[:, 1] * 255 - 116.8, x[:, 0] * 255 - 123.7], dim=1)
    assert_close(caffe.normalise(x), by_hand)


def test_whole_images_are_resized_only_where_they_must_be():
    square, other = image(224, 224), image(100, 150)
    resized = np.asarray(Image.fromarray(other).resize((224, 224), Image.Resampling.BICUBIC))
    for how, images, expected in (
        (FIXED, [square], [square]), (ANY, [other, other], [other, other]), (FIXED, [other], [resized]),
        (ANY, [square, other], [square, resized]),
    ):  # fmt: skip
        assert np.array_equal(network(how).present(images, "whole").permute(0, 2, 3, 1), np.stack(expected))


@pytest.mark.slow
@given(st.integers(40, 320), st.integers(40, 320), st.sampled_from(["bilinear", "bicubic", "nearest"]))
def test_cards_crop_as_torchvision_does(height, width, how):
    card, pixels = Preprocess(size=32, resize=37, interpolation=how), image(height, width)
    peers = {"card": (37, 32, how), "crop224": (256, 224, "bilinear"), "crop224-bicubic": (256, 224, "bicubic")}
    for presentation, (resize, crop, mode) in peers.items():
        resized = transforms.Resize(resize, transforms.InterpolationMode(mode))(Image.fromarray(pixels))
        expected = np.asarray(transforms.CenterCrop(crop)(resized))
        assert np.array_equal(presented(pixels, card, presentation), expected)


def network(preprocess):
    card = ModelCard(name="net", source="file", arch="net", preprocess=preprocess)
    return LoadedModel(card=card, module=torch.nn.Identity(), digest="", labels=label_space("world16"))


def test_fit_only_where_one_size_is_taken():
    batch = torch.rand(2, 3, 224, 224)
    assert network(ANY).fit(batch) is batch and network(FIXED).fit(batch) is batch
    tiny = network(Preprocess(size=64, resize=64, fixed_size=True))
    pixels = torch.randint(0, 256, (1, 3, 224, 224)).float() / 255
    ours = tiny.fit(pixels)
    assert ours.shape == (1, 3, 64, 64) and torch.allclose(ours * 255, (ours * 255).round(), atol=1e-4)
    peer = Image.fromarray((pixels[0] * 255).round().byte().permute(1, 2, 0).numpy())
    peer = np.asarray(peer.resize((64, 64), Image.Resampling.BILINEAR), dtype=float)
    assert np.abs(ours[0].permute(1, 2, 0).numpy() * 255 - peer).max() <= 1.01


@pytest.mark.parametrize("presentation", ["whole", "card", "crop224", "crop224-bicubic"])
@pytest.mark.parametrize("preprocess", [ANY, FIXED, Preprocess(size=64, resize=70, fixed_size=True)])
@pytest.mark.parametrize("size", [(224, 224), (300, 400), (500, 320)])
def test_masks_follow_their_image(presentation, preprocess, size):
    mask = np.zeros(size, dtype=bool)
    height, width = size
    mask[height // 3 : height * 2 // 3, width // 4 : width // 2] = True
    pixels = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255
    shown = presented(pixels, preprocess, presentation)
    batch = torch.from_numpy(np.array(shown)).permute(2, 0, 1)[None].float() / 255
    batch = network(preprocess).fit(batch)[0, 0].numpy()
    found = present_plane(mask, preprocess, presentation, batch.shape)
    assert (found.dtype, found.shape) == (np.bool_, batch.shape) and (found != (batch > 0.5)).mean() < 0.02
    clear = (batch < 0.02) | (batch > 0.98)
    assert (found == (batch > 0.5))[clear].mean() > 0.995


def test_identity_is_what_decides_the_answers(nine):
    model, same = network(ANY), {"name": "other", "weights": "x.pt", "description": "new"}
    inputs = ({"preprocess": ANY.model_copy(update=change)} for change in ({"resize": 240}, {"channels": "bgr"}))
    cards = [model.card.model_copy(update=change) for change in (same, {"arch": "x"}, *inputs)]
    changes = [{"card": card} for card in cards] + [{"digest": "0" * 64}, {"labels": label_space(nine)}, {"code": "f"}]
    named, *others = (replace(model, **change).identity for change in changes)
    assert named == model.identity and len({named, *others}) == 7


X = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet10t", "test_efficientnet", "test_byobnet"])
def test_networks_keep_their_logits(name):
    module = lively(timm.create_model(name, num_classes=9))
    before = copy.deepcopy(module.state_dict())
    expected = module(X)
    folded = fold_batch_norm(module, X)[0]
    assert not any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in folded.modules())
    other = torch.rand(3, 3, 96, 64)
    for x, logits in ((X, expected), (other, module(other))):
        assert (folded(x) - logits).abs().max() <= 1e-4 * max(1, logits.abs().max())
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert not any(p.requires_grad for p in folded.parameters())


#: What must not be folded, beside a pair that may be: of the network and the first pair's output.
SHARED = {
    "conv twice": lambda net, x: net.norm(net.conv(x)) + net.conv(x * 2),
    "norm twice": lambda net, x: net.norm(net.conv(x)) + net.norm(x),
    "output used by a module": lambda net, x: net.pool(net.norm(y := net.conv(x))) + net.pool(y),
    "something between": lambda net, x: net.norm(torch.relu(net.conv(x))),
    "output used again": lambda net, x: net.norm(y := net.conv(x)) + y,
}


class Shared(nn.Module):
    def __init__(self, case):
        super().__init__()
        self.case, self.pool = case, nn.AvgPool2d(2)
        self.first, self.norm1 = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x):
        return SHARED[self.case](self, torch.relu(self.norm1(self.first(x)))).mean((2, 3))


@pytest.mark.parametrize("case", SHARED)
def test_only_what_may_be_folded_is(case):
    module = lively(Shared(case))
    found = fold_batch_norm(module, X)
    if case == "output used again":  # the copy differs, and is thrown away
        assert found is None
    else:
        assert isinstance(found[0].norm1, nn.Identity) and isinstance(found[0].norm, nn.BatchNorm2d)
        assert_close(found[0](X), module(X), rtol=1e-4, atol=1e-5)
