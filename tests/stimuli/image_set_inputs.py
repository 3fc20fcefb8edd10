"""Damaged and hostile inputs, drawn from a seed: a valid folder of each kind, one of its files changed, and the call
that reads it. A reader may give an answer or a BenchError; anything else counts as a traceback.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import random
import shutil
import struct
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.engine.inference import decoded_chunks
from benchmark.errors import BenchError
from benchmark.settings import Settings
from benchmark.stimuli import image_files
from benchmark.stimuli.catalogue import Entry, added_file, read_catalogue
from benchmark.stimuli.datasets import open_annotated, open_folder, read_manifest, read_names
from benchmark.stimuli.downloads import Bounds, unpack
from benchmark.stimuli.fetch import add
from benchmark.stimuli.image_files import read_rgb, size_of
from benchmark.stimuli.regenerate import recipes_beside, trial_stimuli
from benchmark.stimuli.roles import read_textures
from benchmark.stimuli.trials import read_trials

WNID = "n01440764"
TOKENS = (
    b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"NaN", b"1e999", b"-1", b"0", b"99999999999999999999", b"[", b"{",
    b"}", b"]", b'"', b"'", b"\n", b"\r", b",", b":", b"..", b"/", b"/etc/passwd", b"\x1b[31m", b"null", b"true", b"&a",
    b"*a", b"!!python/object", b"- ", b"<a>", b"</a>", b"<!DOCTYPE a>", b"&lt;", b"\xed\xa0\x80", b"\xf0\x9f\x90\x88",
    b"\xe2\x80\xae", b" " * 300, b"9" * 5000, b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", b"name", b"image",
)  # fmt: skip
ODD = (
    None, True, -1, 0, 2**63, 10**400, 0.5, float("nan"), float("inf"), "", "x", "..", "\ud800", "a\x00b", "9" * 400,
    [], {}, [[]], [None], {"a": None}, [1, 2], "n01440764",
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """files: name -> bytes of a valid input; read: what a command does with the folder that holds them."""

    files: Mapping[str, bytes]
    read: Callable[[Path, Settings], object]


def changed(rng: random.Random, name: str, data: bytes) -> bytes:
    """One to four changes of a file."""
    if name.endswith((".json", ".yaml")) and rng.random() < 0.5:
        return _structure(rng, name, data)
    if name.endswith((".gz", ".xz", ".bz2")) and rng.random() < 0.7:
        pack = {"gz": gzip, "xz": lzma, "bz2": bz2}[name.rpartition(".")[2]]
        return pack.compress(_bytes(rng, pack.decompress(data)))
    if name.endswith(".csv") and rng.random() < 0.5:
        return _cells(rng, data)
    return _bytes(rng, data)


def _bytes(rng: random.Random, data: bytes) -> bytes:
    made = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(made) + 1)
        how = rng.randrange(7)
        if how == 0 and made:
            made[min(at, len(made) - 1)] ^= 1 << rng.randrange(8)
        elif how == 1:
            made[at:at] = rng.choice(TOKENS)
        elif how == 2:
            del made[at : at + rng.choice((1, 2, 8, 100))]
        elif how == 3:
            del made[at:]
        elif how == 4:
            made[at : at + 4] = rng.choice(
                (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff")
            )
        elif how == 5:
            made[at:at] = made[at // 2 : at]
        else:
            made[at : at + 1] = rng.randbytes(rng.randint(1, 5))
    return bytes(made)


def _cells(rng: random.Random, data: bytes) -> bytes:
    rows = list(csv.reader(io.StringIO(data.decode())))
    row = rng.choice(rows)
    row[rng.randrange(len(row))] = rng.choice(TOKENS).decode("latin-1")
    if rng.random() < 0.2:
        row.append("more")
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode("utf-8", "surrogatepass")


def _structure(rng: random.Random, name: str, data: bytes) -> bytes:
    import yaml

    loaded = json.loads(data) if name.endswith(".json") else yaml.safe_load(data)
    places: list[tuple[object, object]] = []

    def walk(node: object) -> None:
        pairs = (
            node.items()
            if isinstance(node, dict)
            else enumerate(node)
            if isinstance(node, list)
            else ()
        )
        for key, value in pairs:
            places.append((node, key))
            walk(value)

    walk(loaded)
    parent, key = rng.choice(places)
    if isinstance(parent, dict) and rng.random() < 0.2:
        parent[rng.choice(("x", "id", "name", "layout", "from"))] = parent.pop(key)
    else:
        parent[key] = rng.choice(ODD)  # type: ignore[index]
    if name.endswith(".json"):
        return json.dumps(loaded).encode()
    return yaml.safe_dump(loaded, allow_unicode=False).encode("utf-8", "surrogatepass")


def picture(form: str, mode: str = "RGB", side: int = 12) -> bytes:
    """A small image file."""
    grey = (np.arange(side * side).reshape(side, side) % 256).astype(np.uint8)
    image = Image.fromarray(grey).convert("RGB" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    out = io.BytesIO()
    image.save(out, form)
    return out.getvalue()


def plane(values: np.ndarray) -> bytes:
    """A grey or colour PNG of these values."""
    out = io.BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def archive(kind: str) -> bytes:
    """A small tar archive, with long names and a link beside what is wanted."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("top/set/a.png", "top/set/" + "b" * 120, "top/set/c/é.png", "top/README"):
            info = tarfile.TarInfo(name)
            info.size = 700
            tar.addfile(info, io.BytesIO(bytes(700)))
    return {"": bytes, "gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}[kind](
        out.getvalue()
    )


