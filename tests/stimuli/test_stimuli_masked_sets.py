"""Sets with masks from a folder, ImageNet-S and boxes; how all of them are told, added and verified."""

import json
import pickle
import shutil

import masked_fixtures as layouts
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from masked_fixtures import WNIDS, box, loc_xml, photo, save
from PIL import Image
from set_checks import opened, refused, write

from benchmark.stimuli.datasets import open_set, restrict, sample
from benchmark.stimuli.fetch import add_folder
from benchmark.stimuli.items import LeftOut
from benchmark.stimuli.masked.planes import fill_polygon, flags_of
from benchmark.stimuli.masked.published import main_object, read_markup, values_of
from benchmark.stimuli.resolver import Resolver
from benchmark.stimuli.verify import verify_set
from registry.labels import label_space


def test_a_folder_of_masks_is_read_in_order(tmp_path, settings):
    stimuli = opened("mine", layouts.masks_folder(tmp_path / "mine"), settings)
    assert stimuli.ids == ("sub/c.png", "a.png", "b.jpg")
    assert stimuli.labels["category"].tolist() == ["cat", "dog", "dog"]
    assert stimuli.labels["view"].tolist() == ["2", "1", "0"]
    assert stimuli.space == "geirhos16" and stimuli.origin == "added" and stimuli.whole == 3
    for i, start in enumerate((2, 1, 0)):
        mask = stimuli.mask(i)
        assert mask.dtype == np.bool_ and np.array_equal(mask, box(start, start + 4, 2, 9))
    assert stimuli.ignored is None and stimuli.importance is None
    assert np.array_equal(stimuli.decode(1), photo(1))


def test_what_counts_as_drawn_in_a_mask_and_what_is_no_mask(tmp_path, settings):
    folder, drawn = layouts.masks_folder(tmp_path / "mine"), box(3, 7, 4, 10)
    path = folder / "masks" / "a.png"
    colour = np.zeros((12, 16, 4), np.uint8)
    colour[drawn, 2] = 1  # one channel by one step
    colour[:, :, 3] = 255  # opaque everywhere, which says nothing
    grey, wide = Image.fromarray(drawn.astype(np.uint8)), Image.fromarray(drawn.astype(np.uint16) * 256)
    opaque, palette = Image.merge("LA", [grey, Image.new("L", (16, 12), 255)]), grey.copy()
    palette.putpalette([255, 255, 255, 0, 0, 0])  # index 0 is white
    for image in (Image.fromarray(drawn), grey, wide, Image.fromarray(colour), opaque, palette):
        image.save(path)
        assert np.array_equal(opened("mine", folder, settings).mask(1), drawn), image.mode
    save(path, np.ones((12, 17), np.uint8))
    refused(r"a\.png: 17 x 12 pixels.*16 x 12", open_set("mine", settings).mask, 1)
    path.write_bytes(b"\x89PNG no")
    refused(r"a\.png cannot be read.*not a complete image", open_set("mine", settings).mask, 1)
    path.unlink()
    refused(r"a\.png: this file does not exist.*'a\.png'", open_set, "mine", settings)


def test_class_folders_say_the_categories_where_there_is_no_table(tmp_path, settings):
    folder = tmp_path / "own"
    for i, name in enumerate(("mug", "beetle")):
        save(folder / "images" / name / "a.png", photo(i))
        save(folder / "masks" / name / "a.png", box(i, i + 4, 2, 9).astype(np.uint8))
    refused("--space NAME", add_folder, "own", folder, settings)
    stimuli = opened("own", folder, settings, space="kitchen")
    assert stimuli.ids == ("beetle/a.png", "mug/a.png") and stimuli.space == "kitchen"
    assert stimuli.labels["category"].tolist() == ["beetle", "mug"]
    assert np.array_equal(stimuli.mask(1), box(0, 4, 2, 9))
    (folder / "masks" / "mug" / "a.png").unlink()
    refused(r"this file does not exist, but there is the image 'mug/a\.png'", open_set, "own", settings)
    save(folder / "images" / "a.png", photo(3))
    refused(r"images/a\.png: of no category.*images/CATEGORY/NAME", open_set, "own", settings)


