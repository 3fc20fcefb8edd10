"""Labelled photographs in the layouts in which laboratories keep them are the same set as in class folders."""

import json
import shutil

import numpy as np
import pytest
from set_checks import opened, refused

from benchmark.stimuli.catalogue import find_entry
from benchmark.stimuli.datasets import open_folder
from benchmark.stimuli.fetch import add_folder
from benchmark.stimuli.verify import verify_set
from registry.labels import label_space, match_name, subset_groups

WNIDS, WORDS = label_space("imagenet1k").classes, label_space("imagenet1k").words
#: Outputs of six images: their sorted numbers as text (100 before 2) are in another order than as numbers.
OUTPUTS = (2, 100, 2, 0, 999, 65)
NAMES = [f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(1, 7)]
PAIRS = tuple(zip(NAMES, OUTPUTS, strict=True))


@pytest.fixture
def build(tmp_path, draw):
    """build(folder, places): the six images as PNG bytes under the published names, each in its place below it."""

    def make(folder, places, names=NAMES):
        for i, (place, name) in enumerate(zip(places, names, strict=True)):
            draw(tmp_path / "drawn.png", seed=i)
            (tmp_path / folder / place).mkdir(parents=True, exist_ok=True)
            shutil.move(tmp_path / "drawn.png", tmp_path / folder / place / name)
        return tmp_path / folder

    return make


@pytest.fixture
def published(build, settings):
    """The six in class folders of WordNet ids."""
    return open_folder(find_entry("imagenet-val", settings), build("wnids", [WNIDS[i] for i in OUTPUTS]), settings)


def kaggle(folder, *rows, header="ImageId,PredictionString"):
    rows = rows or [f"{name[:-5]},{WNIDS[i]} 111 108 230 366 {WNIDS[i]} 1 2 3 4 " for name, i in PAIRS]
    (folder / "LOC_val_solution.csv").write_text("\n".join([header, *reversed(rows)]))
    return folder


def same(settings, folder, published, name="imagenet-val"):
    stimuli = opened(name, folder, settings, report=(told := []).append)
    assert (stimuli.digest, stimuli.ids) == (published.digest, published.ids)
    assert np.array_equal(stimuli.decode(3), published.decode(3))
    return told


