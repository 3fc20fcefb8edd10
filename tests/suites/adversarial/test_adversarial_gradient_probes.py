"""Gradients that are no slopes, and answers that depend on company, are found out; honest networks are not."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from suites.adversarial.trust.gradient_probes import company_differences, gradient_errors, probed

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "masked_networks.py"
sys.path.append(str(SCRIPT.parent))  # last: a script there is called coverage
SPEC = importlib.util.spec_from_file_location("masked_networks", SCRIPT)
masks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(masks)
sys.path.remove(
    str(SCRIPT.parent)
)  # code that looks for modules by name must not find those scripts


def errors(network, run, count=6):
    def plain(x):
        with torch.no_grad():
            return run(x)

    seeds = np.arange(count, dtype=np.uint64)
    return gradient_errors(run, plain, network.pixels[:count], network.labels[:count], seeds)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["world-standard-0", "world-adversarial-0"])
def test_honest_gradients_are_slopes(name, world):
    network = world(name, 32)
    assert errors(network, network.feed.run).max() < 0.4
    assert errors(network, lambda x: 3 * network.feed.run(x)).max() < 0.4


@pytest.mark.slow
@pytest.mark.parametrize("way", ["blocks", "noisy", "columns", "flipped", "one_channel"])
def test_gradients_in_part_are_not(way, standard):
    assert np.median(errors(standard, masks.instead(standard.feed.run, getattr(masks, way)))) > 0.6


@pytest.mark.slow
def test_gradients_at_the_images_alone_are_not(standard):
    assert errors(standard, masks.instead(standard.feed.run, masks.at_rest_only)).min() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("forward", ["jpeg", "levels"])
def test_straight_through_gradients_are_not(forward, standard):
    run = masks.instead(standard.feed.run, lambda g, _: g, getattr(masks, forward))
    assert np.median(errors(standard, run)) > 0.6


@pytest.mark.slow
def test_ripples_have_slopes_that_lead_nowhere(standard):
    assert np.median(errors(standard, lambda x: standard.feed.run(masks.ripples(x)))) > 0.6


def test_a_line_is_its_own_slope_and_half_of_it_is_half_right():
    ways = torch.randn(2, 3 * 64, generator=torch.Generator().manual_seed(1))

    def line(x):
        return (x.flatten(1) - 0.5) @ ways.T

    images, labels = torch.full((4, 3, 8, 8), 0.5), torch.zeros(4, dtype=torch.long)
    seeds = np.arange(4, dtype=np.uint64)
    exact = gradient_errors(line, line, images, labels, seeds)
    assert exact.max() < 1e-3
    half = gradient_errors(masks.instead(line, lambda g, _: g / 2), line, images, labels, seeds)
    assert np.allclose(half, 0.5, atol=1e-3)
    flat = gradient_errors(lambda x: 0 * line(x), lambda x: 0 * line(x), images, labels, seeds)
    assert flat.tolist() == [0, 0, 0, 0]


def test_a_slope_that_holds_from_afar_alone_is_none():
    """Ripples far smaller than the longer way: over it they are lost, over the shorter one they are all there is."""
    ways = torch.randn(2, 3 * 64, generator=torch.Generator().manual_seed(1))

    def line(x):
        return (x.flatten(1) - 0.5) @ ways.T

    def rippled(x):
        return x + 0.003 * torch.sin(3000 * x)

    run = masks.instead(line, lambda g, _: g, rippled)
    images, labels = torch.full((4, 3, 8, 8), 0.5), torch.zeros(4, dtype=torch.long)
    found = gradient_errors(run, run, images, labels, np.arange(4, dtype=np.uint64))
    assert found.min() > 0.5


def test_company_counts_and_a_copy_does_not():
    images = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))

    def alone(x):
        return x.flatten(1)

    def together(x):
        return x.flatten(1) - x.flatten(1).mean(dim=0) + 1

    rows = np.array([0, 2])
    company, copy = company_differences(alone, images, rows)
    assert company.tolist() == [0, 0] and copy.tolist() == [0, 0]
    company, copy = company_differences(together, images, rows)
    assert (company > 0.01).all() and copy.tolist() == [0, 0]


def test_one_image_of_four_is_asked_whatever_the_others():
    seeds = np.arange(1000, dtype=np.uint64)
    assert probed(seeds).mean() == 0.25
    assert np.array_equal(probed(seeds)[::3], probed(seeds[::3]))


@pytest.mark.slow
@pytest.mark.parametrize("mask", ["blocks", "batch statistics"])
def test_the_suite_says_so(mask, standard):
    run = (
        masks.batch_statistics(standard.feed.model)
        if mask == "batch statistics"
        else masks.instead(standard.feed.run, masks.blocks)
    )
    said = masks.flags_of(standard.trials(run=run))
    begins = {"blocks": "masked gradient: ", "batch statistics": "batch: "}[mask]
    assert any(flag.startswith(begins) for flag in said)


def test_one_image_in_four_is_asked_by_its_seed():
    seeds = np.array([0, 1, 2, 3, 4, 5, 2**63 + 1], dtype=np.uint64)
    assert probed(seeds).tolist() == [False, True, False, False, False, True, True]


def test_where_a_network_is_asked():
    """Slopes at a point up to 2/255 away on either side, and each step .01 and .2 long to both sides of it, by the
    same amount in every value, up or down."""
    seen = []

    def line(x):
        seen.append(x.detach().clone())
        return x.flatten(1)[:, :2]

    image, label = torch.full((1, 3, 16, 16), 0.5), torch.zeros(1, dtype=torch.long)
    gradient_errors(line, line, image, label, np.array([5], dtype=np.uint64))
    point, short, long = seen
    moved = (point - 0.5).flatten()
    assert float(moved.abs().max()) <= 2 / 255 + 1e-6
    assert -2 / 255 < float(moved.min()) < -1.98 / 255 < 1.98 / 255 < float(moved.max())
    assert abs(float(moved.mean())) < 0.1 / 255
    for ends, length in ((short, 0.01), (long, 0.2)):
        assert len(ends) == 8
        away = (ends - point).flatten(1)
        assert away.norm(dim=1).tolist() == pytest.approx([length] * 8, rel=1e-3)
        assert away.abs().flatten().tolist() == pytest.approx([length / 768**0.5] * 6144, rel=0.02)
        assert torch.allclose(away[:4], -away[4:], atol=1e-6)
        assert 0.4 < float((away[:4] > 0).double().mean()) < 0.6
        assert len({tuple(row) for row in (away[:4] > 0).tolist()}) == 4


def test_the_point_stays_an_image():
    seen = []

    def line(x):
        seen.append(x.detach().clone())
        return x.flatten(1)[:, :2]

    for level in (0.0, 1.0):
        image, label = torch.full((1, 3, 4, 4), level), torch.zeros(1, dtype=torch.long)
        gradient_errors(line, line, image, label, np.array([1], dtype=np.uint64))
    lowest, highest = seen[0], seen[3]
    assert float(lowest.min()) == 0.0 and 0 < float(lowest.max()) <= 2 / 255
    assert float(highest.max()) == 1.0 and 1 > float(highest.min()) >= 1 - 2 / 255