def example() -> bytes:
    """A TFRecord file of one example with image, heatmap and label."""

    def varint(value: int) -> bytes:
        made = b""
        while value > 127:
            made, value = made + bytes([value & 127 | 128]), value >> 7
        return made + bytes([value])

    def field(number: int, data: bytes) -> bytes:
        return varint(number << 3 | 2) + varint(len(data)) + data

    def feature(name: str, kind: int, data: bytes) -> bytes:
        return field(1, field(1, name.encode()) + field(2, field(kind, field(1, data))))

    body = feature("image", 1, picture("PNG")) + feature("heatmap", 1, picture("PNG", "L"))
    payload = field(1, body + feature("label", 3, varint(7)))
    return (struct.pack("<Q", len(payload)) + bytes(4) + payload + bytes(4)) * 2


def arrays() -> bytes:
    """An npz file of one image with its map."""
    out = io.BytesIO()
    np.savez(
        out,
        image=np.zeros((6, 6, 3), np.uint8),
        heatmap=np.ones((6, 6), np.float32),
        label=np.array(3),
    )
    return out.getvalue()


def table(rows: list[list[str]]) -> bytes:
    """A CSV file."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


HEADER = ["subj", "session", "trial", "rt", "object_response", "category", "condition", "imagename"]
SEEN = [f"000{i}_cop_s01_c05_cat_10_n1_{i}.png" for i in range(6)]
TRIALS = table(
    [HEADER, *(["subject-01", "1", name[3], "0.5", "cat", "cat", "c05", name] for name in SEEN)]
)
CONFLICT = table(
    [HEADER]
    + [["net", "1", str(i), "NaN", "dog", "cat", "0", f"cat{i}-dog1.png"] for i in range(4)]
)
LABELS = table([["image", "category"], ["a.png", "cat"], ["b.png", "dog"]])
XML = f"""<annotation><size><width>12</width><height>12</height></size><object><name>{WNID}</name><bndbox><xmin>2</xmin>
<ymin>2</ymin><xmax>6</xmax><ymax>7</ymax></bndbox></object></annotation>""".encode()
COCO = json.dumps(
    {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 12, "width": 12}],
        "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "person"}],
        "annotations": [
            {
                "image_id": 1,
                "category_id": 17,
                "iscrowd": 0,
                "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]],
            },
            {
                "image_id": 1,
                "category_id": 17,
                "iscrowd": 1,
                "segmentation": {"counts": [100, 44], "size": [12, 12]},
            },
            {
                "image_id": 1,
                "category_id": 18,
                "iscrowd": 0,
                "segmentation": {"counts": "T4<", "size": [12, 12]},
            },
        ],
    }
).encode()
ADDED = b"""mine: {role: mine, space: geirhos16, layout: class-folder, folder: /nowhere, count: 3, aliases: [other]}
edges: {folder: /nowhere, role: edges, space: geirhos16, layout: class-folder}
parts: {role: p, space: any, layout: cells, parts: [a, b], levels: [1, 2], files: {a.png: "00"}}
"""
MANIFEST = json.dumps(
    {
        "format": 1,
        "generator": {"name": "g", "version": "1"},
        "strength": 1.0,
        "seed": 0,
        "whole": 3,
    }
).encode()


def _drawn(layout: str, space: str) -> Callable[[Path, Settings], object]:
    def read(folder: Path, settings: Settings) -> None:
        entry = Entry("mine", "mine", space, layout)  # type: ignore[arg-type]
        stimuli = open_annotated(entry, folder, settings)
        for i in range(len(stimuli)):
            stimuli.decode(i)
            for drawn in (stimuli.mask, stimuli.ignored, stimuli.importance):
                if drawn is not None:
                    drawn(i)

    return read


def _opened(layout: str, space: str) -> Callable[[Path, Settings], object]:
    def read(folder: Path, settings: Settings) -> None:
        entry = Entry("mine", "mine", space, layout)  # type: ignore[arg-type]
        list(decoded_chunks(open_folder(entry, folder, settings), [0], settings.decoded))

    return read


def _images(folder: Path, _settings: Settings) -> None:
    for path in sorted(folder.iterdir()):
        size_of(path, "get it")
        read_rgb(path, "get it")


def _trials(folder: Path, _settings: Settings) -> None:
    files = read_trials(folder)
    for experiment in {file.experiment for file in files}:
        trial_stimuli([file for file in files if file.experiment == experiment])
    recipes_beside(folder)


def _unpacked(folder: Path, _settings: Settings) -> None:
    (path,) = folder.iterdir()
    for i, member in enumerate(("set", None)):
        unpack(path, member, folder / f"out{i}", Bounds(10**6, 100))


def _catalogue(folder: Path, settings: Settings) -> None:
    target = added_file(settings)
    target.parent.mkdir(exist_ok=True)
    shutil.copy(folder / "stimuli.yaml", target)
    try:
        read_catalogue(settings)
    finally:
        target.unlink()


def _names(folder: Path, _settings: Settings) -> None:
    read_names(Entry("mine", "mine", "imagenet1k", "names", "names", of="imagenet-val"), folder)


def _textures(folder: Path, _settings: Settings) -> None:
    read_textures(Entry("mine", "frost", "any", "textures", "textures"), folder)


def _added(folder: Path, settings: Settings) -> None:
    try:
        add("mine", folder, settings, space="geirhos16")
    finally:
        added_file(settings).unlink(missing_ok=True)


def _memory(folder: Path, settings: Settings) -> None:
    """The program's own memory of digests, damaged."""
    place = image_files._memory(folder / "set", settings)
    place.parent.mkdir(parents=True)
    (folder / "set" / "memory.json").rename(place)
    _opened("class-folder", "geirhos16")(folder / "set", settings)
    shutil.rmtree(settings.home)


