"""A Python factory may return its own preprocessing: a card that expresses it exactly replaces it, and otherwise every
suite hands it the image."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_toys import make_stimuli, toy_suite
from PIL import Image
from tensors import assert_close
from torchvision import transforms as tv
from torchvision.models import ResNet50_Weights
from torchvision.transforms import v2

from benchmark.contracts import Block, Transform
from benchmark.engine.tasks import plan_tasks
from registry.files import WeightSources
from registry.loading import load_network
from registry.preprocessing import read_transform
from registry.register import register
from registry.user_errors import AnswerError, CardError

MEAN, STD = (0.48, 0.45, 0.4), (0.22, 0.23, 0.24)
CROP, BICUBIC = tv.CenterCrop(64), tv.InterpolationMode.BICUBIC
TENSOR = (tv.ToTensor(), tv.Normalize(MEAN, STD))
READ = {
    "torchvision": (tv.Compose([tv.Resize(72), CROP, *TENSOR]), {"size": 64, "resize": 72, "mean": MEAN}),
    "its weights": (
        ResNet50_Weights.IMAGENET1K_V2.transforms(),
        {"size": 224, "resize": 232, "interpolation": "bilinear", "mean": (0.485, 0.456, 0.406)},
    ),
    "squashed": (
        tv.Compose([tv.Resize((64, 64), interpolation=BICUBIC), tv.Compose(TENSOR)]),
        {"size": 64, "resize_mode": "squash", "interpolation": "bicubic"},
    ),
    "Caffe's": (
        tv.Compose([tv.Resize(64), CROP, tv.ToTensor(), tv.Lambda(lambda x: x.flip(0) * 255 - 100)]), None
    ),
    "levels": (tv.Compose([tv.Resize(64), CROP, tv.PILToTensor(), v2.ToDtype(torch.float32)]), {"scale": 255}),
    "Lanczos": (tv.Compose([tv.Resize(64, interpolation=tv.InterpolationMode.LANCZOS), CROP, *TENSOR]), None),
    "not square": (tv.Compose([tv.Resize((64, 96)), *TENSOR]), None),
    "without antialias": (
        v2.Compose([v2.ToImage(), v2.Resize(64, antialias=False), CROP, v2.ToDtype(torch.float32, scale=True)]), None
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", READ)
def test_a_transform_is_read_only_where_a_card_feeds_the_same(case):
    transform, expected = READ[case]
    fields = read_transform(transform, "there").fields
    assert (fields.get("resize_mode") == "own") == (expected is None)
    assert fields.items() >= (expected or {}).items()


@pytest.mark.slow
def test_timm_and_open_clip_are_read():
    from open_clip.transform import image_transform
    from timm.data import create_transform

    timms = read_transform(create_transform((3, 96, 96), crop_pct=0.9, interpolation="bicubic"), "").fields
    assert timms.items() >= {"size": 96, "resize": 106, "interpolation": "bicubic"}.items()
    clips = read_transform(image_transform(64, is_train=False, mean=MEAN, std=STD), "").fields
    assert clips.items() >= {"size": 64, "resize": 64, "interpolation": "bicubic", "std": STD}.items()


FACTORY = """
import numpy as np
import torch
from PIL import Image
from torch import nn
class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.randn(64, 16, generator=torch.Generator().manual_seed(3)))
    def forward(self, x):
        x = x["pixels"] if isinstance(x, dict) else x
        return {"classes": nn.functional.adaptive_avg_pool2d(x, 4).flatten(1) @ self.weight}
