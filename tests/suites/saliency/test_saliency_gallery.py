"""The gradient figure: exact rendering, stimuli by a rule, the command from end to end."""

import base64
import io
import json
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from benchmark.failures import BenchError, UnknownName
from benchmark.testing import toy_stimuli
from gestaltbench.map_gallery import TILE, gallery_command, tiles
from suites.saliency.pictures import chosen_stimuli, map_picture


def test_three_deviations_are_the_whole_range_and_grey_is_up_to_the_99th_percentile():
    values = np.random.default_rng(0).standard_normal((3, 40, 40))
    values[0, 0, 0], values[2, 5, 7] = 1e3, -1e3
    mean, deviation = values.mean(), values.std()
    picture = map_picture(values)
    assert (picture.shape, picture[0, 0, 0], picture[5, 7, 2]) == ((40, 40, 3), 255, 0)
    expected = 255 * (values[1, 3, 4] - mean + 3 * deviation) / (6 * deviation)
    assert picture[3, 4, 1] == round(expected)
    picture = map_picture(np.arange(101.0).reshape(1, 101))
    assert picture.shape == (1, 101, 3) and (picture == picture[..., :1]).all()
    assert picture[0, [0, 33, 66, 99, 100], 0].tolist() == [0, 85, 170, 255, 255]
    assert (map_picture(np.zeros((2, 2))) == 0).all() and (map_picture(np.array([[np.nan, 1.0]])) == 0).all()


def test_stimuli_are_the_first_of_evenly_spaced_categories():
    stimuli = toy_stimuli("cue-conflict")
    categories = stimuli.labels["category"]
    index = chosen_stimuli(stimuli, 4)
    assert [str(categories[i]) for i in index] == ["airplane", "boat", "chair", "keyboard"]
    assert index == (0, 4, 8, 12)
    assert len(chosen_stimuli(stimuli, 99)) == 16


def pictures(path):
    """The tiles of a gallery that was written as SVG, row by row, and its texts."""
    elements = list(ElementTree.parse(path).iter())
    raster = [base64.b64decode(e.get("href").partition(",")[2]) for e in elements if e.get("href")]
    return [np.asarray(Image.open(io.BytesIO(one))) for one in raster], [e.text for e in elements if e.text]


def test_a_gallery_has_every_tile_enlarged_by_a_whole_number_and_its_words_as_text(tmp_path):
    small = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    large = ("world-salt-and-pepper-0", (np.zeros((300, 150, 3), dtype=np.uint8),), ("says elephant (0.98)",))
    (tmp_path / "a.svg").write_text(tiles([("a", (small, small), ("x", "<y>")), large]))
    raster, texts = pictures(tmp_path / "a.svg")
    np.testing.assert_array_equal(raster[0], small.repeat(4, 0).repeat(4, 1))
    assert raster[2].shape == (300, 150, 3)
    assert texts == ["a", "x", "<y>", "world-salt-and-", "pepper-0", "says elephant", "(0.98)"]
    assert float(ElementTree.parse(tmp_path / "a.svg").getroot().get("height")) > 2 * TILE


def run(*words):
    return gallery_command.main(list(words), standalone_mode=False)


@pytest.mark.slow
def test_the_command_draws_one_row_a_model(tmp_path):
    first, again = tmp_path / "first.svg", tmp_path / "again.svg"
    for out in (first, again):
        names = "world-standard-0,world-adversarial-0"
        assert run("--models", names, "--out", str(out), "--count", "2", "--random") == 0
    raster, texts = pictures(first)
    assert len(raster) == 4 * 2 and "random weights" in texts and again.read_bytes() == first.read_bytes()


@pytest.mark.parametrize(("words", "error", "said"), [
    (("-m", "ideal-shape"), BenchError, "no gradients"),
    (("-m", "world-standard-0,efficientnet-lite0"), BenchError, "label space"),
    (("-m", "world-standard-0", "--map", "integrated-gradient"), UnknownName, "integrated-gradients"),
])  # fmt: skip
def test_what_cannot_be_drawn_is_a_plain_message(words, error, said, tmp_path):
    with pytest.raises(error, match=said):
        run(*words, "-o", str(tmp_path / "x.png"))


@pytest.mark.slow
def test_a_small_strip_of_each_model_is_kept_for_reports(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    run("--models", "world-standard-0", "--out", str(tmp_path / "a.svg"), "--count", "3")
    folder = tmp_path / "home" / "thumbnails" / "world-natural"
    assert sorted(path.name for path in folder.iterdir()) == ["_masks.png", "_stimuli.png", "world-standard-0.png"]
    from benchmark import api

    raster, _ = pictures(tmp_path / "a.svg")
    with Image.open(folder / "world-standard-0.png") as image:
        assert image.size == (3 * 64, 64)
        assert image.text["identity"] == api.load_model("world-standard-0").identity
        assert len(json.loads(image.text["captions"])) == 3
        np.testing.assert_array_equal(np.asarray(image)[:, :64], raster[3][::4, ::4])
    with Image.open(folder / "_stimuli.png") as image, Image.open(folder / "_masks.png") as masks:
        assert json.loads(image.text["captions"]) == ["airplane", "bottle", "dog"]
        assert masks.size == image.size and set(np.unique(np.asarray(masks))) == {0, 255}
        assert masks.mode == "RGB"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["integrated-gradients", "grad-cam"])
def test_other_maps_are_pictures_that_say_so(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    out = str(tmp_path / "a.svg")
    words = ("--models", "world-standard-0", "--out", out, "--count", "2", "--map", kind, "--column", "single")
    assert run(*words) == 0 and ElementTree.parse(out).getroot().get("width") == "240.9pt"
    assert "not a score" in capsys.readouterr().out
    assert not (tmp_path / "home" / "thumbnails").exists()
    assert len(np.unique(pictures(out)[0][-1])) > 50
