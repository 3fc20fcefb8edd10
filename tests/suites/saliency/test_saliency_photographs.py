"""Photographs with masks and maps of clicks from the user's own folders, from the command line to the board."""

import numpy as np
import pytest
from PIL import Image

from benchmark import api

pytestmark = pytest.mark.slow

CLASSES = ("n01440764", "n01443537", "n02099601")


def folder(path, n=9):
    """A labelled folder of noise: boxes as masks at the images' own sizes, maps of clicks beside them."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks", "heatmaps"):
        (path / name).mkdir(parents=True)
    lines = ["image,category"]
    for i in range(n):
        size = (40, 60) if i % 2 else (50, 44)
        pixels, mask = rng.integers(0, 256, (*size, 3)).astype(np.uint8), np.zeros(size, dtype=np.uint8)
        Image.fromarray(pixels).save(path / "images" / f"a{i}.png")
        mask[np.s_[:, 0] if i == 4 else np.s_[10 + i : 30, 10:25]] = 255  # one object that the crop cannot show
        Image.fromarray(mask).save(path / "masks" / f"a{i}.png")
        np.save(path / "heatmaps" / f"a{i}.npy", rng.random(size).astype(np.float32))
        lines.append(f"a{i}.png,{CLASSES[i % 3]}")
    (path / "labels.csv").write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def tiny(bench):
    ended = bench("register", "tiny", "--arch", "timm:test_resnet", "--weights", "random:0")
    assert ended.code == 0, ended.err
    return bench


def run(bench):
    ended = bench("run", "-m", "tiny", "-s", "saliency", "--batch-size", "4")
    assert ended.code == 0, ended.err
    return {(row.space, row.role, row.metric, row.condition): row for row in api.show(api.Selection(), "tiny")}


def test_a_folder_with_masks_has_a_board(tiny, tmp_path):
    made = folder(tmp_path / "photos")
    added = tiny("data", "add", "photos", made, "--layout", "masks")
    assert added.code == 0, added.err
    scores = run(tiny)
    headline = scores["imagenet1k", "natural-masked", "object_auc_excess", ""]
    assert (headline.n, headline.excluded) == (8, 1)
    assert headline.low < headline.value < headline.high
    assert scores["imagenet1k", "natural-masked", "sg_object_auc_excess", ""].value is not None
    assert scores["imagenet1k", "natural-masked", "object_auc", "reference: sobel"].value is not None
    (board,) = [board for board in api.rank(api.Selection(), "saliency") if board.space == "imagenet1k"]
    assert [row.observer for row in board.references] == [
        "tiny", "Sobel edges", "darkness", "blob in the middle", "noise", "chance",
    ]  # fmt: skip
    assert "photos" in board.sets[""]


def test_maps_of_clicks_alone_have_their_metric_and_the_headline_its_reason(tiny, tmp_path):
    made = folder(tmp_path / "clicks")
    assert tiny("data", "add", "clickme", made, "--layout", "clickme").code == 0
    scores = run(tiny)
    found = scores["imagenet1k", "clickme", "clickme_alignment", ""]
    assert (found.n, found.excluded) == (9, 0)
    assert -1 < found.low < found.value < found.high < 1
    headline = scores["imagenet1k", "", "object_auc_excess", ""]
    assert headline.value is None
    assert "bench data add" in headline.reason
