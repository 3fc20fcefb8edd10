"""Cues taken away: against the authors' libraries, by hand, and by their distributions."""

import itertools

import numpy as np
import pytest
import torch
from transform_samples import as_bytes, as_images, seeds, synthetic

from benchmark.transforms import suppression
from benchmark.transforms.basics import Streams
from benchmark.transforms.listing import own_list, transform

ENTRIES = own_list("suppression")


def applied(name, level, pixels, numbers):
    return as_bytes(transform(ENTRIES[name], level).apply(as_images(pixels), numbers))


def opencv(cv2, name, level, image):
    """What the authors' code does with one image."""
    if name == "bilateral":
        colour = dict(zip((4, 6, 8, 10, 12, 14), (50, 80, 110, 140, 170, 200), strict=True))[level]
        return cv2.bilateralFilter(image, d=level, sigmaColor=colour, sigmaSpace=75)
    if name == "non-local-means":
        return cv2.fastNlMeansDenoising(image, h=level, templateWindowSize=14, searchWindowSize=21)
    if name == "gaussian-blur":
        sigma = dict(zip(range(3, 16, 2), (0.33, 0.66, 1.0, 1.33, 1.66, 2.0, 2.33), strict=True))[level]
        return cv2.GaussianBlur(image, (level, level), sigmaX=sigma)
    plain = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32) / 255
    blend = (1 - level) * (image.astype(np.float32) / 255) + level * plain
    return np.clip(blend * 255, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "level"), {"bilateral": 6, "non-local-means": 15, "gaussian-blur": 5, "grey": 1}.items()
)
def test_filters_are_opencvs_on_small_images(name, level):
    cv2, pixels = pytest.importorskip("cv2"), synthetic(4, 40, seed=3)
    shown = applied(name, level, pixels, seeds(4)).astype(int)
    assert np.abs(shown - np.stack([opencv(cv2, name, level, image) for image in pixels])).max() <= 1


@pytest.mark.parametrize("made", [
    pytest.param(transform(entry, entry.levels[-1]), marks=pytest.mark.slow if "means" in entry.name else ())
    for entry in ENTRIES.values()
], ids=lambda made: made.name)  # fmt: skip
def test_an_image_has_one_result_in_any_batch(made):
    images, numbers, order, apply = as_images(synthetic(4, 56, seed=1)), seeds(4), [2, 0, 3, 1], made.apply
    whole = as_bytes(apply(images, numbers))
    assert np.array_equal(as_bytes(apply(images[order], numbers[order])), whole[order]) and whole.shape[:3] == (
        4,
        56,
        56,
    )
    alone = np.concatenate([as_bytes(apply(images[i : i + 1], numbers[i : i + 1])) for i in range(4)])
    assert np.array_equal(alone, whole) and apply(images[:0], numbers[:0]).shape == images[:0].shape


def test_levels_are_those_of_the_protocol():
    grids = [2, 4, 6, 8, 10, 12, 14, 16]
    assert {name: list(entry.levels) for name, entry in ENTRIES.items()} == {
        "patch-shuffle": grids, "patch-rotation": grids, "bilateral": [4, 6, 8, 10, 12, 14],
        "non-local-means": [5, 10, 15, 20, 25], "gaussian-blur": [3, 5, 7, 9, 11, 13, 15],
        "grey": [0.2, 0.4, 0.6, 0.8, 1], "channel-shuffle": [3], "patch-shuffle+grey": grids,
        "bilateral+patch-shuffle": [2, 4, 6, 8, 10, 12], "bilateral-12+patch-shuffle": grids,
        "bilateral+grey": [4, 6, 8, 10, 12, 14],
    }  # fmt: skip
    assert suppression.PAIRED == {2: 4, 4: 6, 6: 8, 8: 10, 10: 12, 12: 14}


@pytest.mark.parametrize("grid", [4, 6])
def test_cells_move_whole_among_cells_of_their_size(grid):
    """At 32 px borders of six cells lie at 0, 5, 10, 16, 21, 26, 32: whole pixels, as albumentations sets them."""
    borders, places = [32 * i // grid for i in range(grid + 1)], []
    assert grid == 4 or borders == np.linspace(0, 32, 7, dtype=np.int32).tolist()
    rows, columns = np.mgrid[:32, :32].astype(np.uint8)  # every pixel is another, as levels of two channels
    numbered = np.stack([np.stack([rows, columns, 0 * rows], -1)] * 3)
    shown = applied("patch-shuffle", grid, numbered, seeds(3)).astype(int)
    for image in shown:
        moved = set()
        for (top, low), (left, right) in itertools.product(itertools.pairwise(borders), repeat=2):
            cell = image[top:low, left:right, :2]
            assert np.array_equal(cell - cell[0, 0], np.moveaxis(np.mgrid[: low - top, : right - left], 0, -1))
            y, x = cell[0, 0].tolist()
            assert {y, x} <= set(borders) and {y + low - top, x + right - left} <= set(borders)
            moved.add((y, x))
        assert len(moved) == grid**2
        places.append(sorted(moved))
    assert not np.array_equal(shown[0], shown[1])


def test_cells_turn_at_the_next_multiple_where_the_grid_does_not_divide():
    cv2, pixels, numbers = pytest.importorskip("cv2"), synthetic(3, 40, seed=2), seeds(3)
    turns = Streams(numbers, "patch-rotation/6", torch.device("cpu")).bits(6, 6).numpy() & 3
    shown = applied("patch-rotation", 6, pixels, numbers).astype(int)
    for image, turn, result in zip(pixels, turns, shown, strict=True):
        big = cv2.resize(image, (42, 42), interpolation=cv2.INTER_LINEAR)
        for i, j in itertools.product(range(6), repeat=2):
            here = slice(7 * i, 7 * i + 7), slice(7 * j, 7 * j + 7)
            big[here] = np.rot90(big[here], turn[i, j])
        apart = np.abs(result - cv2.resize(big, (40, 40), interpolation=cv2.INTER_LINEAR))
        assert apart.max() <= 2 and apart.mean() < 0.3  # two roundings of OpenCV's fixed point


def test_pairs_are_one_after_the_other():
    pixels, numbers = synthetic(3, 48, seed=4), seeds(3)
    after = {
        ("patch-shuffle+grey", 4): (("patch-shuffle", 4), ("grey", 1)),
        ("bilateral+patch-shuffle", 4): (("bilateral", 6), ("patch-shuffle", 4)),
        ("bilateral-12+patch-shuffle", 4): (("bilateral", 12), ("patch-shuffle", 4)),
        ("bilateral+grey", 6): (("bilateral", 6), ("grey", 1)),
    }
    for pair, (first, second) in after.items():
        expected = applied(*second, applied(*first, pixels, numbers), numbers)
        assert np.array_equal(applied(*pair, pixels, numbers), expected)
