"""LAION-C's distortions: against the authors' library, a plain version of their lines, and by their distributions."""

import random
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw
from transform_samples import as_bytes, as_images, data_folder, seeds, synthetic

from benchmark.errors import PluginError, UnknownName
from benchmark.testing.toys import toy_stimuli
from benchmark.transforms.laion_c import DISTORTIONS, distortion
from benchmark.transforms.listing import own_list

PICTURES = toy_stimuli("natural")
MADE = [name for name in DISTORTIONS if name != "glitched"]


def shown(name, level, pixels, numbers):
    return as_bytes(distortion(name, level, pictures=PICTURES).apply(as_images(pixels), numbers))


@pytest.fixture(scope="module")
def photographs():
    paths = sorted(data_folder("imagenet-sample").glob("*/*.JPEG"))[::160]
    return np.stack([np.array(Image.open(path).convert("RGB").resize((224, 224))) for path in paths])


def plain_lines(image, level):
    """Pixel by pixel: the mean colour of each cell, a line from where the last one ended."""
    count, step = {1: (224, 1), 2: (178, 2), 3: (112, 4), 4: (84, 6), 5: (60, 8)}[level]
    source = Image.fromarray(image)
    grey, canvas = source.convert("L"), Image.new("RGB", source.size)
    draw, (width, height) = ImageDraw.Draw(canvas), source.size
    for line in range(count):
        x = line / count * width
        before = (x, 0)
        for y in range(0, height, step):
            cell = [
                (*source.getpixel((i, j)), grey.getpixel((i, j)))
                for i in range(int(x), min(int(x + width / count), width))
                for j in range(y, min(y + step, height))
            ]
            means = [sum(part) // len(cell) for part in zip(*cell, strict=True)]
            red, green, blue, level_of_grey = means or [0] * 4
            here = (x - 40 * (1 - level_of_grey / 255), y)
            draw.line((*before, *here), fill=(red, green, blue))
            before = here
    return np.asarray(canvas)


@pytest.mark.parametrize("level", [3, *(pytest.param(level, marks=pytest.mark.slow) for level in (1, 2, 4, 5))])
def test_vertical_lines_are_the_plain_ones(level, photographs):
    images = photographs[: 1 if level == 3 else 3]
    lines = shown("vertical_lines", level, images, seeds(len(images))).astype(int)
    assert np.abs(lines - np.stack([plain_lines(image, level) for image in images])).max() <= 1


@pytest.mark.slow
def test_glitches_are_the_librarys(photographs):
    glitcher = pytest.importorskip("glitch_this").ImageGlitcher()
    for level, amount in enumerate((2, 4, 5, 8, 10), 1):
        random.seed(7)
        before = random.getstate()
        ours = shown("glitched", level, photographs[:2], seeds(2)).astype(int)
        assert random.getstate() == before
        options = {"glitch_change": 0.0, "cycle": False, "scan_lines": True, "color_offset": True, "seed": 1}
        theirs = [glitcher.glitch_image(Image.fromarray(image), amount, **options) for image in photographs[:2]]
        assert np.abs(ours - np.stack([np.asarray(image) for image in theirs])).max() <= 1


def test_without_their_library_glitches_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "glitch_this", None)
    with pytest.raises(PluginError, match=r"gestaltbench\[laion-c\]"):
        distortion("glitched", 1)


@pytest.mark.parametrize("name", MADE)
def test_an_image_has_one_result_in_any_batch(name):
    pixels, numbers = synthetic(3, 56, seed=1), seeds(3)
    whole = shown(name, 2, pixels, numbers)
    alone = np.concatenate([shown(name, 2, pixels[i : i + 1], numbers[i : i + 1]) for i in range(3)])
    assert np.array_equal(alone, whole) and whole.shape == pixels.shape
    empty = as_images(pixels)[:0]
    assert distortion(name, 2, pictures=PICTURES).apply(empty, numbers[:0]).shape == empty.shape


@pytest.mark.parametrize(("level", "low", "high"), [(1, 0, 50), (3, 100, 125), (5, 150, 255)])
def test_tiles_are_brighter_and_darker_by_uniform_draws(level, low, high):
    grey = np.full((40, 224, 224, 3), 128, np.uint8)
    apart = shown("luminance_checkerboard", level, grey, seeds(40)).astype(int)[..., 0] - 128
    tiles = apart.reshape(40, 16, 14, 16, 14)
    assert (tiles == tiles[:, :, :1, :, :1]).all()
    steps = tiles[:, :, 0, :, 0] * (-1) ** np.add.outer(np.arange(16), np.arange(16))
    assert (np.sign(steps[np.abs(steps) > 1]) > 0).all()
    seen = steps[(steps > -127) & (steps < 127)]  # the rest is cut at black and white
    assert (steps >= min(low, 127) - 1).all() and (level == 5 or seen.max() <= high)
    if level == 1:
        counts = np.histogram(seen, bins=5, range=(0, 50))[0]
        assert np.abs(counts / counts.sum() - 0.2).max() < 0.03


@pytest.mark.parametrize(("level", "count"), [(1, 100), (5, 1200)])
def test_stickers_are_small_pictures_at_uniform_places(level, count):
    pixels = np.zeros((6, 224, 224, 3), np.uint8)
    covered = (shown("stickers", level, pixels, seeds(6)) > 0).any(axis=-1)
    assert not covered[:, -1].any() and not covered[:, :, -1].any()  # places end one short, as the authors'
    middle = covered[:, 16:-17, 16:-17].mean()
    assert middle == pytest.approx(1 - (1 - 256 / 208**2) ** count, abs=0.03)


def test_a_mosaic_takes_the_picture_of_the_nearest_colour():
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)
    source = type(PICTURES)(
        **{**vars(PICTURES), "ids": ("a", "b", "c"), "decode": lambda i: np.broadcast_to(colours[i], (256, 256, 3))}
    )
    pixels = np.zeros((1, 56, 56, 3), np.uint8)
    pixels[:, :28, :, 0], pixels[:, 28:, :, 2] = 230, 200
    for level in range(1, 6):
        image = as_bytes(distortion("mosaic", level, pictures=source).apply(as_images(pixels), seeds(1)))[0]
        assert (image[:20] == [255, 0, 0]).all() and (image[36:] == [0, 0, 255]).all()


def test_shapes_cover_more_at_every_level_and_have_every_colour():
    pixels = np.zeros((2, 224, 224, 3), np.uint8)
    share = [(shown("geometric_shapes", level, pixels, seeds(2)) > 0).any(axis=-1).mean() for level in range(1, 6)]
    assert share == sorted(share) and share[0] == pytest.approx(0.25, abs=0.08) and share[4] > 0.8
    values = shown("geometric_shapes", 5, pixels, seeds(2))[(pixels == 0)]
    assert len(np.unique(values)) == 256


def test_the_list_and_its_names():
    entries = own_list("laion-c")
    assert tuple(entries) == DISTORTIONS and all(entry.levels == (1, 2, 3, 4, 5) for entry in entries.values())
    with pytest.raises(UnknownName):
        distortion("frosted", 1)
    with pytest.raises(PluginError, match="natural set"):
        distortion("mosaic", 1)