FOLDERS = {
    "numbers": [str(i) for i in OUTPUTS],
    "padded numbers": [f"{i:03d}" for i in OUTPUTS],
    "names": [WORDS[i].replace(" ", "_") for i in OUTPUTS],
    "first words": [WORDS[i].partition(",")[0] for i in OUTPUTS],
    "super-classes": [f"things/kind {i % 3}/{WNIDS[i]}" for i in OUTPUTS],
    "super-classes with WordNet ids": [f"n02084071/{WNIDS[i]}" for i in OUTPUTS],
    "below an archive's top": [f"imagenetv2-matched-frequency-format-val/{i}" for i in OUTPUTS],
    "WordNet ids with words": [f"{WNIDS[i]}_{WORDS[i].partition(',')[0].replace(' ', '_')}" for i in OUTPUTS],
    "parts of a class": [f"{WNIDS[i]}/{7 + at % 2}" for at, i in enumerate(OUTPUTS)],
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_class_folders_in_any_spelling_are_one_set(kind, build, settings, published):
    told = same(settings, build("other", FOLDERS[kind]), published)
    read = {"numbers": "numbers of classes", "names": "names of classes"}.get(kind)
    assert read is None or [line for line in told if line.startswith(f"read as {read}: '")]


#: Where the images are; the list's name and rows.
LISTS = {
    "val.txt": ("", "val.txt", [f"{name} {i}" for name, i in PAIRS]),
    "val.txt above": ("val", "val.txt", [f"val/{name} {WNIDS[i]}" for name, i in PAIRS]),
    "val_map.txt without suffixes": ("val", "val_map.txt", [f"{name[:-5]}\t{i}" for name, i in PAIRS]),
    "csv": ("img", "x.csv", ["file,klass,conf", *(f'.\\img\\{name},"{WORDS[i]}",.5' for name, i in PAIRS)]),
    "tsv of another machine": ("", "x.tsv", [f"/data/lists/{name}\t{WNIDS[i]}" for name, i in PAIRS]),
    "jsonl": ("img", "m.jsonl", [json.dumps({"file_name": name, "label": WNIDS[i]}) for name, i in PAIRS]),
}


@pytest.mark.parametrize("name", ["imagenet-val", "mine"])
@pytest.mark.parametrize("kind", LISTS)
def test_lists_of_images_are_the_same_set(kind, name, build, settings, published):
    place, file, rows = LISTS[kind]
    folder = build("lists", [place] * 6)
    (folder / "README.txt").write_text("ILSVRC images\n")
    (folder / file).write_text("\n".join(rows), encoding="utf-16" if kind == "csv" else None)
    columns = {"label": "klass"} if kind == "csv" else {}
    told, numbers = [], name == "mine" and kind.startswith("val") and "above" not in kind
    if kind == "csv":
        line = rf"klass, conf could each be .*`bench data add {name} {folder} --columns label=klass`"
        refused(line, add_folder, name, folder, settings)
    space = "imagenet1k" if numbers else None
    stimuli = opened(name, folder, settings, columns=columns, report=told.append, space=space)
    assert (stimuli.digest, stimuli.ids, stimuli.space) == (published.digest, published.ids, "imagenet1k")
    assert told[0].startswith(f"classes from {folder / file}, columns ")
    if place:
        inner = opened("inner", folder / file, settings, columns=columns, space="imagenet1k")
        assert inner.digest == published.digest


#: Rows of list.csv beside a.png, b/b.png and c/b.png; options; the end of the error, or of the last note.
ROWS = {
    "out of the folder": (["../../etc/passwd.png,x", "a.png,x"], {}, "is not there: '../../etc/passwd.png' in row 1"),
    "two of one name": (["b.png,x", "a.png,y"], {}, "row 1: 'b.png' fits b/b.png, c/b.png. Name their folders"),
    "two labels": (["a.png,x", "a.png,y"], {}, "row 2: 'a.png' is 'y' here and 'x' in .*row 1"),
    "no label": (["a.png,", "b/b.png,x"], {}, "row 1: the image 'a.png' has no label"),
    "an escape": (["a.png,\x1b[2J", "b/b.png,x"], {}, r"row 1: .*holds a control character"),
    "a NUL": (["a.png,\0"], {"layout": None}, "neither|holds a NUL|folders"),
    "a formula": (["a.png,=cmd|'/c'!A0", "b/b.png,=1+1", "c/b.png,x"], {}, "columns 1 and 2"),
    "label columns": (["image,label,category", "a.png,x,1", "b/b.png,y,1"], {}, "--columns label=label`"),
    "image columns": (["image,file,y", "a.png,b/b.png,x"], {}, "image, file could .*--columns image=image`"),
    "no such column": (["image,y", "a.png,x"], {"columns": {"label": "z"}}, "no column 'z'; it has: image, y"),
    "no such list": (["u,v"], {"columns": {"label": "u"}}, "no list of the images"),
}


@pytest.mark.parametrize("kind", ROWS)
def test_lists_with_faults(kind, tmp_path, draw, settings):
    rows, options, message = ROWS[kind]
    for i, place in enumerate(("a.png", "b/b.png", "c/b.png")):
        draw(tmp_path / "f" / place, seed=i)
    (tmp_path / "f" / "list.csv").write_text("\n".join(rows))
    place = tmp_path / "f" if "columns" in options else tmp_path / "f" / "list.csv"
    if kind in ("out of the folder", "a formula"):
        add_folder("x", place, settings, space="own", report=(told := []).append)
        assert any(line.endswith(message) for line in told)
    else:
        refused(message, add_folder, "x", place, settings, space="own", **options)


def test_folders_and_lists_that_disagree_are_not_guessed(tmp_path, draw, settings):
    for i, name in enumerate("ab"):
        draw(tmp_path / "f" / name / f"{i}.png", seed=i)
    (tmp_path / "f" / "list.csv").write_text("image,label\n0.png,a\n1.png,b\n")
    assert add_folder("same", tmp_path / "f", settings, space="own").table == ""
    (tmp_path / "f" / "list.csv").write_text("image,label\n0.png,x\n1.png,y\n")
    listed = opened("x", tmp_path / "f" / "list.csv", settings, space="own")
    classes = opened("x", tmp_path / "f", settings, space="own", layout="class-folder")
    assert [x.labels["category"].tolist() for x in (listed, classes)] == [["x", "y"], ["a", "b"]]
    shutil.copy(tmp_path / "f" / "list.csv", tmp_path / "f" / "other.csv")
    several = r"several lists of its images: list.csv, other.csv.*f/other.csv`"
    refused(several, add_folder, "x", tmp_path / "f", settings, columns={"label": "label"})
    (tmp_path / "f" / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    refused(r"a/gone.png: a broken link, to .*nowhere.png", add_folder, "x", tmp_path / "f", settings, space="own")


@pytest.mark.parametrize("place", ["", "val", "ILSVRC/Data/CLS-LOC/val"])
def test_the_flat_validation_set_beside_its_labels(place, build, settings, published):
    root = kaggle(build("flat", [place] * 6))
    (told,) = same(settings, root / "val" if place == "val" else root, published)
    assert told.startswith(f"classes from {root}")
    lines = verify_set("imagenet-val", settings).lines
    assert "6 of 50000 images: a part of the set" in lines


@pytest.mark.slow
def test_what_a_space_can_be_told_from(build, settings):
    every = build("every", [str(i) for i in range(1000)], [f"{i}.png" for i in range(1000)])
    assert add_folder("v2-like", every, settings).space == "imagenet1k"
    few = build("few", ["7", "8"], ["a.png", "b.png"])
    refused("give --space NAME", add_folder, "digits", few, settings)
    assert add_folder("digits", few, settings, space="my-digits").space == "my-digits"
    pets = build("pets", ["tabby cat", "beagle"], ["a.png", "b.png"])
    assert add_folder("pets", pets, settings).space == "imagenet1k"
    kinds = build("kinds", ["dog/terriers", "dog", "cat/big"], ["a.png", "b.png", "c.png"])
    for space in ("geirhos16", "my-own"):
        assert opened("x", kinds, settings, space=space).labels["category"].tolist() == ["cat", "dog", "dog"]


def test_files_of_other_kinds_are_named(build, settings, published):
    folder = build("others", [WNIDS[i] for i in OUTPUTS])
    for name in ("a.heic", "b.HEIC", "c.txt", "d"):
        (folder / WNIDS[0] / name).write_text("?")
    (folder / "README.txt").write_text("not in a class folder")
    shutil.copy(folder / WNIDS[0] / NAMES[3], folder / "stray.png")
    kinds = ("2 files in class folders: .heic", "1 files in class folders: .txt", "1 files in class folders: no suffix")
    expected = {f"left out: {line}" for line in ("1 files outside class folders", *kinds)}
    assert {*same(settings, folder, published)} == expected <= {*verify_set("imagenet-val", settings).lines}
    empty = build("heic", ["n01440764"], ["x.heic"])
    refused(r"no images for .*1 files in class folders: .heic", add_folder, "imagenet-val", empty, settings)


BAD = {
    "several spellings": (["7", WNIDS[3], "goldfish"], r"several spellings: '7' is .*, 'goldfish' is "),
    "no class": (["n01440764", "sofa bed", "sofa bed"], "'sofa bed' is not a WordNet id"),
    "counted from one": (["1", "2", "1000"], "'1000' is not a WordNet id"),
    "two classes of one name": (["crane", "crane", "crane"], "'crane' is not a WordNet id"),
    "splits": ([f"{x}/{WNIDS[0]}" for x in ("train", "val", "test")], r"test and train and val.*mean \S+/val\?"),
    "one split": (["Val/x", "Val/y", "Val/z"], r"holds Val, not classes. Did you mean \S+/Val\?"),
    "no labels": ([""] * 3, "Put LOC_val_solution.csv of Kaggle beside them"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_read_is_said(kind, build, settings):
    places, message = BAD[kind]
    folder = build("bad", places, NAMES[:3])
    refused(message, add_folder, "imagenet-val", folder, settings)
    if kind == "splits":
        refused(r"mean \S+/train\?", add_folder, "imagenet-train", folder, settings)


def test_a_wrong_table_of_labels(build, settings):
    folder = build("flat", [""] * 6)
    for row, message in (
        ("ILSVRC2012_val_00000001,", "00000001' has no label"),  # the submission of another task
        (f"ILSVRC2012_test_00000001,{WNIDS[0]} 1 2 3 4", "none of its 1 images is below"),
    ):
        refused(message, add_folder, "imagenet-val", kaggle(folder, row), settings)
    kaggle(folder, "ILSVRC2012_val_00000001,1", header="image,label")
    refused("no columns imageid, predictionstring", add_folder, "imagenet-val", folder, settings)


def test_a_set_of_some_classes_knows_them(build, settings):
    classes = tuple(subset_groups("imagenet-a"))
    first = opened("imagenet-a", build("a", classes[:2], ["a.png", "b.png"]), settings)
    assert first.labels["category"].tolist() == sorted(classes[:2])
    other, bare = build("b", ["n01440764"], ["a.png"]), build("c", ["6"], ["a.png"])
    refused("n01440764 is not one of the 200 classes of imagenet-a", add_folder, "imagenet-a", other, settings)
    refused("'6' is not a WordNet id", add_folder, "imagenet-a", bare, settings)  # an output, or the seventh?
    numbered = build("d", [str(i) for i in range(200)], [f"{i}.png" for i in range(200)])
    stimuli = opened("imagenet-a", numbered, settings)
    assert dict(zip(stimuli.ids, stimuli.labels["category"].tolist(), strict=True))["123.png"] == classes[123]


def test_objectnet_shows_what_imagenet_has_without_the_frame(build, settings):
    names = [f"{i}.png" for i in range(5)]
    places = [f"images/{name}" for name in ("alarm_clock", "alarm_clock", "t-shirt", "squeegee", "air_freshener")]
    folder = build("objectnet-1.0", places, names)
    stimuli = opened("objectnet", folder, settings, report=(told := []).append)
    assert stimuli.labels["category"].tolist() == [WNIDS[409], WNIDS[409], match_name("jersey")]
    assert told == ["left out: 2 files of objects that ImageNet lacks"]
    assert stimuli.decode(0).shape == (4, 4, 3)
    plain = open_folder(find_entry("imagenet-val", settings), build("e", [WNIDS[409]] * 2, names[:2]), settings)
    assert np.array_equal(stimuli.decode(0), plain.decode(0)[2:-2, 2:-2])
    assert set(stimuli.labels["made"].tolist()) == {"without a frame of 2 px"}
