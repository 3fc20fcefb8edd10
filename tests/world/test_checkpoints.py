"""The shipped networks: small, loadable, able, and biased the way their recipes say."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import registry
from benchmark.stimuli.world.sets import CATEGORIES, WORLD_SETS, render
from registry.world_networks import tiny_detector, tiny_resnet

FOLDER = Path(registry.__file__).parent / "world_checkpoints"
DETECTOR = FOLDER / "world-detector-0.safetensors"
READERS = FOLDER / "world-readers.safetensors"
PATHS = sorted(set(FOLDER.glob("*.safetensors")) - {DETECTOR, READERS})
COUNT = 240  # stimuli per set: fifteen of each category, or one of each conflicting pair


@cache
def images(name):
    """Draw the first stimuli of a set, normalised: (n, 3, 64, 64)."""
    pixels = np.stack([render(WORLD_SETS[name], i).image for i in range(COUNT)])
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25


@cache
def network(path):
    """Load a checkpoint strictly."""
    model = tiny_resnet(len(CATEGORIES))
    model.load_state_dict(load_file(path), strict=True)
    return model.eval()


@cache
def answers(path, name):
    """Return the categories that a network names for a set."""
    with torch.inference_mode():
        chosen = torch.cat([network(path)(batch).argmax(1) for batch in images(name).split(60)])
    return tuple(CATEGORIES[i] for i in chosen.tolist())


def share(given, wanted):
    """Return the share of answers that are the wanted ones."""
    return float(np.mean([a == b for a, b in zip(given, wanted, strict=False)]))


def shape_bias(path):
    """Return shape answers over shape and texture answers, on one of each pair."""
    world_set = WORLD_SETS["world-cue-conflict"]
    given = answers(path, world_set.name)
    shape, texture = share(given, world_set.shape), share(given, world_set.texture)
    return shape / (shape + texture)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_checkpoint_is_small_finite_and_able(path):
    assert path.stat().st_size < 500_000
    state = load_file(path)
    floats = [v for v in state.values() if v.is_floating_point()]
    assert all(v.dtype == torch.float16 and bool(torch.isfinite(v).all()) for v in floats)
    world_set = WORLD_SETS["world-natural"]
    assert share(answers(path, world_set.name), world_set.category) > 0.80


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_standard_reads_texture_and_stylised_reads_shape(seed):
    standard = shape_bias(FOLDER / f"world-standard-{seed}.safetensors")
    stylised = shape_bias(FOLDER / f"world-stylised-{seed}.safetensors")
    assert standard < 0.5 < 0.9 < stylised


@pytest.mark.slow
def test_the_detector_is_small_finite_and_able():
    assert DETECTOR.stat().st_size < 1_000_000
    state = load_file(DETECTOR)
    assert all(bool(torch.isfinite(v).all()) for v in state.values() if v.is_floating_point())
    model = tiny_detector()
    model.load_state_dict(state, strict=True)
    with torch.inference_mode():
        found = model.eval()(images("world-natural"))
    named = tuple(CATEGORIES[int(one["labels"][0]) - 1] for one in found)
    assert share(named, WORLD_SETS["world-natural"].category) > 0.70
