"""Verification of made trees, each with one fault: every fault is named and makes the set unusable; parts do not."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import pytest
from PIL import Image

from benchmark.errors import MissingStimuli, StimuliError
from benchmark.settings import Settings
from benchmark.stimuli import catalogue
from benchmark.stimuli.catalogue import Entry, find_built_in
from benchmark.stimuli.datasets import open_set, sample
from benchmark.stimuli.fetch import add
from benchmark.stimuli.verify import Depth, Verification, verify

Draw = Callable[..., Path]
WNIDS = ("n01440764", "n01443537", "n02102040")
CELLS = ("fog/1", "fog/2", "snow/1", "snow/2", "blur/1", "blur/2")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Entry:
    """A catalogue with one set in cells: two corruptions and an extra one, two severities, 3 classes of 2 images."""
    published = Entry("small-c", "small-c", "imagenet1k", "cells", count=6, classes=3, size=8,
                      parts=("fog", "snow"), extra=("blur",), levels=("1", "2"))  # fmt: skip
    natural = Entry("natural", "natural", "imagenet1k", "class-folder", count=6, classes=3)
    known = {entry.name: entry for entry in (published, natural)}
    monkeypatch.setattr(catalogue, "_built_in", lambda: known)
    assert find_built_in("small-c") is published
    return published


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, draw: Draw) -> Path:
    """The whole set."""
    folder = tmp_path_factory.mktemp("drawn")
    for cell in CELLS:
        for i in range(6):
            path = folder / cell / WNIDS[i % 3] / f"val_{i}.png"
            draw(path, seed=crc32(f"{cell} {i}".encode()))
    return folder


@pytest.fixture
def tree(settings: Settings, drawn: Path, small: Entry) -> Path:
    """The whole set in the data folder."""
    assert settings.data is not None
    return Path(shutil.copytree(drawn, settings.data / "small-c"))


def text(found: Verification) -> str:
    return "\n".join(found.lines)


def test_a_whole_set_is_usable(tree: Path, settings: Settings) -> None:
    found = verify("small-c", settings)
    assert found.ok, text(found)
    assert "6 cells: 3 corruptions, severities 1, 2" in found.lines
    assert "6 of 6 images in 3 of 3 classes in most cells" in found.lines
    assert "36 images were read" in found.lines and "part" not in text(found)


def rewrite(path: Path, **change: int) -> None:
    size = change.get("size", 8)
    Image.new("RGB", (size, size + change.get("more", 0))).save(path)


FAULTS = {
    "a file cut short": (
        lambda tree, one: one.write_bytes(one.read_bytes()[:60]),
        r"fog/2: .*val_0.png cannot be read.*not a complete image",
    ),
    "an empty file": (lambda tree, one: one.write_bytes(b""), r"fog/2: .*val_0.png: an empty file"),
    "no image at all": (lambda tree, one: one.write_text("<html>"), r"val_0.png cannot be read.*not a complete"),
    "another size": (
        lambda tree, one: rewrite(one, more=1),
        r"fog/2: 1 of 6 images that were read are 8 x 9 px, expected 8 x 8 \(such as .*val_0.png",
    ),
    "a file missing": (
        lambda tree, one: one.unlink(),
        r"fog/2: 1 images missing that most cells have \(n01440764/val_0.png\)",
    ),
    "a file too many": (
        lambda tree, one: shutil.copy(one, one.with_name("val_9.png")),
        r"fog/2: 1 images that most cells do not have \(n01440764/val_9.png\)",
    ),
    "a class missing": (
        lambda tree, one: shutil.rmtree(one.parent),
        r"fog/2: 2 classes, most cells have 3 \(differing: n01440764\)",
    ),
    "a class too many": (
        lambda tree, one: rewrite(made(tree / "fog/2/n02106662/x.png")),
        r"fog/2: 4 classes, most cells have 3 \(differing: n02106662\)",
    ),
    "a class that is none": (
        lambda tree, one: rewrite(made(tree / "fog/2/goldfish/x.png")),
        r"fog/2: .*'goldfish' is not a WordNet id",
    ),
    "a severity missing": (
        lambda tree, one: shutil.rmtree(tree / "fog/2"),
        r"fog: no severity 2",
    ),
    "an empty cell": (
        lambda tree, one: [shutil.rmtree(place) for place in (tree / "fog/2").iterdir()],
        r"fog/2: .*no images of layout",
    ),
    "the same cell under two names": (
        lambda tree, one: (shutil.rmtree(tree / "fog/2"), shutil.copytree(tree / "fog/1", tree / "fog/2")),
        r"fog/1: the same images as in fog/2",
    ),
    "more classes than published": (
        lambda tree, one: [rewrite(made(tree / cell / "n02106662/x.png"), more=i) for i, cell in enumerate(CELLS)],
        r"4 classes, expected 3",
    ),
    "more images than published": (
        lambda tree, one: [rewrite(made(tree / cell / "n01440764/x.png")) for cell in CELLS],
        r"7 images in a cell, more than were published \(6\)",
    ),
    "classes that ImageNet-1k lacks": (
        lambda tree, one: [(tree / cell / "n01440764").rename(tree / cell / "n00000001") for cell in CELLS],
        r"not among the 1000 classes of ImageNet-1k: n00000001",
    ),
}  # fmt: skip


def made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(tree: Path, settings: Settings, fault: str) -> None:
    import re

    damage, message = FAULTS[fault]
    damage(tree, tree / "fog" / "2" / "n01440764" / "val_0.png")
    found = verify("small-c", settings)
    assert not found.ok
    assert re.search(message, text(found)), text(found)
    assert "snow" not in text(found) or not message.startswith("fog")


def test_many_faults_of_one_kind_are_counted(tree: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.stimuli.verify.SHOWN", 2)
    for path in (tree / "fog" / "1").rglob("*.png"):
        path.write_bytes(b"")
    found = verify("small-c", settings)
    assert text(found).count("an empty file") == 2
    assert "fog/1: ... and 4 more of this kind" in found.lines


def test_a_part_of_the_set_is_usable_and_said(tree: Path, settings: Settings) -> None:
    shutil.rmtree(tree / "snow")
    shutil.rmtree(tree / "blur")
    found = verify("small-c", settings)
    assert found.ok and "a part of the set: without snow" in found.lines
    assert "not here, and in no published mean: blur" in found.lines
    shutil.rmtree(tree / "fog" / "1")
    found = verify("small-c", settings)
    assert found.ok and "a part of the set: without severity 1" in found.lines
    next((tree / "fog" / "2").rglob("val_0.png")).unlink()
    found = verify("small-c", settings)
    assert found.ok and "a part of the set: 5 of 6 images" in found.lines


def test_what_a_user_put_there_is_said(tree: Path, settings: Settings, draw: Draw) -> None:
    shutil.copytree(tree / "fog" / "1", tree / "smog" / "7")
    for i, path in enumerate((tree / "smog" / "7").rglob("*.png")):
        draw(path, seed=900 + i)
    found = verify("small-c", settings)
    assert found.ok and "not of the published set: smog/7" in found.lines


def test_a_sample_of_a_large_set_is_read(tree: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.stimuli.verify.READ_ALL", 10)
    counted: list[int] = []

    def expect(total: int) -> Callable[[], None]:
        counted.append(total)
        return lambda: counted.append(1)

    found = verify("small-c", settings, Depth(2, expect=expect))
    assert found.ok and "12 images were read, evenly spaced; --full reads every one" in found.lines
    assert counted == [12] + 12 * [1]
    broken = next((tree / "fog" / "1").rglob("val_5.png"))
    broken.write_bytes(broken.read_bytes()[:60])
    assert verify("small-c", settings, Depth(2)).ok  # not among those read
    assert not verify("small-c", settings, Depth(full=True)).ok
    broken.write_bytes(b"")  # an empty file is seen whatever the sample
    assert not verify("small-c", settings, Depth(2)).ok


def test_a_large_set_of_classes(tree: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "fog" / "1").rename(tree.with_name("natural"))
    found = verify("natural", settings)
    whole = open_set("natural", settings)
    assert found.ok and f"digest {whole.digest}" in found.lines
    assert "6 of 6 images" in found.lines and "3 of 3 classes; 8 x 8 px" in found.lines
    monkeypatch.setattr("benchmark.stimuli.verify.READ_ALL", 3)
    found = verify("natural", settings, Depth(2))
    assert f"digest {sample(whole, 2).digest} of the 2 that were read" in found.lines
    extra = tree.with_name("natural") / "n02106662" / "x.png"
    shutil.copytree(extra.parents[1] / WNIDS[0], extra.parent)
    for path in extra.parent.iterdir():
        path.rename(path.with_name(f"more_{path.name}"))
    found = verify("natural", settings)
    assert not found.ok and "4 classes, expected 3" in found.lines
    assert any("more images than were published (6)" in line for line in found.lines)


def test_a_cell_in_two_places_and_an_absent_set_are_errors(tree: Path, settings: Settings) -> None:
    shutil.copytree(tree / "fog", tree / "weather" / "fog")
    with pytest.raises(StimuliError, match=r"both the cell 'fog/1'"):
        verify("small-c", settings)
    with pytest.raises(MissingStimuli, match="bench data add small-c"):
        verify("small-c", replace(settings, data=None))


def test_tiny_frost_with_the_classes_of_another_set(settings: Settings, draw: Draw, tmp_path: Path) -> None:
    """Tiny ImageNet-C was published with 1000 classes in one corruption and 200 in the others."""
    from registry.labels import label_space

    wnids = label_space("imagenet1k").classes
    for corruption, classes in (("frost", wnids[:30]), ("fog", wnids[:6]), ("snow", wnids[:6])):
        for i, wnid in enumerate(classes):
            draw(tmp_path / "tiny" / corruption / "1" / wnid / f"{i}.png", seed=crc32(f"{corruption}{i}".encode()))
    add("tiny-c", tmp_path / "tiny", settings)
    found = verify("tiny-c", settings)
    assert not found.ok
    assert any(line.startswith("frost/1: 30 classes, most cells have 6") for line in found.lines)


def test_the_report_of_the_command(tree: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from benchmark.cli.data import data

    monkeypatch.setenv("BENCH_DATA", str(settings.data))
    monkeypatch.setenv("BENCH_HOME", str(settings.home))
    good = CliRunner().invoke(data, ["verify", "small-c"], standalone_mode=False)
    assert good.return_value == 0 and "usable" in good.output
    shutil.rmtree(tree / "fog" / "2")
    bad = CliRunner().invoke(data, ["verify", "small-c", "--sample", "3"], standalone_mode=False)
    assert bad.return_value == 1 and "fog: no severity 2" in bad.output and "BROKEN" in bad.output
