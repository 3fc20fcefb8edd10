"""Stimuli made again: names from the trials, pixels from the photographs, a digest of their own."""

import numpy as np

from benchmark.contracts import Stimuli, Trials
from benchmark.stimuli.regenerate import cropped, regenerate, write_set

NAMES = ("n02134084_5274", "n02690373_12984", "n03041632_7380")


def picture(index):
    return np.random.default_rng(index).integers(0, 256, (260 + index, 300, 3)).astype(np.uint8)


def source(names=NAMES, item="content"):
    return Stimuli(
        name="imagenet-train",
        digest="x",
        space="imagenet1k",
        ids=tuple(f"{name}.JPEG" for name in names),
        items=tuple(f"{item}-{name}" for name in names),
        labels={"category": np.array([name[:9] for name in names])},
        decode=picture,
    )


def trials(role="contrast", conditions=("c50", "c05", "c100"), names=NAMES, suffix=".png"):
    n = len(names)
    return Trials(
        {
            "role": np.full(n, role),
            "condition": np.array(conditions),
            "stimulus": np.array([f"{c}/{name}{suffix}" for c, name in zip(conditions, names, strict=True)]),
            "category": np.array(["bear", "airplane", "knife"][:n]),
            "response": np.full(n, "cat"),
        }
    )


def test_pixels_are_the_degradation_of_the_photograph():
    made = regenerate("contrast", trials(), source())
    for i, (level, at) in enumerate([(0.05, 1), (1.0, 2), (0.5, 0)]):
        image = made.decode(i)
        assert image.shape == (224, 224, 3) and image.dtype == np.uint8
        grey = cropped(picture(at)) @ np.array([0.2125, 0.7154, 0.0721])
        expected = (1 - level) / 2 * 255 + level * grey
        assert np.abs(image[..., 0] - expected).max() < 1.01


def test_a_written_set_is_read_as_the_same_pixels(tmp_path):
    from benchmark.settings import Settings
    from benchmark.stimuli.catalogue import Entry
    from benchmark.stimuli.datasets import open_folder

    made = regenerate("high-pass", trials("high-pass", ("0.4", "inf", "1.5")), source())
    write_set(made, tmp_path / "set")
    entry = Entry("mine", "high-pass", "geirhos16", "labels-csv", folder=str(tmp_path / "set"))
    settings = Settings(home=tmp_path, db="", mirror=None, data=None)
    found = open_folder(entry, tmp_path / "set", settings)
    assert sorted(found.ids) == sorted(made.ids)
    at = {name: i for i, name in enumerate(found.ids)}
    for i, name in enumerate(made.ids):
        assert np.array_equal(found.decode(at[name]), made.decode(i))
        assert found.labels["condition"][at[name]] == made.labels["condition"][i]
    assert set(found.labels["made"]) == {"regenerated"}
