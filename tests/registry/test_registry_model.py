"""The boundary of a network, the geometry of images and masks, the identity of an observer."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tensors import assert_close
from torchvision import transforms

from registry.cards import ModelCard, Preprocess
from registry.files import digest_state
from registry.labels import label_space
from registry.model import LoadedModel, present, present_plane

ANY = Preprocess(size=224, resize=256, interpolation="bicubic")
FIXED = ANY.model_copy(update={"fixed_size": True})


def image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def model(tiny, card, nine):
    return LoadedModel(card(None), tiny, digest_state(tiny.state_dict()), label_space(nine))


def with_preprocess(model, **changes):
    how = model.preprocess.model_copy(update=changes)
    return LoadedModel(model.card.model_copy(update={"preprocess": how}), model.module, model.digest, model.labels)


def test_forward_normalises_inside(model):
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(model.forward(x), model.module((x - 0.5) / 0.5))
    assert model.forward(x).dtype == torch.float32


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_normalising_is_the_same_in_every_layout(model, layout):
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    shown = with_preprocess(model, mean=mean, std=std)
    for size in ((2, 3, 8, 6), (1, 3, 5, 9), (2, 3, 4, 1), (0, 3, 8, 6)):
        x = torch.rand(size).contiguous(memory_format=layout)
        by_hand = (x - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
        assert torch.equal(shown.normalise(x), by_hand)
        assert shown.normalise(x).is_contiguous(memory_format=layout)


def test_caffe_preprocessing(model):
    caffe = with_preprocess(model, channels="bgr", scale=255.0, mean=(103.9, 116.8, 123.7), std=(1.0, 1.0, 1.0))
    x = torch.rand(2, 3, 8, 8)
    by_hand = torch.stack([x[:, 2] * 255 - 103.9, x[:, 1] * 255 - 116.8, x[:, 0] * 255 - 123.7], dim=1)
    assert_close(caffe.normalise(x), by_hand)


def test_gradients_flow_after_a_pass_in_inference_mode(model):
    x = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        model.forward(x)
    x.requires_grad_()
    model.forward(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.module.parameters())


def test_whole_images_are_resized_only_where_they_must_be():
    square, other = image(224, 224), image(100, 150)
    assert present([square], FIXED, "whole")[0] is square
    assert present([other, other], ANY, "whole")[0] is other
    resized = np.asarray(Image.fromarray(other).resize((224, 224), Image.Resampling.BICUBIC))
    assert np.array_equal(present([other], FIXED, "whole")[0], resized)
    mixed = present([square, other], ANY, "whole")
    assert mixed[0] is square
    assert np.array_equal(mixed[1], resized)


@pytest.mark.slow
@given(st.integers(40, 320), st.integers(40, 320), st.sampled_from(["bilinear", "bicubic", "nearest"]))
def test_cards_crop_as_torchvision_does(height, width, how):
    preprocess = Preprocess(size=32, resize=37, interpolation=how)
    pixels = image(height, width)
    peer = transforms.Compose([transforms.Resize(37, transforms.InterpolationMode(how)), transforms.CenterCrop(32)])
    expected = np.asarray(peer(Image.fromarray(pixels)))
    assert np.array_equal(present([pixels], preprocess, "card")[0], expected)
    peer = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
    expected = np.asarray(peer(Image.fromarray(pixels)))
    assert np.array_equal(present([pixels], preprocess, "crop224")[0], expected)
    bicubic = transforms.Resize(256, transforms.InterpolationMode.BICUBIC)
    peer = transforms.Compose([bicubic, transforms.CenterCrop(224)])
    expected = np.asarray(peer(Image.fromarray(pixels)))
    assert np.array_equal(present([pixels], preprocess, "crop224-bicubic")[0], expected)


def fit(batch, preprocess):
    card = ModelCard(name="net", source="file", arch="net", preprocess=preprocess)
    return LoadedModel(card, torch.nn.Identity(), "", label_space("world16")).fit(batch)


def test_fit_only_where_one_size_is_taken():
    batch = torch.rand(2, 3, 224, 224)
    assert fit(batch, ANY) is batch
    assert fit(batch, FIXED) is batch
    small = fit(batch, Preprocess(size=64, resize=64, fixed_size=True))
    assert small.shape == (2, 3, 64, 64)
    grid = small * 255
    assert torch.allclose(grid, grid.round(), atol=1e-4)
    pixels = torch.randint(0, 256, (1, 3, 224, 224)).float() / 255
    ours = fit(pixels, Preprocess(size=64, resize=64, fixed_size=True))
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
    shown = present([pixels], preprocess, presentation)[0]
    batch = torch.from_numpy(np.array(shown)).permute(2, 0, 1)[None].float() / 255
    batch = fit(batch, preprocess)[0, 0].numpy()
    found = present_plane(mask, preprocess, presentation)
    assert found.dtype == np.bool_
    assert found.shape == batch.shape
    assert (found != (batch > 0.5)).mean() < 0.02
    clear = (batch < 0.02) | (batch > 0.98)
    assert (found == (batch > 0.5))[clear].mean() > 0.995


def test_identity_is_what_decides_the_answers(model, tmp_path):
    identity = model.identity
    named = LoadedModel(
        model.card.model_copy(update={"name": "other", "weights": "x.pt", "description": "new"}),
        model.module, model.digest, model.labels,
    )  # fmt: skip
    assert named.identity == identity
    others = [
        with_preprocess(model, resize=40),
        with_preprocess(model, channels="bgr"),
        LoadedModel(model.card, model.module, "0" * 64, model.labels),
        LoadedModel(model.card, model.module, model.digest, label_space("world16")),
        LoadedModel(model.card, model.module, model.digest, model.labels, code="f"),
        LoadedModel(model.card.model_copy(update={"arch": "x"}), model.module, model.digest, model.labels),
    ]
    assert len({other.identity for other in others} | {identity}) == 7
