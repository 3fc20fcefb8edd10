"""VOC and COCO: which images count, what their masks are, what is said of broken files."""

import json

import numpy as np
import pytest
from masked_fixtures import box, coco_folder, photo, rectangle, save, voc_folder
from refusals import refused

from benchmark.errors import StimuliError
from benchmark.stimuli.datasets import open_set
from benchmark.stimuli.fetch import add
from benchmark.stimuli.items import LeftOut
from benchmark.stimuli.masked.scenes import main_object
from benchmark.stimuli.verify import verify

RIVAL = "left out: 1 images (a second category is more than half as large as the largest)"
OTHER = "left out: 1 images (the largest object is of none of the 16 categories)"
NOTHING = "left out: 1 images (no object)"


def test_the_main_object():
    assert main_object({"dog": 10.0}) == "dog"
    assert main_object({"dog": 10.0, "person": 5.0}) == "dog"
    assert main_object({"dog": 10.0, "person": 5.1}) == LeftOut(RIVAL[20:-1])
    assert main_object({"dog": 10.0, "cat": 10.0}) == LeftOut(RIVAL[20:-1])
    assert main_object({"dog": 4.0, "person": 10.0}) == LeftOut(OTHER[20:-1])
    assert main_object({}) == main_object({"dog": 0.0}) == LeftOut("no object")


# VOC. Values: 1 aeroplane, 3 bird, 8 cat, 12 dog, 15 person, 255 void.


def scene(*drawn):
    values = np.zeros((12, 16), dtype=np.uint8)
    for flags, value in drawn:
        values[flags] = value
    return values


def voc(folder):
    void = box(1, 7, 2, 10) & ~box(2, 6, 3, 9)
    return voc_folder(
        folder,
        {
            "2007_000033": scene((void, 255), (box(2, 6, 3, 9), 1)),
            "2007_000042": scene((box(0, 8, 0, 8), 12), (box(9, 12, 0, 8), 15)),
            "2007_000061": scene((box(0, 4, 0, 8), 12), (box(5, 9, 0, 8), 8)),
            "2007_000123": scene((box(0, 4, 0, 8), 15), (box(5, 7, 0, 2), 8)),
            "2007_000129": scene((box(0, 4, 0, 8), 255)),
            "2009_000001": scene((box(0, 4, 0, 8), 3), (box(6, 12, 0, 8), 3)),
        },
    )


def test_voc_images_of_one_main_object(tmp_path, settings):
    told = []
    entry = add("mine", voc(tmp_path), settings, report=told.append)
    assert (entry.layout, entry.space, entry.role) == ("voc", "geirhos16", "natural-masked")
    assert told == [RIVAL, NOTHING, OTHER]
    stimuli = open_set("mine", settings)
    assert stimuli.ids == ("2007_000033.jpg", "2009_000001.jpg", "2007_000042.jpg")
    assert stimuli.labels["category"].tolist() == ["airplane", "bird", "dog"]
    assert np.array_equal(stimuli.mask(0), box(2, 6, 3, 9))
    assert np.array_equal(stimuli.ignored(0), box(1, 7, 2, 10) & ~box(2, 6, 3, 9))
    assert np.array_equal(stimuli.mask(1), box(0, 4, 0, 8) | box(6, 12, 0, 8))  # both birds
    assert np.array_equal(stimuli.mask(2), box(0, 8, 0, 8))  # the person is background
    assert not stimuli.ignored(2).any()
    checked = verify("mine", settings)
    assert checked.ok and [line for line in checked.lines if line.startswith("left")] == told


def test_what_is_wrong_with_voc_is_said(tmp_path, settings):
    root = voc(tmp_path) / "VOCdevkit" / "VOC2012"
    add("mine", tmp_path, settings)
    path = root / "SegmentationClass" / "2007_000033.png"
    save(path, scene((box(0, 4, 0, 8), 21)), "P")
    refused(r"000033\.png: the value 21 is no class", open_set, "mine", settings)
    save(path, photo(1))
    refused(r"000033\.png: a colour image", open_set, "mine", settings)
    save(path, np.ones((5, 5), np.uint8), "P")
    refused(r"5 x 5 pixels.*16 x 12", open_set("mine", settings).mask, 0)
    (tmp_path / "VOCdevkit" / "VOC2007" / "JPEGImages").mkdir(parents=True)
    refused(r"several editions \(VOC2007, VOC2012\)", open_set, "mine", settings)


# COCO. Categories: 1 person, 5 airplane, 16 bird, 17 cat, 18 dog.


def thing(category, *outlines):
    return {"category_id": category, "segmentation": [list(one) for one in outlines]}