def four(image):
    # four channels of any size
    small = image.resize((image.width // 2, image.height // 3), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1) / FACTOR
    return torch.cat([pixels, pixels.mean(0, keepdim=True)])
def build(): return Wide(), four
def mapped(): return Wide(), lambda image: {"pixels": four(image).double().numpy()}
def processed(): return Wide(), lambda image: {"pixel_values": four(image)[None]}
def pair_of_three(): return Wide(), four, four
def failing(): return Wide(), lambda image: image["image"]
"""


@pytest.fixture
def registered(tmp_path):
    """Write the factories with a factor, and return the card of one."""

    def make(factor=255, name="build", **options):
        path = tmp_path / f"own{abs(hash(str(tmp_path)))}{factor}.py"  # one module of a name in a process
        path.write_text(FACTORY.replace("FACTOR", str(factor)))
        shelf = {"cards_folder": tmp_path / "cards", "place": WeightSources(weights_folder=tmp_path)}
        return register(name, f"python:{path}:{name}", labels="world16", replaces=True, **shelf, **options)[0]

    return make


def brighter(images, seeds):
    return (images * 0.9 + torch.from_numpy(seeds.astype(np.float32) / 2.0**68)[:, None, None, None]).clamp(0, 1)


@pytest.mark.slow
def test_every_suite_hands_the_image_to_the_transform(registered, leaderboard):
    sizes = [(40 + 6 * (i % 3), 48 + 4 * (i % 2)) for i in range(20)]
    pictures = [np.random.default_rng(i).integers(0, 256, (*size, 3)).astype(np.uint8) for i, size in enumerate(sizes)]
    stimuli = replace(make_stimuli(20), decode=pictures.__getitem__)
    changed = Transform(name="brighter", params={}, apply=brighter)
    shown = (("card", "card", None), ("whole", "whole", None), ("changed", "whole", changed))
    plain = Block(stimuli=stimuli, role="toys")
    blocks = tuple(replace(plain, presentation=how, condition=name, transform=made) for name, how, made in shown)
    cards = [registered(255, name) for name in ("build", "mapped", "processed")]
    leaderboard.run(cards, [toy_suite(blocks)])
    own = sys.modules[Path(cards[0].arch.split(":")[1]).stem]
    for card in cards:
        trials = leaderboard.trials(card.name)
        for name in ("card", "whole", "changed"):
            rows = trials["condition"] == name
            assert rows.sum() == 20
            shown = [torch.from_numpy(picture).permute(2, 0, 1)[None] for picture in pictures]
            if name == "changed":
                seeds = trials["seed"][rows]
                shown = [brighter(x / 255, seeds[i : i + 1]).mul(255).round().byte() for i, x in enumerate(shown)]
            inputs = [own.four(Image.fromarray(x[0].permute(1, 2, 0).numpy()))[None] for x in shown]
            logits = torch.cat([own.Wide()(x)["classes"] for x in inputs])
            assert_close(torch.from_numpy(trials["probability"][rows]), logits.softmax(1), atol=1e-5, rtol=1e-4)
        (slopes,) = plan_tasks([card], [toy_suite(blocks, needs="gradients")], leaderboard.settings, 8)
        assert slopes.reason.startswith(f"not for it: '{card.name}' makes its input by its own transform")


def test_the_source_of_a_transform_is_part_of_the_observer(registered, tmp_path):
    first, place = registered(255), WeightSources(weights_folder=tmp_path)
    assert first.own_transform and not first.gradients and first.preprocess.size == 250
    other = registered(254)
    models = [load_network(card.model_copy(update={"name": "same"}), place) for card in (first, other)]
    assert models[0].digest == models[1].digest and models[0].identity != models[1].identity
    with pytest.raises(CardError, match=r"size 250 is made by the transform that own\w+.py:build returns, and --size"):
        registered(255, size=64)


@pytest.mark.parametrize(("name", "error", "message"), [
    ("failing", AnswerError, r"fails on an image of 150 x 97 px \(TypeError: 'Image' object is not"),
    ("pair_of_three", CardError, "returned Wide, function, function, not a module"),
])  # fmt: skip
def test_what_is_no_network_with_a_transform(name, error, message, registered, tmp_path):
    with pytest.raises(error, match=message):
        registered(255, name)
    assert not (tmp_path / "cards").exists()
