"""Transforms of ImageNet-C as users get them: shape, range, seeds, batches, severities, laws."""

from io import BytesIO

import numpy as np
import published_corruptions as published
import pytest
import torch
from PIL import Image
from scipy import stats
from transform_samples import as_bytes, as_images, seeds, synthetic

from benchmark.failures import StimuliError
from benchmark.transforms import blur
from benchmark.transforms.basics import Streams, invert
from benchmark.transforms.corruptions import CORRUPTIONS, is_nearest, pixelate
from benchmark.transforms.imagenet_c import corruption
from benchmark.transforms.listing import own_list

ALL = tuple(CORRUPTIONS)
RANDOM = tuple(name for name in ALL if CORRUPTIONS[name].random)
PIXELS = synthetic(6, 64, seed=1)
IMAGES = as_images(PIXELS)


@pytest.fixture(autouse=True)
def _opencv_where_water_is(request):
    if getattr(request.node, "callspec", None) and request.node.callspec.params.get("name") == "spatter":
        pytest.importorskip("cv2", reason="opencv-python-headless is a development dependency")


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_defocus_gives_the_same_pixels_with_and_without_opencv(monkeypatch, severity):
    pytest.importorskip("cv2", reason="opencv-python-headless is a development dependency")
    flat = np.full((1, 64, 64, 3), 127, dtype=np.uint8)
    images = torch.from_numpy(np.concatenate([PIXELS, flat, np.full_like(flat, 255)])).permute(0, 3, 1, 2)
    there = corruption("defocus_blur", severity).apply(images, seeds(8))
    monkeypatch.setattr(blur, "opencv_module", lambda: None)
    assert torch.equal(there, corruption("defocus_blur", severity).apply(images, seeds(8)))


@pytest.fixture(scope="module")
def textures():
    """Five small textures in place of the published ones."""
    ice = np.random.default_rng(0).integers(0, 256, (5, 30, 30, 3), np.uint8)
    return [np.asarray(Image.fromarray(ice[k]).resize((240 + k, 250))) for k in range(5)]


@pytest.mark.parametrize("name", ALL)
def test_batch_size_and_order_change_nothing_nor_do_images_change(name, textures):
    apply, images, order = corruption(name, 4, frost=textures).apply, IMAGES.clone(), np.array([4, 0, 5, 2, 1, 3])
    out = apply(images, seeds(6))
    assert torch.equal(images, IMAGES) and out.shape == images.shape and out.dtype == torch.float32
    assert float(out.min()) >= 0 and float(out.max()) <= 1
    whole = as_bytes(out)
    turned = as_bytes(apply(IMAGES[order], seeds(6)[order]))
    assert np.mean(turned != whole[order]) < 2e-5
    alone = np.concatenate([as_bytes(apply(IMAGES[i : i + 1], seeds(6)[i : i + 1])) for i in range(6)])
    assert np.abs(alone.astype(int) - whole).max() <= 1
    assert np.mean(alone != whole) < 2e-3  # float32 sums of flat areas in other block sizes


@pytest.mark.parametrize("name", ALL)
def test_stored_images_give_the_same_and_random_ones_follow_the_seed(name, textures):
    change = corruption(name, 3, frost=textures)
    stored = (IMAGES[:3] * 255).round().to(torch.uint8)
    out, again = change.apply(stored, seeds(3)), change.apply(IMAGES[:3], seeds(3))
    assert change.stored and out.dtype == torch.uint8
    assert torch.equal(out, (again * 255).round().to(torch.uint8))
    assert torch.equal(again[:1], change.apply(IMAGES[:1], seeds(1, start=50))) is (name not in RANDOM)


def test_jpeg85_is_what_pil_stores():
    out = as_bytes(corruption("contrast", 1, jpeg85=True).apply(IMAGES[:1], seeds(1)))
    plain = as_bytes(corruption("contrast", 1).apply(IMAGES[:1], seeds(1)))
    file = BytesIO()
    Image.fromarray(plain[0]).save(file, "JPEG", quality=85, optimize=True)
    assert np.array_equal(np.asarray(Image.open(file)), out[0])


