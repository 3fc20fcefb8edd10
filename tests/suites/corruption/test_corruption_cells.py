"""Cells told from names; the lists against the tables of the code; what training showed."""

import pytest

from suites.corruption.cells import cells_of, seen_conditions


def test_the_list_that_has_all_levels_is_meant():
    """ "contrast" is in all three, with levels of its own; so is "uniform-noise" in two."""
    (digital,) = {c.family for c in cells_of(["contrast/3", "contrast/5"])}
    assert digital == "digital"
    human = cells_of(["contrast/c05", "contrast/c100", "contrast/c30"])
    assert [(c.condition[9:], c.plain) for c in human] == [("c100", True), ("c30", False), ("c05", False)]
    for name, levels in (("uniform-noise", ("0.05", "0.1", "0.2", "0.35")), ("low-pass", ("0.7", "1", "1.5"))):
        ordered = [f"{name}/{level}" for level in levels]
        assert [c.condition for c in cells_of(ordered[::-1])] == ordered
    # unknown corruptions of folders are read from their names
    found = cells_of(["sparkles/10", "sparkles/2", "blue_noise_sample/5", "clean"])
    assert [c.condition for c in found] == ["blue_noise_sample/5", "sparkles/2", "sparkles/10"]
    assert {c.family for c in found} == {""}


SHOWN = (
    "clean", "salt-and-pepper/0.1", "uniform-noise/0.1", "impulse_noise/1", "gaussian_noise/1", "gaussian_noise/5",
    "shot_noise/1", "contrast/0.5", "low-pass/1", "colour/bw", "colour/cr", "rotation/90", "fog/1",
    "phase-scrambling/90", "speckle_noise/2", "stylised/1",
)  # fmt: skip
NOISES = SHOWN[1:7]


GAUSSIAN = ("gaussian_noise/1", "gaussian_noise/5")


@pytest.mark.parametrize(("tags", "expected"), [
    (("augmix", "colour", "deepaugment"), ()), (("noise(", ")(", ""), ()), ((), ()),
    (("noise(salt-and-pepper)",), ("salt-and-pepper/0.1", "impulse_noise/1")),
    (("noise(gaussian)", "standard"), GAUSSIAN), (("noise(gaussian, shot)",), (*GAUSSIAN, "shot_noise/1")),
    (("greyscale",), ("colour/bw",)), (("low-pass", "Rotation"), ("low-pass/1", "rotation/90")),
    (("stylised",), ("stylised/1",)), (("corruption(fog)",), ("fog/1",)), (("corruption(weather)",), ("fog/1",)),
    (("corruption(gaussian_noise/5)",), ("gaussian_noise/5",)),
    (("corruption(gaussian-noise/5, FOG)",), ("gaussian_noise/5", "fog/1")),
    (("corruption(common)",), (*GAUSSIAN, "impulse_noise/1", "shot_noise/1", "fog/1", "contrast/0.5")),
    (("noise",), NOISES), (("corruption(noise)",), NOISES),
], ids=str)  # fmt: skip
def test_tags_name_what_was_seen(tags, expected):
    assert seen_conditions(tags, SHOWN) == set(expected)
