"""The built-in world's networks: what must come out where it is known which pixels matter."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.contracts import Block
from benchmark.engine.devices import Tuning, feed
from benchmark.engine.model_view import NetworkView
from benchmark.stimuli.datasets import subset
from benchmark.stimuli.generated import generated_set
from benchmark.variables import read_settings
from registry.cards import read_cards
from registry.loading import load_model
from suites.saliency import SUITE
from suites.saliency.config import SaliencyConfig
from suites.saliency.measured import untrained

QUICK = SaliencyConfig(draws=0)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(name):
    settings = read_settings()
    return load_model(read_cards(settings.cards)[name], settings.place)


def block(role, n):
    return Block(subset(generated_set(f"world-{role}"), n), role=role)


def view_of(model, shown, batch):
    """The whole block as one chunk, seen `batch` images at a time."""
    inlet = feed(model, Tuning(batch), device="cpu")
    index = np.arange(len(shown.stimuli))
    images = model.prepare([shown.stimuli.decode(int(i)) for i in index], shown.presentation)
    return NetworkView(inlet, shown, index, images, model.labels.groupings["world16"], 0, batch=batch)


def seen(model, shown, batch=16, config=QUICK):
    """Columns of a network on a block."""
    return SUITE.observe(config, view_of(model, shown, batch))


def excess(columns):
    return columns["grad_auc"] - columns["grad_auc_other"]


class Blurred(nn.Module):
    """A 1-px Gaussian blur in front of a network."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        from torchvision.transforms.functional import gaussian_blur

        return self.module(gaussian_blur(x, [7, 7], [1.0, 1.0]))


@pytest.mark.slow
def test_a_blur_fakes_the_centroid_but_not_the_headline():
    natural = block("natural", 64)
    standard = network("world-standard-0")
    plain = seen(standard, natural)
    blurred = seen(replace(standard, module=Blurred(standard.module)), natural)
    robust = seen(network("world-adversarial-0"), natural)
    assert blurred["centroid"].mean() < robust["centroid"].mean() < plain["centroid"].mean() - 0.1
    gain = excess(robust).mean() - excess(plain).mean()
    assert gain > 0.02
    assert abs(excess(blurred).mean() - excess(plain).mean()) < gain / 2


@pytest.mark.slow
def test_gradients_lie_on_the_object_where_only_the_object_can_tell():
    """Texture on the object alone: Cohen's d >= 1. Texture all over, which this network reads: next to nothing."""
    found = {}
    for role in ("cue-conflict-alpha0", "cue-conflict-alpha1"):
        shown = block(role, 61)
        robust, plain = (excess(seen(network(f"world-{r}-0"), shown)) for r in ("adversarial", "standard"))
        pooled = np.sqrt((robust.var(ddof=1) + plain.var(ddof=1)) / 2)
        found[role] = (robust.mean() - plain.mean()) / pooled
    assert found["cue-conflict-alpha0"] > 1
    assert abs(found["cue-conflict-alpha1"]) < 0.5


@pytest.mark.slow
def test_random_weights_have_raw_auc_but_no_excess():
    shown = block("natural", 96)
    model = network("world-standard-0")
    columns = seen(untrained(model), shown)
    assert columns["grad_auc"].mean() > 0.55
    assert abs(excess(columns).mean()) < 0.02


def test_random_weights_come_from_the_seed_and_leave_the_rest_alone():
    model = network("world-standard-0")
    trained = model.module.head.weight.clone()
    state = torch.random.get_rng_state()
    one, same, other = untrained(model), untrained(model), untrained(model, 1)
    assert torch.equal(torch.random.get_rng_state(), state)
    weights = [found.module.head.weight for found in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], trained)
    assert torch.equal(model.module.head.weight, trained)
    assert not one.module.training
    assert not weights[0].requires_grad


@pytest.mark.slow
def test_batches_of_1_4_and_8_agree_on_a_real_network():
    shown = block("natural", 8)
    model = network("world-adversarial-1")
    whole = seen(model, shown, 8, SaliencyConfig(draws=2))
    for batch in (1, 4):
        part = seen(model, shown, batch, SaliencyConfig(draws=2))
        for name, values in whole.items():
            if values.dtype.kind == "f":
                np.testing.assert_allclose(part[name], values, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "most"), [(4, 4), (64, 16)])
def test_no_pass_holds_more_images_than_fit(batch, most):
    """Nor do the copies of SmoothGrad: memory does not grow with the chunk or with their number."""
    view = view_of(network("world-standard-0"), block("natural", 40), batch)
    sizes = []

    class Watched:
        def __getattr__(self, name):
            return getattr(view, name)

        def forward(self, images):
            sizes.append(len(images))
            return view.forward(images)

    columns = SUITE.observe(SaliencyConfig(draws=3), Watched())
    assert max(sizes) == most
    assert sum(sizes) == 40 * (1 + 3 + 2)  # the gradient, three noisy copies, two pictures
    assert np.isfinite(columns["smooth_auc"]).all()


@pytest.mark.slow
def test_through_the_engine(monkeypatch, tmp_path):
    """Stored, scored, and with a reason where there are no gradients."""
    from importlib.metadata import EntryPoint

    import benchmark.plugins as plugins
    from benchmark import api

    entry = EntryPoint("saliency", "suites.saliency:SUITE", plugins.GROUP)
    monkeypatch.setattr(plugins, "suite_entries", lambda: {"saliency": entry})
    db = str(tmp_path / "results.db")
    api.run(db=db, models="world-adversarial-0,ideal-shape", suites="saliency", limit=24, batch=8)
    rows = {(row.metric, row.condition): row for row in api.show("world-adversarial-0", db=db)}
    assert rows["object_auc_excess", ""].n == 24
    assert rows["object_auc_excess", "reference: sobel"].value is not None
    (board,) = api.rank("saliency", db=db)
    assert [row.observer for row in board.rows] == ["world-adversarial-0"]