def test_digests_follow_masks_and_images_and_are_kept_by_parts(tmp_path, settings):
    folder = layouts.masks_folder(tmp_path / "mine")
    before = opened("mine", folder, settings)
    assert open_set("mine", settings).digest == before.digest
    save(folder / "masks" / "a.png", np.ones((12, 16), np.uint8))
    after = open_set("mine", settings)
    assert [a == b for a, b in zip(before.items, after.items, strict=True)] == [True, False, True]
    assert after.digest != before.digest
    part = restrict(after, ["b.jpg", "a.png"])
    assert part.mask(1).all() and not part.mask(0).all()
    found = Resolver("geirhos16", settings, limit=2).find("natural-masked")
    assert found.digest == sample(after, 2).digest and found.whole == 3
    assert np.array_equal(pickle.loads(pickle.dumps(after)).mask(0), after.mask(0))


def test_the_numbers_of_imagenet_s():
    """Against the lists that its authors publish: sizes, the first classes, the merged ones left out."""
    classes = label_space("imagenet1k").classes
    for edition in (919, 300, 50):
        values = values_of(edition)
        assert list(values.values()) == list(range(1, edition + 1))
        assert list(values) == sorted(values) and set(values) <= set(classes)
    assert set(values_of(50)) <= set(values_of(300)) <= set(values_of(919))
    assert values_of(919)["n15075141"] == 919  # toilet tissue, the last of ImageNet
    merged = {"n04356056", "n04493381", "n03642806", "n04008634", "n03887697"}
    assert not merged & set(values_of(919))


@pytest.mark.parametrize(("edition", "numbers"), [(919, (2, 4, 12)), (300, (2, 3, 7)), (50, (1, 2, 3))])
def test_imagenet_s_masks_by_class_with_ignored_pixels(edition, numbers, tmp_path, settings):
    folder = layouts.imagenet_s_folder(tmp_path / "s", edition, numbers)
    stimuli = opened("mine", folder, settings)
    assert (stimuli.space, stimuli.labels["category"].tolist()) == ("imagenet1k", list(WNIDS))
    for i in range(3):
        assert np.array_equal(stimuli.mask(i), box(2, 6, 3, 9))
        assert np.array_equal(stimuli.ignored(i), box(6, 8, 3, 9 - i))
    part = restrict(stimuli, stimuli.ids[1:])
    assert np.array_equal(part.ignored(0), box(6, 8, 3, 8))


def test_catalogue_names_tell_the_edition_of_a_renamed_folder(tmp_path, settings):
    folder = layouts.imagenet_s_folder(tmp_path, 50, (1, 2, 3)) / "ImageNetS50"
    renamed = folder.rename(tmp_path / "somewhere")
    stimuli = opened("imagenet-s50", renamed, settings)
    assert stimuli.mask(2).any() and stimuli.origin == "catalogue" and stimuli.whole == 752
    refused("3 classes: which edition", add_folder, "mine", renamed, settings)
    target = settings.data / "imagenet-s"
    layouts.imagenet_s_folder(target)
    assert open_set("imagenet-s", settings).whole == 12419
    shelf = Resolver("imagenet1k", settings)
    assert shelf.find("natural-masked").name == "imagenet-s"


def test_what_is_wrong_with_imagenet_s_is_said(tmp_path, settings):
    folder = layouts.imagenet_s_folder(tmp_path / "s")
    root, wnid = folder / "ImageNetS919", WNIDS[0]
    mask = root / "validation-segmentation" / wnid / "ILSVRC2012_val_00000000.png"
    opened("mine", folder, settings)
    layouts.imagenet_s_mask(mask, np.full((12, 16), 930))
    refused(r"class 930; the set has 0 to 919, and 1000", open_set("mine", settings).mask, 0)
    save(mask, np.zeros((12, 16), np.uint8))
    refused("expected a colour image, red", open_set("mine", settings).mask, 0)
    layouts.imagenet_s_mask(mask, np.zeros((13, 16), np.int64))
    refused(r"16 x 13 pixels.*16 x 12", open_set("mine", settings).mask, 0)
    mask.unlink()
    refused(r"this mask does not exist.*ILSVRC2012_val_00000000", open_set, "mine", settings)
    shutil.rmtree(root / "validation" / wnid)
    save(root / "validation" / "n04356056" / "a.JPEG", photo(1))  # merged: no class of its own
    refused("not a class of ImageNet-S 919", open_set, "mine", settings)
    layouts.imagenet_s_folder(folder, 50)
    refused(r"several editions \(ImageNetS50, ImageNetS919\)", open_set, "mine", settings)


