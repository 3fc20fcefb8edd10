"""What a view tells of a chunk does not depend on the device batch; masks follow their images."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_nets import Readout
from engine_toys import HALF, make_stimuli, network
from tensors import assert_close

from benchmark.contracts import Block
from benchmark.engine import devices
from benchmark.engine.devices import make_policy, numerics
from benchmark.engine.model_view import NetworkView
from registry.labels import label_space
from registry.model import LoadedModel


def view(batch, presentation="whole", preprocess=HALF, pixels=None, **changes):
    labels = label_space("world16")
    card = network("net", "Readout").model_copy(update={"preprocess": preprocess})
    model = LoadedModel(card, Readout(3).eval(), "digest", labels)
    feed = devices.feed(model, devices.stated(batch), device="cpu")
    stimuli = replace(make_stimuli(40), **changes)
    block = Block(stimuli, presentation=presentation, role="toys")
    if pixels is None:
        pixels = model.prepare([stimuli.decode(i) for i in range(40)], presentation)
    index = np.arange(40)
    return NetworkView(feed, block, index, pixels, labels.groupings["world16"], 0, batch=batch)


def test_the_device_batch_changes_nothing():
    whole, parts = view(40), view(7)
    assert whole.batch == 40
    assert parts.batch == 7
    assert_close(whole.logits, parts.logits)
    assert_close(whole.images, parts.images, rtol=0, atol=0)
    assert list(whole.responses) == list(parts.responses)


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


def test_a_mask_lies_on_its_object():
    """An image painted from its own mask: after resize and crop, bright pixels and the mask agree but at edges."""
    random = np.random.default_rng(0)
    blocks = random.random((8, 8)) > 0.5
    painted = np.kron(blocks, np.ones((40, 40), dtype=bool))
    images = [np.repeat((painted * 255).astype(np.uint8)[:, :, None], 3, axis=2)] * 40
    how = HALF.model_copy(update={"size": 64, "resize": 72, "fixed_size": True})
    shown = view(8, "card", how, mask=lambda _i: painted, decode=lambda i: images[i])
    bright = shown.images[0].mean(0).numpy() > 0.5
    assert (bright != shown.mask(0)).mean() < 0.06