def test_the_table_and_errors_that_name_the_remedy(textures):
    families = {"noise": ALL[:3], "blur": ALL[3:7], "weather": ALL[7:11], "digital": ALL[11:15], "extra": ALL[15:]}
    listed = {name: entry.family for name, entry in own_list("imagenet-c").items()}
    assert listed == {name: family for family, names in families.items() for name in names}
    params = corruption("glass_blur", 3).params
    assert (params["sigma, px"], params["severity"]) == (1, 3)
    with pytest.raises(StimuliError, match="needs 5 textures"):
        corruption("frost", 1)
    with pytest.raises(StimuliError, match="larger than the images"):
        corruption("frost", 1, frost=textures).apply(torch.zeros(1, 3, 250, 250), seeds(1))


@pytest.mark.parametrize("name", [
    "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "fog", "motion_blur", "spatter",
    pytest.param("glass_blur", marks=pytest.mark.slow),
])  # fmt: skip
def test_own_draws_give_the_published_distribution(name):
    """Per-image mean and mean distance from the original, ours against the library's."""
    count = 6 if name == "glass_blur" else 24
    pixels = synthetic(4, 64, seed=5)[3]
    batch = np.repeat(pixels[None], count, axis=0)
    ours = as_bytes(corruption(name, 3).apply(as_images(batch), seeds(count))).astype(float)
    np.random.seed(0)
    theirs = np.stack([published.by_library(name, pixels, 3) for _ in range(count)]).astype(float)
    seen = [[x.reshape(count, -1) for x in (y, np.abs(y - pixels))] for y in (ours, theirs)]
    for a, b in zip(*([*(x.mean(1) for x in own), own[0].std(1)] for own in seen), strict=True):
        error = np.sqrt(a.var(ddof=1) / count + b.var(ddof=1) / count)
        assert abs(a.mean() - b.mean()) < 4 * error + 0.02, name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ALL)
def test_cuda_gives_the_processor_s_pixels(name, textures):
    for severity in (1, 3, 5):
        apply = corruption(name, severity, frost=textures).apply
        here = as_bytes(apply(IMAGES, seeds(6))).astype(int)
        there = as_bytes(apply(IMAGES.cuda(), seeds(6)).cpu()).astype(int)
        assert np.abs(here - there).max() <= 1 and np.mean(here != there) < 0.02


@pytest.mark.parametrize("seed", [0, 1, 2**63])
def test_uniform_and_normal_follow_their_laws(seed):
    draws = Streams(np.array([seed], dtype=np.uint64), "t", torch.device("cpu"))
    uniform = draws.uniform(200_000)[0].double().numpy()
    assert uniform.min() >= 0 and uniform.max() < 1
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    normal = draws.normal(200_000)[0].double().numpy()
    assert stats.kstest(normal, "norm").pvalue > 1e-3 and abs(stats.kurtosis(normal)) < 0.05


def test_poisson_is_the_inverse_of_the_distribution():
    uniform = torch.randint(0, 2**24, (1, 30_000), dtype=torch.int32)
    levels = torch.randint(0, 256, (1, 30_000)).float()
    ours = invert(levels, uniform, 25)[0].numpy()
    centred = (uniform[0].double().numpy() + 0.5) / 2**24
    theirs = stats.poisson.ppf(centred, levels[0].double().numpy() / 255 * 25)
    theirs[levels[0].numpy() == 0] = 0
    assert np.mean(ours != theirs) < 1e-4 and np.abs(ours - theirs).max() <= 1


def test_pixelate_gives_the_pixels_of_two_box_averages_at_any_size():
    """At 54 px, nearest neighbours of 32 are other pixels than box averages."""
    assert is_nearest(134, 224) and is_nearest(56, 224) and not is_nearest(32, 54)
    for share, size in ((0.6, 224), (0.25, 224), (0.6, 54)):
        pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
        small = Image.fromarray(pixels).resize((int(size * share),) * 2, Image.Resampling.BOX)
        done = pixelate(torch.from_numpy(pixels).permute(2, 0, 1)[None], share)[0].permute(1, 2, 0).numpy()
        assert np.array_equal(done, np.asarray(small.resize((size, size), Image.Resampling.BOX)))
