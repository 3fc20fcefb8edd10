"""Verification of made trees, each with one fault: every fault is named and makes the set unusable; parts do not."""

import re
import shutil
from itertools import product
from zlib import crc32

import pytest
from PIL import Image

from benchmark.failures import UnknownName
from benchmark.stimuli.catalogue import Entry, find_built_in
from benchmark.stimuli.datasets import open_set, sample
from benchmark.stimuli.verify import verify_set

WNIDS = ("n01440764", "n01443537", "n02102040")
CELLS = ("fog/1", "fog/2", "snow/1", "snow/2", "blur/1", "blur/2")


@pytest.fixture
def small(monkeypatch):
    """A catalogue with one set in cells: two corruptions and an extra one, two severities, 3 classes of 2 images."""
    published = Entry(name="small-c", role="small-c", space="imagenet1k", layout="cells", count=6, classes=3, size=8,
                      parts=("fog", "snow"), extra=("blur",), levels=("1", "2"))  # fmt: skip
    natural = Entry(name="natural", role="natural", space="imagenet1k", layout="class-folder", count=6, classes=3)
    known = {entry.name: entry for entry in (published, natural)}
    monkeypatch.setattr("benchmark.stimuli.catalogue._built_in", lambda: known)
    assert find_built_in("small-c") is published
    return published


@pytest.fixture
def tree(settings, draw, small):
    """The whole set in the data folder."""
    for cell, i in product(CELLS, range(6)):
        draw(settings.data / "small-c" / cell / WNIDS[i % 3] / f"val_{i}.png", seed=crc32(f"{cell} {i}".encode()))
    return settings.data / "small-c"


def rewrite(path, more=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8 + more)).save(path)


FAULTS = {
    "a file cut short": (lambda tree, one: one.write_bytes(one.read_bytes()[:60]),
                         r"fog/2: .*val_0.png cannot be read.*not a complete image"),
    "an empty file": (lambda tree, one: one.write_bytes(b""), r"fog/2: .*val_0.png: an empty file"),
    "another size": (lambda tree, one: rewrite(one, more=1),
                     r"fog/2: val_0.png: 8 x 9 px, expected 8 x 8"),
    "a file missing": (lambda tree, one: one.unlink(),
                       r"fog/2: other images than in most cells: n01440764/val_0.png$"),
    "a file too many": (lambda tree, one: shutil.copy(one, one.with_name("val_9.png")),
                        r"fog/2: other images than in most cells: n01440764/val_9.png$"),
    "a class missing": (lambda tree, one: shutil.rmtree(one.parent),
                        r"fog/2: other images than in most cells: n01440764/val_0.png, n01440764/val_3.png$"),
    "a class that is none": (lambda tree, one: rewrite(tree / "fog/2/goldfish/x.png"),
                             r"fog/2: classes in several spellings: 'goldfish' is n01443537, 'n01440764' is"),
    "a severity missing": (lambda tree, one: shutil.rmtree(tree / "fog/2"), r"fog: no severity 2"),
    "more images than published": (lambda tree, one: [rewrite(tree / c / "n01440764/x.png") for c in CELLS],
                                   r"7 images in a cell, more than were published \(6\)"),
    "classes that ImageNet-1k lacks": (
        lambda tree, one: [(tree / cell / "n01440764").rename(tree / cell / "n00000001") for cell in CELLS],
        r"not among the 1000 classes of ImageNet-1k: n00000001",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(tree, settings, fault):
    damage, message = FAULTS[fault]
    damage(tree, tree / "fog" / "2" / "n01440764" / "val_0.png")
    found = verify_set("small-c", settings)
    text = "\n".join(found.lines)
    assert not found.ok and re.search(message, text, re.MULTILINE), text
    assert "snow" not in text or not message.startswith("fog")


def test_a_part_of_the_set_is_usable_and_said(tree, settings):
    shutil.rmtree(tree / "snow")
    shutil.rmtree(tree / "blur")
    assert "a part of the set: without snow" in verify_set("small-c", settings).lines
    shutil.rmtree(tree / "fog" / "1")
    next((tree / "fog" / "2").rglob("val_0.png")).unlink()
    found = verify_set("small-c", settings)
    assert found.ok and "a part of the set: without snow, severity 1" in found.lines
    assert "5 of 6 images in 3 of 3 classes in most cells" in found.lines


def test_a_sample_of_a_large_set_is_read(tree, settings, monkeypatch):
    for name, value in (("READ_ALL", 10), ("CELL_SAMPLES", 12), ("FEWEST", 1), ("SAMPLE", 2)):
        monkeypatch.setattr(f"benchmark.stimuli.verify.{name}", value)
    counted = []
    found = verify_set("small-c", settings, expect=lambda n: counted.append(n) or (lambda: counted.append(1)))
    assert found.ok and "12 images were read, those of `--limit 2`; --full reads every one" in found.lines
    assert counted == [12] + 12 * [1]
    broken = next((tree / "fog" / "1").rglob("val_5.png"))
    broken.write_bytes(broken.read_bytes()[:60])
    assert verify_set("small-c", settings).ok  # not among those read
    assert not verify_set("small-c", settings, full=True).ok
    broken.write_bytes(b"")  # an empty file is seen whatever the sample
    assert not verify_set("small-c", settings).ok


def test_a_large_set_of_classes(tree, settings, monkeypatch):
    (tree / "fog" / "1").rename(tree.with_name("natural"))
    found = verify_set("natural", settings)
    whole = open_set("natural", settings)
    assert found.ok and {f"digest {whole.digest}", "6 of 6 images", "3 of 3 classes"} <= {*found.lines}
    monkeypatch.setattr("benchmark.stimuli.verify.READ_ALL", 3)
    monkeypatch.setattr("benchmark.stimuli.verify.SAMPLE", 2)
    found = verify_set("natural", settings)
    assert f"digest {sample(whole, 2).digest} of the 2 that were read" in found.lines
    rewrite(tree.with_name("natural") / "n02106662" / "x.png")
    found = verify_set("natural", settings)
    assert not found.ok and "4 classes, expected 3" in found.lines
    assert any("more images than were published (6)" in line for line in found.lines)


def test_a_set_of_the_built_in_world_has_no_files(settings):
    found = verify_set("world-natural", settings)
    assert found.lines[0] == "480 images, drawn by gestaltbench when they are shown: there are no files to verify"
    assert found.ok and found.lines[1].startswith("digest b7dda0b22600fc83")
    with pytest.raises(UnknownName, match="Did you mean: world-natural"):
        verify_set("world-naturals", settings)


def test_the_report_of_the_command(tree, settings, monkeypatch, bench):
    monkeypatch.setenv("BENCH_DATA", str(settings.data))
    good = bench("data", "verify", "small-c")
    assert good.code == 0 and "usable" in good.out
    shutil.rmtree(tree / "fog" / "2")
    bad = bench("data", "verify", "small-c")
    assert bad.code == 1 and "fog: no severity 2" in bad.out and "BROKEN" in bad.out