def test_boxes_are_scaled_and_cut_to_the_image_and_faulty_ones_are_named(tmp_path, settings):
    folder = layouts.boxes_folder(tmp_path / "boxes")
    markup = folder / "Annotations" / "val" / "ILSVRC2012_val_00000000.xml"
    for text, expected in (
        (loc_xml(WNIDS[0], [(9, 5, 32, 12)], size=(64, 48)), box(1, 3, 2, 8)),  # four times the image
        (loc_xml(WNIDS[0], [(0, -3, 400, 4)]), box(0, 4, 0, 16)),
        (loc_xml(WNIDS[0], [(3, 2, 8, 5)], size=(0, 0)), box(1, 5, 2, 8)),  # says no size
        (loc_xml(WNIDS[2], [(3, 2, 8, 5)]), box(0, 0, 0, 0)),  # no box of the class
        (loc_xml(WNIDS[0], [(20, 20, 30, 30), (-9, -9, -3, -3)]), box(0, 0, 0, 0)),  # outside
    ):
        write(markup, text)
        assert np.array_equal(opened("mine", folder, settings).mask(0), expected)
    write(markup, loc_xml(WNIDS[0], [("a", 2, 8, 5)]))
    refused(r"00000000\.xml cannot be read.*a box without numbers", open_set("mine", settings).mask, 0)
    save(folder / "flat" / "x.JPEG", photo(1))
    write(folder / "Annotations" / "x.xml", loc_xml("fish", [(1, 1, 2, 2)]))
    refused(r"x\.xml: 'fish' is not a WordNet id", open_set, "mine", settings)


def test_boxes_as_packed_take_the_class_from_the_file(tmp_path, settings):
    root = tmp_path / "ILSVRC"
    for i, wnid in enumerate(WNIDS):
        name = f"ILSVRC2012_val_{i:08d}"
        save(root / "Data" / "CLS-LOC" / "val" / f"{name}.JPEG", photo(i))
        write(root / "Annotations" / "CLS-LOC" / "val" / f"{name}.xml", loc_xml(wnid, [(3, 2, 8, 5)]))
    save(root / "Data" / "CLS-LOC" / "val" / "unboxed.JPEG", photo(9))
    save(root / "Data" / "CLS-LOC" / "train" / WNIDS[0] / "other.JPEG", photo(9))
    both = loc_xml(WNIDS[0], [(1, 1, 2, 2)], others=[(WNIDS[1], (4, 4, 9, 9))])
    save(root / "Data" / "CLS-LOC" / "val" / "both.JPEG", photo(8))
    write(root / "Annotations" / "CLS-LOC" / "val" / "both.xml", both)
    told = []
    stimuli = opened("mine", tmp_path, settings, report=told.append)
    assert stimuli.labels["category"].tolist() == list(WNIDS)
    assert np.array_equal(stimuli.mask(2), box(1, 5, 2, 8))
    reasons = ("boxes of several classes, and no class folder", "no boxes")
    assert told == [f"left out: 1 images ({reason})" for reason in reasons]
    assert [line for line in verify_set("mine", settings).lines if line.startswith("left out")] == told


