"""The device batch changes nothing of what a view tells; masks and maps follow their images."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_nets import Readout
from engine_toys import HALF, make_stimuli, network
from tensors import assert_close

from benchmark.contracts import Block
from benchmark.engine import device_choice, devices
from benchmark.engine.device_choice import make_policy
from benchmark.engine.devices import numerics
from benchmark.engine.model_view import NetworkView
from registry.labels import label_space
from registry.model import LoadedModel, presented


def view(batch, presentation="whole", preprocess=HALF, pixels=None, **changes):
    labels = label_space("world16")
    card = network("net", "Readout").model_copy(update={"preprocess": preprocess})
    model = LoadedModel(card=card, module=Readout(3).eval(), digest="digest", labels=labels)
    feed = devices.feed(model, device_choice.Tuning(batch), device="cpu")
    stimuli = replace(make_stimuli(8), **changes)
    block = Block(stimuli=stimuli, presentation=presentation, role="toys")
    if pixels is None:
        pixels = model.prepare([stimuli.decode(i) for i in range(8)], presentation)
    shown = {"feed": feed, "block": block, "index": np.arange(8), "pixels": pixels}
    return NetworkView(**shown, grouping=labels.groupings["world16"], seed=0, batch=batch)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_plain_path_is_full_precision_whatever_the_run(precision):
    shown, exact = view(8), view(8)
    expected = exact.forward(exact.images).detach()
    with numerics(make_policy("cpu", precision)):
        plain, fast = shown.plain(shown.images), shown.forward(shown.images).detach()
        again = shown.forward(shown.images).detach()
    assert_close(plain, expected, rtol=0, atol=1e-6)
    assert not plain.requires_grad
    assert torch.equal(fast, again)
    assert (float((fast - expected).abs().max()) > 1e-4) == (precision == "bf16")


@pytest.mark.parametrize(
    ("presentation", "fixed"), [("whole", False), ("card", True), ("card", False), ("crop224", True)]
)
def test_a_graded_map_lies_on_its_image(presentation, fixed):
    values = np.add.outer(np.arange(300) / 4, np.arange(420) * 1.0)  # brighter to the right and, less so, downwards
    values = (values / values.max()).astype(np.float32)
    image = np.repeat((values * 255).round().astype(np.uint8)[:, :, None], 3, axis=2)
    how = HALF.model_copy(update={"size": 64, "resize": 72, "fixed_size": fixed, "interpolation": "bilinear"})
    shown = view(4, presentation, how, decode=lambda i: image, importance=lambda i: values)
    found = shown.importance(3)
    assert found.dtype == np.float32
    assert found.shape == tuple(shown.images.shape[-2:])
    seen = shown.images[0].mean(0).numpy()
    # Whole images are resized by bicubic, the map by bilinear: alike on a ramp, but at its borders.
    assert np.abs(found - seen)[2:-2, 2:-2].max() < 0.01
    assert found.min() >= 0


@pytest.mark.parametrize(
    ("height", "width", "presentation"), [(500, 375, "card"), (333, 500, "crop224"), (100, 137, "card")]
)
def test_a_mask_lies_on_the_photograph_that_is_painted_from_it(height, width, presentation):
    """Resize 256, crop 224: the thresholded image is the mask but within the interpolation's border."""
    random = np.random.default_rng(height)
    y, x = np.mgrid[:height, :width]
    mask = np.zeros((height, width), dtype=bool)
    for _ in range(4):
        centre = random.random(2) * (height, width)
        radius = min(height, width) * (0.15 + 0.15 * random.random())
        mask |= (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    image = np.repeat((mask * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    how = HALF.model_copy(update={"size": 224, "resize": 256, "interpolation": "bilinear"})
    seen = view(4, presentation, how, decode=lambda i: image, mask=lambda i: mask)
    bright, shown = presented(image, how, presentation)[:, :, 0], seen.mask(3)
    other = replace(seen, block=replace(seen.block, stimuli=replace(seen.block.stimuli, mask=lambda i: ~mask)))
    assert np.array_equal(other.mask(3), ~shown)  # by another suite, beside it
    assert shown.shape == bright.shape == (224, 224)
    # Pixels that no edge blurs must agree exactly, and a shift by two pixels must break that.
    sure = (bright == 0) | (bright == 255)
    assert sure.mean() > 0.85 and 0.05 < shown.mean() < 0.95
    assert np.array_equal(shown[sure], bright[sure] == 255)
    assert ((bright > 127) != shown).mean() < 0.01
    assert not np.array_equal(np.roll(shown, 2, axis=1)[sure], bright[sure] == 255)
