"""Transforms of ImageNet-C as users get them: shape, range, seeds, batches, severities, laws."""

import sys

import numpy as np
import published_corruptions as published
import pytest
import torch
from PIL import Image
from transform_samples import as_bytes, as_images, data_folder, seeds, synthetic

from benchmark.errors import StimuliError, UnknownName
from benchmark.transforms.corruptions import CORRUPTIONS, corruption, load_textures
from benchmark.transforms.listing import own_list

ALL = tuple(CORRUPTIONS)
RANDOM = tuple(name for name in ALL if CORRUPTIONS[name].random)
PIXELS = synthetic(6, 64, seed=1)
IMAGES = as_images(PIXELS)


@pytest.fixture(autouse=True)
def _opencv_where_water_is(request):
    if getattr(request.node, "callspec", None) and request.node.callspec.params.get("name") == "spatter":
        pytest.importorskip("cv2", reason="opencv-python-headless is a development dependency")


def test_water_without_opencv_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(StimuliError, match="pip install opencv-python-headless"):
        corruption("spatter", 1).apply(IMAGES, seeds(6))
    assert corruption("spatter", 5).apply(IMAGES, seeds(6)).shape == IMAGES.shape


@pytest.fixture(scope="module")
def textures(tmp_path_factory):
    """Five small textures on disk, in place of the published ones."""
    folder, rng = tmp_path_factory.mktemp("frost"), np.random.default_rng(0)
    files = []
    for k in range(5):
        ice = rng.integers(0, 256, (30, 30, 3), dtype=np.uint8)
        file = folder / f"frost{k + 1}.png"
        Image.fromarray(ice).resize((240 + k, 250)).save(file)
        files.append(file)
    return files


@pytest.mark.parametrize("severity", [5, *(pytest.param(level, marks=pytest.mark.slow) for level in (1, 2, 3, 4))])
@pytest.mark.parametrize("name", ALL)
def test_images_give_images_of_whole_levels_and_are_left_as_they_were(name, severity, textures):
    images = IMAGES.clone()
    out = corruption(name, severity, frost=textures).apply(images, seeds(6))
    assert torch.equal(images, IMAGES) and out.shape == images.shape and out.dtype == torch.float32
    assert float(out.min()) >= 0 and float(out.max()) <= 1
    as_bytes(out)


@pytest.mark.parametrize("name", ALL)
def test_batch_size_and_order_change_nothing(name, textures):
    apply = corruption(name, 4, frost=textures).apply
    whole = as_bytes(apply(IMAGES, seeds(6)))
    order = np.array([4, 0, 5, 2, 1, 3])
    turned = as_bytes(apply(IMAGES[order], seeds(6)[order]))
    assert np.mean(turned != whole[order]) < 2e-5
    alone = np.concatenate([as_bytes(apply(IMAGES[i : i + 1], seeds(6)[i : i + 1])) for i in range(6)])
    assert np.abs(alone.astype(int) - whole).max() <= 1
    assert np.mean(alone != whole) < 2e-3  # float32 sums of flat areas in other block sizes


@pytest.mark.parametrize("name", ALL)
def test_stored_images_give_the_same_stored_images(name, textures):
    change = corruption(name, 3, frost=textures)
    assert change.stored
    stored = (IMAGES * 255).round().to(torch.uint8)
    out = change.apply(stored, seeds(6))
    assert out.dtype == torch.uint8
    assert torch.equal(out, (change.apply(IMAGES, seeds(6)) * 255).round().to(torch.uint8))


@pytest.mark.parametrize("name", ["gaussian_noise", "defocus_blur", "fog"])
def test_rounding_is_a_switch(name):
    cut, rounded = (
        as_bytes(corruption(name, 2, quantise=how).apply(IMAGES, seeds(6))).astype(int) for how in ("truncate", "round")
    )
    assert set(np.unique(rounded - cut)) == {0, 1}
    assert 0.3 < (rounded - cut).mean() < 0.7  # half of all fractions round up
    with pytest.raises(StimuliError, match="truncate or round"):
        corruption(name, 2, quantise="floor")


