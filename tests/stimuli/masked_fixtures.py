"""Tiny folders in the published layouts of sets with masks and maps, made by code."""

import numpy as np
from PIL import Image
from set_checks import write

WNIDS = ("n01443537", "n01491361", "n01531178")  # goldfish, tiger shark, goldfinch: 1, 3, 11 of 1000


def save(path, pixels, mode=None):
    """An image file; `mode` "P" keeps the values as palette indices."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if mode == "P":
        image = image.convert("P") if image.mode != "L" else image
        image.putpalette([v for i in range(256) for v in (i, 255 - i, (7 * i) % 256)])
    image.save(path)
    return path


def photo(seed, height=12, width=16):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def box(top, bottom, left, right):
    flags = np.zeros((12, 16), dtype=bool)
    flags[top:bottom, left:right] = True
    return flags


def write_labels(folder, rows):
    write(folder / "labels.csv", "\n".join(",".join(row) for row in (rows[0], *(row.values() for row in rows))))


def masks_folder(folder):
    """Layout masks: three images of two categories."""
    rows = []
    for i, (name, category) in enumerate((("b.jpg", "dog"), ("a.png", "dog"), ("sub/c.png", "cat"))):
        save(folder / "images" / name, photo(i))
        drawn = (box(i, i + 4, 2, 9) * (i + 1)).astype(np.uint8)
        save((folder / "masks" / name).with_suffix(".png"), drawn)
        rows.append({"image": name, "category": category, "view": str(i)})
    write_labels(folder, rows)
    return folder


def imagenet_s_mask(path, values):
    """red + 256 * green = class."""
    channels = (values % 256, values // 256, np.zeros_like(values))
    return save(path, np.stack(channels, axis=2).astype(np.uint8))


def imagenet_s_folder(folder, edition=919, numbers=(2, 4, 12)):
    """ImageNetS919/{validation,validation-segmentation}, one image a class; numbers: what the masks of WNIDS say."""
    root = folder / f"ImageNetS{edition}"
    for i, (wnid, number) in enumerate(zip(WNIDS, numbers, strict=True)):
        name = f"ILSVRC2012_val_{i:08d}"
        save(root / "validation" / wnid / f"{name}.JPEG", photo(i))
        values = np.zeros((12, 16), dtype=np.int64)
        values[2:6, 3:9] = number
        values[6:8, 3 : 9 - i] = 1000
        values[0, 0] = 5  # another object
        imagenet_s_mask(root / "validation-segmentation" / wnid / f"{name}.png", values)
    return folder


def loc_xml(wnid, boxes, size=(16, 12), others=()):
    """An annotation of ImageNet's localisation task. boxes: (xmin, ymin, xmax, ymax)."""
    objects = "".join(
        f"<object><name>{name}</name><pose>Unspecified</pose><bndbox><xmin>{b[0]}</xmin><ymin>{b[1]}</ymin>"
        f"<xmax>{b[2]}</xmax><ymax>{b[3]}</ymax></bndbox></object>"
        for name, b in [*((wnid, b) for b in boxes), *others]
    )
    size = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return f"<annotation>\n\t<folder>val</folder>{size}<segmented>0</segmented>{objects}</annotation>\n"


def boxes_folder(folder):
    """Class folders of images beside Annotations/val."""
    for i, wnid in enumerate(WNIDS):
        name = f"ILSVRC2012_val_{i:08d}"
        save(folder / "val" / wnid / f"{name}.JPEG", photo(i))
        write(folder / "Annotations" / "val" / f"{name}.xml", loc_xml(wnid, [(3, 2, 8, 5 + i)]))
    return folder