def coco(folder):
    crowd = {"size": [12, 16], "counts": [0, *[4, 8] * 7, 4, 8 + 8 * 12]}  # 4 of 12 pixels in 8 of 16 columns
    birds = {"category_id": 16, "segmentation": crowd, "iscrowd": 1}
    return coco_folder(
        folder,
        [
            ("000000000139.jpg", [thing(18, rectangle(2, 1, 9, 7)), thing(1, rectangle(0, 8, 4, 12))]),
            ("000000000285.jpg", [thing(17, rectangle(0, 0, 4, 4)), thing(18, rectangle(5, 5, 9, 9))]),
            ("000000000632.jpg", [thing(1, rectangle(0, 0, 9, 9)), thing(18, rectangle(10, 0, 12, 2))]),
            ("000000000724.jpg", []),
            ("000000000776.jpg", [birds, thing(16, rectangle(6, 2, 12, 8))]),
            ("000000000785.jpg", [thing(5, rectangle(0, 0, 3, 3), rectangle(8, 8, 12, 12))]),
        ],
    )  # fmt: skip


def test_coco_images_of_one_main_object(tmp_path, settings):
    told = []
    entry = add("mine", coco(tmp_path), settings, report=told.append)
    assert (entry.layout, entry.space, entry.role) == ("coco", "geirhos16", "natural-masked")
    assert told == [RIVAL, NOTHING, OTHER]
    stimuli = open_set("mine", settings)
    assert stimuli.labels["category"].tolist() == ["airplane", "bird", "dog"]
    plane, birds, dog = range(3)
    assert np.array_equal(stimuli.mask(plane), box(0, 3, 0, 3) | box(8, 12, 8, 12))
    assert not stimuli.ignored(plane).any()
    assert np.array_equal(stimuli.mask(birds), box(2, 8, 6, 12))
    assert np.array_equal(stimuli.ignored(birds), box(0, 4, 0, 8) & ~box(2, 8, 6, 12))
    assert np.array_equal(stimuli.mask(dog), box(1, 7, 2, 9))
    for i in range(3):
        assert not (stimuli.mask(i) & stimuli.ignored(i)).any()


def test_coco_counts_images_that_are_not_here_and_follows_the_outlines(tmp_path, settings):
    folder = coco(tmp_path)
    add("coco-objects", folder, settings)
    before = open_set("coco-objects", settings)
    assert before.origin == "catalogue" and before.whole == len(before) == 3
    (folder / "val2017").rename(folder / "images")  # another place where images may lie
    assert open_set("coco-objects", settings).digest == before.digest
    (folder / "images" / "000000000139.jpg").unlink()
    part = open_set("coco-objects", settings)
    assert len(part) == 2 and part.whole == 3
    table = folder / "annotations" / "instances_val2017.json"
    rows = json.loads(table.read_text())
    plane = next(row for row in rows["annotations"] if row["category_id"] == 5)
    plane["segmentation"][0][0] = 1
    table.write_text(json.dumps(rows))
    after = open_set("coco-objects", settings)
    assert [a == b for a, b in zip(part.items, after.items, strict=True)] == [False, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: [table], "expected a list 'images'"),
        (lambda table: table.pop("categories"), "expected a list 'categories'"),
        (lambda table: table["annotations"][0].update(category_id=77), "annotation 0 needs 'image_id' and a known"),
        (lambda table: table["annotations"][0].pop("segmentation"), "annotation 0 has no 'segmentation'"),
        (lambda table: table["annotations"][0].update(segmentation=[[1, 2, 3, 4]]), "image 7 cannot be read .a poly"),
        (lambda table: table["images"][0].pop("height"), r"000000000139\.jpg has no 'height' and 'width'"),
        (lambda table: table["images"][0].update(file_name="../../etc/passwd"), "'file_name' is '../../etc/passwd'"),
    ],
)
def test_what_is_wrong_with_coco_is_said(change, message, tmp_path, settings):
    path = coco(tmp_path) / "annotations" / "instances_val2017.json"
    table = json.loads(path.read_text())
    other = change(table)
    path.write_text(json.dumps(other if isinstance(other, list) and "images" in other[0] else table))
    with pytest.raises(StimuliError, match=message) as error:
        add("mine", tmp_path, settings)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["{", "", '{"images": [}', "[" * 100_000, "\xff"])
def test_json_that_is_none_is_said(text, tmp_path, settings):
    table = coco(tmp_path) / "annotations" / "instances_val2017.json"
    table.write_bytes(text.encode("latin-1"))
    refused("not valid JSON", add, "mine", tmp_path, settings)
