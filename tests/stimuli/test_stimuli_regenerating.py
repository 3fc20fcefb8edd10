"""`bench data regenerate` with a handful of photographs in the layout of ImageNet."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from set_checks import missing, write

from benchmark.cli.data import data
from benchmark.failures import UnknownName
from benchmark.stimuli.regenerate import cropped, make_set
from benchmark.stimuli.resolver import Resolver
from benchmark.variables import read_settings

HEADER = "subj,session,trial,rt,object_response,category,condition,imagename"
SHOWN = [("c50", "bear", "n02134084_5274"), ("c05", "airplane", "n02690373_12984"), ("c100", "knife", "n03041632_7380")]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Settings of a data folder with two people's trials of three images and the photographs of those."""
    folder = tmp_path / "data"
    monkeypatch.setenv("BENCH_DATA", str(folder))
    for who in (1, 2):
        rows = [
            f"subject-0{who},1,{i},0.5,cat,{category},{condition},{i:04d}_cop_s0{who}_{condition}_{category}_10_{name}.png"
            for i, (condition, category, name) in enumerate(SHOWN)
        ]
        table = folder / "human-trials" / "contrast" / f"contrast_subject-0{who}_session_1.csv"
        write(table, "\n".join([HEADER, *rows]))
    for i, (_, _, name) in enumerate(SHOWN):
        path = folder / "imagenet-train" / name[:9] / f"{name}.JPEG"
        path.parent.mkdir(parents=True)
        photograph(i).save(path)
    return read_settings()


def photograph(seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (280, 300, 3), dtype=np.uint8))


def make(settings, **options):
    said = []
    return make_set("contrast", settings, said.append, **options), said


def test_the_command_puts_the_set_on_the_shelf(here):
    result = CliRunner().invoke(data, ["regenerate", "contrast"], catch_exceptions=False, standalone_mode=False)
    assert "regenerated-contrast: 3 images at" in result.output
    found = Resolver("geirhos16", here).find("contrast")
    assert found.name == "regenerated-contrast" and (len(found), found.whole) == (3, 3)
    assert sorted(found.ids) == sorted(f"{c}/{name}.png" for c, _, name in SHOWN)
    assert set(found.labels["made"]) == {"regenerated"}
    for i, (level, seed) in enumerate([(0.05, 1), (0.5, 0), (1.0, 2)]):  # by category
        image = found.decode(i)
        photograph(seed).save(there := here.home / "again.JPEG")
        grey = cropped(np.asarray(Image.open(there))) @ np.array([0.2125, 0.7154, 0.0721])
        assert image.shape == (224, 224, 3) and image.dtype == np.uint8
        assert np.abs(image[..., 0] - ((1 - level) / 2 * 255 + level * grey)).max() < 1.01


def test_made_once_and_goes_on_after_an_interruption(here, monkeypatch):
    from benchmark.stimuli import regenerate

    whole, calls = regenerate.degraded, []

    def interrupted(image, digest, step):
        calls.append(step.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(image, digest, step)

    monkeypatch.setattr(regenerate, "degraded", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(here)
    assert not (here.stimuli / "regenerated-contrast").exists()
    make(here)
    names = [f"contrast/{name}" for name in ("c50", "c05", "c05", "c100")]
    assert calls == names
    _, said = make(here)
    assert calls == names and "regenerated-contrast: already there" in said
    assert [place.name for place in here.stimuli.iterdir()] == ["regenerated-contrast"]


def test_what_is_absent_is_named(here):
    with pytest.raises(UnknownName, match="contrast"):
        make_set("contrasts", here, print)
    missing(r"no table of trials of 'rotation'", make_set, "rotation", here, print)
    (here.data / "imagenet-train").rename(here.data / "elsewhere")
    missing(r"bench data add imagenet-train FOLDER", make, here)
    (here.data / "human-trials").rename(here.data / "away")
    missing(r"bench data fetch human-trials", make, here)