@pytest.mark.parametrize("name", ALL)
def test_random_ones_follow_the_seed_and_the_others_do_not(name, textures):
    apply = corruption(name, 3, frost=textures).apply
    one, again = apply(IMAGES[:1], seeds(1)), apply(IMAGES[:1], seeds(1))
    other = apply(IMAGES[:1], seeds(1, start=50))
    assert torch.equal(one, again)
    assert torch.equal(one, other) is (name not in RANDOM)


def test_jpeg85_is_what_pil_stores():
    out = as_bytes(corruption("contrast", 1, jpeg85=True).apply(IMAGES[:1], seeds(1)))
    plain = as_bytes(corruption("contrast", 1).apply(IMAGES[:1], seeds(1)))
    from io import BytesIO

    file = BytesIO()
    Image.fromarray(plain[0]).save(file, "JPEG", quality=85, optimize=True)
    assert np.array_equal(np.asarray(Image.open(file)), out[0])


def test_the_table():
    families = {"noise": ALL[:3], "blur": ALL[3:7], "weather": ALL[7:11], "digital": ALL[11:15], "extra": ALL[15:]}
    listed = {name: entry.family for name, entry in own_list("imagenet-c").items()}
    assert listed == {name: family for family, names in families.items() for name in names}
    params = corruption("glass_blur", 3).params
    assert (params["sigma, px"], params["severity"]) == (1, 3)


def test_errors_name_the_remedy(textures):
    with pytest.raises(UnknownName, match="motion_blur"):
        corruption("motionblur", 1)
    with pytest.raises(StimuliError, match="severity 6"):
        corruption("fog", 6)
    with pytest.raises(StimuliError, match=r"frost1\.png"):
        corruption("frost", 1)
    large = torch.zeros(1, 3, 250, 250)
    with pytest.raises(StimuliError, match="larger than the images"):
        corruption("frost", 1, frost=textures).apply(large, seeds(1))


def test_textures_are_files_or_pictures_and_part_of_the_identity():
    files = sorted(data_folder("frost").glob("frost*.*"))
    by_file = corruption("frost", 2, frost=files)
    by_picture = corruption("frost", 2, frost=load_textures(files))
    assert by_file.params == by_picture.params
    assert torch.equal(by_file.apply(IMAGES, seeds(6)), by_picture.apply(IMAGES, seeds(6)))
    flat = [np.zeros((300, 200, 3), np.uint8)] * 5
    tall = [picture.transpose(1, 0, 2) for picture in flat]
    assert corruption("frost", 2, frost=flat).params != corruption("frost", 2, frost=tall).params


SAMPLED = ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "fog")


@pytest.mark.parametrize(
    "name", (*SAMPLED, "motion_blur", "spatter", pytest.param("glass_blur", marks=pytest.mark.slow))
)
def test_own_draws_give_the_published_distribution(name):
    """Per-image mean and mean distance from the original, ours against the library's."""
    count = 12 if name == "glass_blur" else 24
    pixels = synthetic(4, 64, seed=5)[3]
    batch = np.repeat(pixels[None], count, axis=0)
    ours = as_bytes(corruption(name, 3).apply(as_images(batch), seeds(count))).astype(float)
    np.random.seed(0)
    theirs = np.stack([published.by_library(name, pixels, 3) for _ in range(count)]).astype(float)
    for statistic in (
        lambda x: x.mean((1, 2, 3)),
        lambda x: np.abs(x - pixels).mean((1, 2, 3)),
        lambda x: x.std((1, 2, 3)),
    ):
        a, b = statistic(ours), statistic(theirs)
        error = np.sqrt(a.var(ddof=1) / count + b.var(ddof=1) / count)
        assert abs(a.mean() - b.mean()) < 4 * error + 0.02, name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ALL)
def test_cuda_gives_the_processor_s_pixels(name, textures):
    for severity in (1, 3, 5):
        apply = corruption(name, severity, frost=textures).apply
        here = as_bytes(apply(IMAGES, seeds(6))).astype(int)
        there = as_bytes(apply(IMAGES.cuda(), seeds(6)).cpu()).astype(int)
        assert np.abs(here - there).max() <= 1
        assert np.mean(here != there) < 0.02