def map_file() -> bytes:
    """A NumPy file with a graded map."""
    out = io.BytesIO()
    np.save(out, np.ones((12, 12), np.float32))
    return out.getvalue()


def memory() -> bytes:
    """A memory of digests."""
    return json.dumps({"cat/a.png": [1, 2, 3, 4, "0" * 64]}).encode()


VOC = np.full((12, 12), 8)
IMAGENET_S = np.stack([np.full((12, 12), 1), np.zeros((12, 12)), np.zeros((12, 12))], axis=2)
_S = "ImageNetS50/validation{}/n01443537/a.{}"
PHOTO, GREY = picture("PNG"), picture("PNG", "L")
PAIR = {"images/a.png": PHOTO, "images/b.png": PHOTO}
CLICKS = table([["image", "category"], ["a.png", WNID]])
TRAINING = b"net: [standard, 'noise(uniform)']\nother: stylised\n"
FORMS = (
    *(
        ("PNG", "RGB"),
        ("PNG", "P"),
        ("PNG", "I;16"),
        ("PNG", "LA"),
        ("JPEG", "RGB"),
        ("JPEG", "CMYK"),
        ("BMP", "RGB"),
    ),
    *(("WEBP", "RGB"), ("PPM", "RGB"), ("TIFF", "RGB"), ("TIFF", "F"), ("GIF", "P")),
)
TABLES = {
    "contrast_subject-01_session_1.csv": TRIALS,
    "cue-conflict_net_session-1.csv": CONFLICT,
    "training.yaml": TRAINING,
}
KINDS: Mapping[str, Kind] = {
    "catalogue": Kind({"stimuli.yaml": ADDED}, _catalogue),
    "names": Kind({"list.txt": b"n01440764/a.JPEG\nn01440764/b.JPEG\n"}, _names),
    "labels": Kind({"labels.csv": LABELS, **PAIR}, _opened("labels-csv", "geirhos16")),
    "added": Kind({"labels.csv": LABELS, **PAIR, "masks/a.png": GREY, "masks/b.png": GREY}, _added),
    "masks": Kind(
        {"labels.csv": LABELS, **PAIR, "masks/a.png": GREY, "masks/b.png": picture("PNG", "P")},
        _drawn("masks", "geirhos16"),
    ),
    "coco": Kind(
        {"annotations/instances_val2017.json": COCO, "val2017/a.jpg": picture("JPEG")},
        _drawn("coco", "geirhos16"),
    ),
    "voc": Kind(
        {
            "ImageSets/Segmentation/val.txt": b"a\n",
            "SegmentationClass/a.png": plane(VOC),
            "JPEGImages/a.jpg": picture("JPEG"),
        },
        _drawn("voc", "geirhos16"),
    ),
    "boxes": Kind(
        {"Annotations/a.xml": XML, f"images/{WNID}/a.JPEG": picture("JPEG")},
        _drawn("imagenet-boxes", "imagenet1k"),
    ),
    "imagenet-s": Kind(
        {
            _S.format("", "JPEG"): picture("JPEG"),
            _S.format("-segmentation", "png"): plane(IMAGENET_S),
        },
        _drawn("imagenet-s", "imagenet1k"),
    ),
    "clickme-npz": Kind({"a.npz": arrays()}, _drawn("clickme", "imagenet1k")),
    "clickme-records": Kind({"a.tfrecords": example()}, _drawn("clickme", "imagenet1k")),
    "clickme-folder": Kind(
        {"labels.csv": CLICKS, "images/a.png": PHOTO, "heatmaps/a.npy": map_file()},
        _drawn("clickme", "imagenet1k"),
    ),
    "tar": Kind({"a.tar": archive("")}, _unpacked),
    **{
        f"tar.{kind}": Kind({f"a.tar.{kind}": archive(kind)}, _unpacked)
        for kind in ("gz", "xz", "bz2")
    },
    **{
        f"image-{form}-{mode}".lower(): Kind({f"a.{form.lower()}": picture(form, mode)}, _images)
        for form, mode in FORMS
    },
    "trials": Kind(TABLES, _trials),
    "manifest": Kind({"stylised.json": MANIFEST}, lambda folder, _: read_manifest(folder)),
    "textures": Kind({"frost1.png": PHOTO, "frost2.jpg": picture("JPEG")}, _textures),
    "memory": Kind({"set/cat/a.png": PHOTO, "set/memory.json": memory()}, _memory),
}


def fuzz(name: str, inputs: int, seed: int, place: Path) -> tuple[int, list[str]]:
    """How many of the inputs were answered with a result, and what ended in a traceback ("SEED: error")."""
    kind, answered, tracebacks = KINDS[name], 0, []
    settings = Settings(home=place / "home", db="results.db", mirror=None, data=None)
    for i in range(inputs):
        rng = random.Random(f"{name} {seed} {i}")
        folder = place / "input"
        victim = rng.choice(sorted(kind.files))
        for file, data in kind.files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(changed(rng, file, data) if file == victim else data)
        try:
            kind.read(folder, settings)
            answered += 1
        except BenchError:
            pass
        except Exception as error:  # noqa: BLE001 - what is counted here
            tracebacks.append(f"{name} {seed} {i}: {_where(error)} {error!r:.200}")
        shutil.rmtree(folder)
    return answered, tracebacks


def _where(error: BaseException) -> str:
    """The innermost line of this program."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if f"{os.sep}benchmark{os.sep}" in code.co_filename:
            place = f"{Path(code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