BOMB = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;">]>
<annotation><object><name>&y;</name></object></annotation>"""


@pytest.mark.parametrize(("text", "message"), [
    (BOMB, "has a DOCTYPE"), (BOMB.encode("utf-16"), "not valid XML"),
    ("<annotation>&unknown;</annotation>", "not valid XML"),
    ("<a>" + " " * 1_000_001 + "</a>", "more than 1000000 bytes"),
])  # fmt: skip
def test_markup_is_not_trusted(text, message, tmp_path):
    path = write(tmp_path / "a.xml", text)
    assert str(path) in refused(message, read_markup, path)


RIVAL, NOTHING, OTHER = REASONS = (
    "a second category is more than half as large as the largest", "no object",
    "the largest object is of none of the 16 categories",
)  # fmt: skip


@pytest.mark.parametrize(("areas", "expected"), [
    ({"dog": 10.0}, "dog"), ({"dog": 10.0, "person": 5.0}, "dog"), ({"dog": 10.0, "person": 5.1}, LeftOut(RIVAL)),
    ({"dog": 10.0, "cat": 10.0}, LeftOut(RIVAL)), ({"dog": 4.0, "person": 10.0}, LeftOut(OTHER)),
    ({}, LeftOut(NOTHING)), ({"dog": 0.0}, LeftOut(NOTHING)),
])  # fmt: skip
def test_the_main_object(areas, expected):
    assert main_object(areas) == expected


def main_objects(layout, folder, settings):
    """The set of a folder of six scenes, of which three have one main object; the others are counted."""
    told = []
    entry = add_folder("mine", folder, settings, report=told.append)
    assert (entry.layout, entry.space, entry.role) == (layout, "geirhos16", "natural-masked")
    checked, stimuli = verify_set("mine", settings), open_set("mine", settings)
    assert told == [f"left out: 1 images ({reason})" for reason in REASONS]
    assert told == [line for line in checked.lines if line.startswith("left")] and checked.ok
    assert stimuli.labels["category"].tolist() == ["airplane", "bird", "dog"]
    return stimuli


def scene(*drawn):
    """A class image of VOC: 1 aeroplane, 3 bird, 8 cat, 12 dog, 15 person, 255 void."""
    values = np.zeros((12, 16), dtype=np.uint8)
    for flags, value in drawn:
        values[flags] = value
    return values


def voc(folder):
    """VOCdevkit/VOC2012 with six scenes, and an image of the detection task alone."""
    root, void = folder / "VOCdevkit" / "VOC2012", box(1, 7, 2, 10) & ~box(2, 6, 3, 9)
    scenes = {
        "2007_000033": scene((void, 255), (box(2, 6, 3, 9), 1)),
        "2007_000042": scene((box(0, 8, 0, 8), 12), (box(9, 12, 0, 8), 15)),
        "2007_000061": scene((box(0, 4, 0, 8), 12), (box(5, 9, 0, 8), 8)),
        "2007_000123": scene((box(0, 4, 0, 8), 15), (box(5, 7, 0, 2), 8)),
        "2007_000129": scene((box(0, 4, 0, 8), 255)),
        "2009_000001": scene((box(0, 4, 0, 8), 3), (box(6, 12, 0, 8), 3)),
    }
    for i, (stem, values) in enumerate(scenes.items()):
        save(root / "JPEGImages" / f"{stem}.jpg", photo(i))
        save(root / "SegmentationClass" / f"{stem}.png", values, "P")
    save(root / "JPEGImages" / "2008_000001.jpg", photo(99))
    write(root / "ImageSets" / "Segmentation" / "val.txt", "\n".join(scenes) + "\n")
    return folder


def test_voc_images_of_one_main_object(tmp_path, settings):
    stimuli = main_objects("voc", voc(tmp_path), settings)
    assert stimuli.ids == ("2007_000033.jpg", "2009_000001.jpg", "2007_000042.jpg")
    assert np.array_equal(stimuli.mask(0), box(2, 6, 3, 9))
    assert np.array_equal(stimuli.ignored(0), box(1, 7, 2, 10) & ~box(2, 6, 3, 9))
    assert np.array_equal(stimuli.mask(1), box(0, 4, 0, 8) | box(6, 12, 0, 8))  # both birds
    assert np.array_equal(stimuli.mask(2), box(0, 8, 0, 8))  # the person is background
    assert not stimuli.ignored(2).any()


def test_what_is_wrong_with_voc_is_said(tmp_path, settings):
    root = voc(tmp_path) / "VOCdevkit" / "VOC2012"
    add_folder("mine", tmp_path, settings)
    path = root / "SegmentationClass" / "2007_000033.png"
    save(path, scene((box(0, 4, 0, 8), 21)), "P")
    refused(r"000033\.png: class 21; the set has 0 to 20, and 255", open_set, "mine", settings)
    save(path, photo(1))
    refused(r"000033\.png: expected the palette image", open_set, "mine", settings)
    save(path, np.ones((5, 5), np.uint8), "P")
    refused(r"5 x 5 pixels.*16 x 12", open_set("mine", settings).mask, 0)
    (tmp_path / "VOCdevkit" / "VOC2007" / "JPEGImages").mkdir(parents=True)
    refused(r"several editions \(VOC2007, VOC2012\)", open_set, "mine", settings)


COCO_NAMES = {1: "person", 5: "airplane", 16: "bird", 17: "cat", 18: "dog"}


def thing(category, *boxes):
    """An object of COCO, outlined by boxes (left, top, right, bottom)."""
    outlines = [[left, top, right, top, right, low, left, low] for left, top, right, low in boxes]
    area = sum((right - left) * (low - top) for left, top, right, low in boxes)
    return {"category_id": category, "segmentation": outlines, "area": area, "iscrowd": 0}


def coco(folder):
    """annotations/instances_val2017.json and val2017/ with six scenes."""
    crowd = {"size": [12, 16], "counts": [0, *[4, 8] * 7, 4, 8 + 8 * 12]}  # 4 of 12 pixels in 8 of 16 columns
    birds = {"category_id": 16, "segmentation": crowd, "iscrowd": 1, "area": 32}
    scenes = {
        "139": [thing(18, (2, 1, 9, 7)), thing(1, (0, 8, 4, 12))],
        "285": [thing(17, (0, 0, 4, 4)), thing(18, (5, 5, 9, 9))],
        "632": [thing(1, (0, 0, 9, 9)), thing(18, (10, 0, 12, 2))],
        "724": [],
        "776": [birds, thing(16, (6, 2, 12, 8))],
        "785": [thing(5, (0, 0, 3, 3), (8, 8, 12, 12))],
    }
    table = {"images": [], "annotations": [], "categories": [{"id": k, "name": v} for k, v in COCO_NAMES.items()]}
    for i, (name, rows) in enumerate(scenes.items()):
        save(folder / "val2017" / f"000000000{name}.jpg", photo(i))
        table["images"].append({"id": i + 7, "file_name": f"000000000{name}.jpg", "height": 12, "width": 16})
        table["annotations"] += [{"image_id": i + 7, **row} for row in rows]
    write(folder / "annotations" / "instances_val2017.json", json.dumps(table))
    return folder


def test_coco_images_of_one_main_object(tmp_path, settings):
    stimuli = main_objects("coco", coco(tmp_path), settings)
    plane, birds, nothing = box(0, 3, 0, 3) | box(8, 12, 8, 12), box(2, 8, 6, 12), box(0, 0, 0, 0)
    for i, (mask, ignored) in enumerate(
        ((plane, nothing), (birds, box(0, 4, 0, 8) & ~birds), (box(1, 7, 2, 9), nothing))
    ):
        assert np.array_equal(stimuli.mask(i), mask) and np.array_equal(stimuli.ignored(i), ignored)


def test_coco_counts_images_that_are_not_here_and_follows_the_outlines(tmp_path, settings):
    folder = coco(tmp_path)
    before = opened("coco-objects", folder, settings)
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


@pytest.mark.parametrize(("change", "message"), [
    (lambda table: table.pop("categories"), "'categories'.*Expected images, annotations and categories"),
    (lambda table: table["annotations"][0].update(category_id=77), "cannot be read .KeyError: 77"),
    (lambda table: table["annotations"][0].update(area="wide"), "cannot be read .*wide"),
])  # fmt: skip
def test_what_is_wrong_with_coco_is_said(change, message, tmp_path, settings):
    path = coco(tmp_path) / "annotations" / "instances_val2017.json"
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))
    assert str(path) in refused(message, add_folder, "mine", tmp_path, settings)


@pytest.mark.parametrize(("coded", "message"), [
    ({"counts": [2, 3]}, "add up to the image's 6 pixels"), ({"counts": [2.5, 3.5]}, "whole numbers"),
    ({"counts": [7, -1]}, "whole numbers"), ({"counts": "231"}, "whole numbers"), ({"counts": [1, 10**400]}, "whole"),
    ([[0, 0, 1, 1]], "three corners"),
    ([[0, 0, 1, 1, 2, float("nan")]], "three corners"),
])  # fmt: skip
def test_run_lengths_and_what_is_no_mask(coded, message):
    # 3 rows, 2 columns; down the columns: 0 0 1 | 1 1 0.
    assert flags_of({"size": [3, 2], "counts": [2, 3, 1]}, (3, 2)).tolist() == [
        [False, True],
        [False, True],
        [True, False],
    ]
    with pytest.raises(ValueError, match=message):
        flags_of(coded, (3, 2))


corner = st.tuples(st.floats(-3, 23), st.floats(-3, 23))


@given(st.lists(corner, min_size=3, max_size=9))
def test_pixels_inside_are_those_of_the_textbook(corners):
    """Crossing a ray to the left from each centre, one pixel at a time."""
    shape = np.array(corners)
    drawn = fill_polygon(shape, (20, 20))
    edges = list(zip(shape.tolist(), np.roll(shape, -1, axis=0).tolist(), strict=True))
    for row in range(0, 20, 3):
        for column in range(0, 20, 3):
            x, y, odd, near = column + 0.5, row + 0.5, False, False
            for (xa, ya), (xb, yb) in edges:
                if (ya <= y) != (yb <= y):
                    at = xa + (y - ya) / (yb - ya) * (xb - xa)
                    near |= abs(at - x) < 1e-9
                    odd ^= at < x
            assert near or drawn[row, column] == odd
