"""Observers of the built-in world that read one cue from the pixels, so that it is known what they lean on."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from scipy.fft import dctn

from benchmark.stimuli.world.sets import CATEGORIES, generated_set, training_set
from registry.cards import builtin_cards
from registry.files import WeightSources
from registry.loading import load_network

LUMA = np.array([0.299, 0.587, 0.114])
CELL = 8  # px: a shuffle of 8 x 8 cells only moves these


def drawn(world_set, count):
    """(images [count, 64, 64, 3] uint8, categories [count])."""
    images = np.stack([world_set.decode(i) for i in range(count)])
    return images, np.array([CATEGORIES.index(name) for name in world_set.labels["category"][:count]])


def tinted(images, category):
    """The images in one hue for each category: shape, texture and colour then say the same."""
    hue = 2 * np.pi * category / len(CATEGORIES)
    wheel = 0.25 * np.stack([np.cos(hue - 2 * np.pi * k / 3) for k in range(3)], axis=1)
    grey = 0.2 + 0.6 * (images / 255) @ LUMA
    return (np.clip(grey[..., None] + wheel[:, None, None], 0, 1) * 255).round().astype(np.uint8)


@cache
def three_cues(count=128):
    """Natural images of the world in the hue of their category."""
    images, category = drawn(generated_set("world-natural"), count)
    return tinted(images, category), category


def colour_reader(images):
    mean = images.reshape(len(images), -1, 3).mean(axis=1)
    turns = np.exp(2j * np.pi * np.arange(3) / 3)
    hue = np.angle((mean - mean.mean(axis=1, keepdims=True)) @ turns) % (2 * np.pi)
    return np.round(hue / (2 * np.pi) * len(CATEGORIES)).astype(int) % len(CATEGORIES)


def texture_reader(images):
    """What the cells of 8 x 8 px say one by one of their luminance, wherever they lie (a bag of patches)."""
    votes = cell_reader().predict_log_proba(cells(images))
    return votes.reshape(len(images), -1, len(CATEGORIES)).mean(axis=1).round(9).argmax(axis=1)


def shape_reader(images):
    """A simulated person who matches silhouettes."""
    module = load_network(builtin_cards()["world-reader-0"], WeightSources(weights_folder=Path("unused"))).module
    with torch.no_grad():
        return module((torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25).argmax(1).numpy()


def cells(images):
    side = images.shape[1] // CELL
    grey = ((images / 255) @ LUMA).reshape(len(images), side, CELL, side, CELL).swapaxes(2, 3)
    waves = dctn(grey, axes=(3, 4), norm="ortho").reshape(-1, CELL**2)[:, 1:]
    return np.log(waves**2 + 1e-4)


@cache
def cell_reader():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    images, category = drawn(training_set("textures", 320, 0), 320)
    return LinearDiscriminantAnalysis().fit(cells(tinted(images, category)), category.repeat(64))


READERS = {"shape": shape_reader, "texture": texture_reader, "colour": colour_reader}
