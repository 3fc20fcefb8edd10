"""Every reader of files from elsewhere, on damaged and hostile inputs drawn from a seed: a valid folder of each kind,
one of its files changed, and the call that reads it. A reader may give an answer or a BenchError fit for a terminal;
anything else counts as a traceback."""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import random
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from functools import cache
from pathlib import Path
from traceback import extract_tb
from typing import NamedTuple

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save
from torch import nn

from benchmark.engine.inference import decoded_chunks
from benchmark.failures import BenchError
from benchmark.leaderboard.leaderboard_document import read_leaderboard_document
from benchmark.settings import Settings
from benchmark.stimuli import image_files
from benchmark.stimuli.catalogue import Entry, added_file, read_catalogue
from benchmark.stimuli.datasets import open_folder, read_names
from benchmark.stimuli.fetch import add_folder, unpack
from benchmark.stimuli.image_files import read_rgb, size_of
from benchmark.stimuli.regenerate import trial_stimuli
from benchmark.stimuli.resolver import read_textures
from benchmark.stimuli.score_tables import read_scores
from benchmark.stimuli.trial_tables import read_tables
from registry.cards import read_cards
from registry.checkpoints import fit_state, read_weights
from registry.download import missing_weights
from registry.families.exported import checked_archive
from registry.families.family import of_files
from registry.families.zero_shot import read_text_head
from registry.files import WeightSources
from registry.heads import read_head
from registry.labels import read_class_list, read_mapping
from registry.preprocessing import preprocess_of, read_folder
from registry.training_runs import steps_in_file

pytestmark = pytest.mark.filterwarnings("ignore")

WNID, K1 = "n01440764", "imagenet1k"
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


class Kind(NamedTuple):
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
    if data.startswith(b"PK") and rng.random() < 0.7:
        return _member(rng, data)
    if name.endswith(".safetensors") and len(data) > 8 and rng.random() < 0.7:
        length = int.from_bytes(data[:8], "little")
        head = changed(rng, "head.json", data[8 : 8 + length])
        claimed = len(head) if rng.random() < 0.8 else rng.choice((0, 2**40, 2**63))
        return claimed.to_bytes(8, "little") + head + data[8 + length :]
    return _bytes(rng, data)


def _member(rng: random.Random, data: bytes) -> bytes:
    """A zip archive with one member changed behind the archive's own check sums."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        telling = [n for n in names if n.endswith((".pkl", ".json", "version", "byteorder"))]
        chosen = rng.choice(telling if rng.random() < 0.8 and telling else names)
        for name in names:
            part = old.read(name)
            new.writestr(name, changed(rng, name, part) if name == chosen else part)
    return out.getvalue()


def _bytes(rng: random.Random, data: bytes) -> bytes:
    made = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(made) + 1)
        how = rng.randrange(6)
        if how == 0 and made:
            made[min(at, len(made) - 1)] ^= 1 << rng.randrange(8)
        elif how == 1:
            made[at:at] = rng.choice(TOKENS)
        elif how == 2:
            del made[at : at + rng.choice((1, 8, len(made)))]
        elif how == 3:
            made[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff"))
        elif how == 4:
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
    return table(rows)


def _structure(rng: random.Random, name: str, data: bytes) -> bytes:
    import yaml

    loaded = json.loads(data) if name.endswith(".json") else yaml.safe_load(data)
    places: list[tuple[object, object]] = []

    def walk(node: object) -> None:
        pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
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


def written_by(write: Callable[[io.BytesIO], object]) -> bytes:
    """What a library writes into a file."""
    out = io.BytesIO()
    write(out)
    return out.getvalue()


def picture(form: str, mode: str = "RGB") -> bytes:
    grey = np.arange(144, dtype=np.uint8).reshape(12, 12)
    wide = mode == "I;16"
    image = Image.fromarray(grey.astype(np.uint16) * 257) if wide else Image.fromarray(grey).convert(mode)
    return written_by(lambda out: image.save(out, form))


def plane(values: np.ndarray) -> bytes:
    return written_by(lambda out: Image.fromarray(values.astype(np.uint8)).save(out, "PNG"))


def archive(kind: str) -> bytes:
    """A small tar archive, with long names and a link beside what is wanted."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("top/set/a.png", "top/set/" + "b" * 120, "top/set/c/é.png", "top/README"):
            info = tarfile.TarInfo(name)
            info.size = 700
            tar.addfile(info, io.BytesIO(bytes(700)))
    return {"": bytes, "gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}[kind](out.getvalue())


def table(rows: list[list[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode("utf-8", "surrogatepass")


HEADER = ["subj", "session", "trial", "rt", "object_response", "category", "condition", "imagename"]
SEEN = [f"000{i}_cop_s01_c05_cat_10_n1_{i}.png" for i in range(6)]
TRIALS = table([HEADER, *(["subject-01", "1", name[3], "0.5", "cat", "cat", "c05", name] for name in SEEN)])
CONFLICT = table([HEADER] + [["net", "1", str(i), "NaN", "dog", "cat", "0", f"cat{i}-dog1.png"] for i in range(4)])
LABELS = table([["image", "category"], ["a.png", "cat"], ["b.png", "dog"]])
XML = f"""<annotation><size><width>12</width><height>12</height></size><object><name>{WNID}</name><bndbox><xmin>2</xmin>
<ymin>2</ymin><xmax>6</xmax><ymax>7</ymax></bndbox></object></annotation>""".encode()
COCO = json.dumps(
    {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 12, "width": 12}],
        "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "person"}],
        "annotations": [
            {"image_id": 1, "category_id": 17, "iscrowd": 0, "area": 64, "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]]},
            {"image_id": 1, "category_id": 17, "iscrowd": 1, "area": 44, "segmentation": {"counts": [100, 44]}},
            {"image_id": 1, "category_id": 18, "iscrowd": 0, "area": 12, "segmentation": {"counts": [132, 12]}},
        ],
    }
).encode()
ADDED = b"""mine: {role: mine, space: geirhos16, layout: class-folder, folder: /nowhere, count: 3, aliases: [other]}
edges: {folder: /nowhere, role: edges, space: geirhos16, layout: class-folder}
parts: {role: p, space: any, layout: cells, parts: [a, b], levels: ["1", "2"], files: {a.png: "00"}}
"""
MANIFEST = json.dumps(
    {"format": 1, "generator": {"name": "g", "version": "1"}, "strength": 1.0, "seed": 0, "whole": 3}
).encode()


def _opened(layout: str, space: str = "geirhos16") -> Callable[[Path, Settings], object]:
    def read(folder: Path, settings: Settings) -> None:
        entry = Entry(name="mine", role="mine", space=space, layout=layout)  # type: ignore[arg-type]
        stimuli = open_folder(entry, folder, settings)
        list(decoded_chunks(stimuli, [0], settings.decoded))
        for drawn in filter(None, (stimuli.mask, stimuli.ignored, stimuli.importance)):
            for i in range(len(stimuli)):
                drawn(i)

    return read


def _images(folder: Path, _settings: Settings) -> None:
    for path in sorted(folder.iterdir()):
        size_of(path, "get it")
        read_rgb(path, "get it")


def _trials(folder: Path, _settings: Settings) -> None:
    files = read_tables(folder).files
    for experiment in {file.experiment for file in files}:
        trial_stimuli([file for file in files if file.experiment == experiment])


def _unpacked(folder: Path, _settings: Settings) -> None:
    (path,) = folder.iterdir()
    for i, member in enumerate(("set", None)):
        unpack(path, member, folder / f"out{i}", 10**6, 100)


def _catalogue(folder: Path, settings: Settings) -> None:
    settings.home.mkdir()
    shutil.copy(folder / "stimuli.yaml", added_file(settings))
    read_catalogue(settings)


def _added(folder: Path, settings: Settings) -> None:
    add_folder("mine", folder, settings, space="geirhos16")


def _memory(folder: Path, settings: Settings) -> None:
    """The program's own memory of digests, damaged."""
    name = image_files.text_digest(str((folder / "set").resolve()))[:32]
    place = settings.home / "digests" / f"{name}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    (folder / "set" / "memory.json").rename(place)
    _opened("class-folder")(folder / "set", settings)


CARD = b"""name: mine
source: file
arch: timm:resnet18
weights: https://me:pw@host/a/b%20c-0676ba61.pth?x=1#y
sha256: "0a00000000000000000000000000000000000000000000000000000000000000"
preprocess: {size: 224, resize: 256, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], scale: 1.0}
training: [standard, 'noise(uniform)']
reported: [{metric: top-1, value: 75.1, where: paper}]
options: {kwargs: {num_classes: 5}, key: model}
"""
CARDS = b"defaults:\n  source: file\ncards:\n  - {name: a, arch: 'timm:x', preprocess: {size: 8, resize: 8}}\n"
MAPPING = b"name: nine\nclasses: [a, b, c, d]\nspace: two\ngroups: {x: [0, b], y: [c, 3]}\n"
CONFIG = json.dumps(
    {
        "architecture": "test_resnet", "num_classes": 9, "model_args": {"img_size": 32},
        "pretrained_cfg": {"input_size": [3, 32, 32], "crop_pct": 0.8, "crop_mode": "border", "mean": [0.5, 0.4, 0.3],
                           "std": [0.2, 0.3, 0.4], "fixed_input_size": False, "interpolation": "bilinear"},
    }
).encode()  # fmt: skip
SCORES = json.dumps([{"observer": "net", "metric": "accuracy", "value": 0.5, "low": 0.4, "high": 0.6}]).encode()
DOCUMENT = json.dumps(
    {
        "form": "gestaltbench-leaderboard", "version": 2, "program": "1",
        "observers": [{"name": "net", "kind": "network", "identity": "0" * 64, "card": {"arch": "x"}}],
        "stimuli": [{"digest": "1" * 64, "name": "s", "space": "geirhos16", "n": 3,
                     "ids": ["a", "b", "c"], "labels": {"category": ["cat", "dog", "cat"]}}],
        "runs": [{"run": 1, "command": "bench run", "started": "2026-01-01"}],
        "score_sets": [{"id": 1, "suite": "s", "version": 1, "space": "geirhos16", "code": "2" * 64,
                        "created": "2026-01-01", "stimuli": {"s": "1" * 64}, "runs": [1]}],
        "scores": [{"observer": "net", "suite": "s", "version": 1, "space": "geirhos16", "metric": "accuracy",
                    "value": 0.5, "low": 0.4, "high": 0.6, "n": 3, "score_set": 1, "stimuli": "1" * 64}],
        "observations": [{"key": "3" * 64, "observer": "net", "suite": "s", "version": 1, "space": "geirhos16",
                          "stimuli": "1" * 64, "role": "s", "presentation": "once", "n": 3}],
        "chunks": [{"observation": "3" * 64, "index": 0, "n": 3, "payload": "R0JDMQ=="}],
    }
).encode()  # fmt: skip


@cache
def network() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=9).eval()


def saved(content: object, **options: bool) -> bytes:
    return written_by(lambda out: torch.save(content, out, **options))


def head(place: str) -> bytes:
    """The head of a probe, and one of texts."""
    if place == "prompts":
        notes = {"names": ["a"], "templates": ["{}"], "text": "0", "scale": 1.0, "bias": 0.0}
        return save({"weight": torch.ones(1, 4)}, {"prompts": json.dumps(notes)})
    notes = {"kind": "linear", "classes": '["a", "b"]', "trained_on": "x", "backbone": "y", "images": "5"}
    return save({"weight": torch.ones(2, 4), "bias": torch.ones(2)}, {"head": json.dumps(notes)})


@cache
def program() -> bytes:
    batch, example = torch.export.Dim("batch", min=1, max=512), (torch.rand(2, 3, 32, 32),)
    exported = torch.export.export(network(), example, dynamic_shapes=({0: batch},))
    return written_by(lambda out: torch.export.save(exported, out))


def _cards(folder: Path, settings: Settings) -> None:
    found = read_cards(folder)
    for one in found.values():
        missing_weights(one, WeightSources(weights_folder=settings.home))
        assert "pw@" not in repr(one)
    for error in found.broken.values():
        raise error


def _weights(folder: Path, _settings: Settings) -> None:
    (path,) = folder.iterdir()
    steps_in_file(path)
    fit_state(network(), read_weights(path, {}).state, str(path))


def _model_folder(folder: Path, _settings: Settings) -> None:
    of_files("", folder)
    arch, _, _, stated = read_folder(folder, "")
    preprocess_of(arch, stated.fields)


def _only(read: Callable[[Path], object]) -> Callable[[Path, Settings], object]:
    return lambda folder, _settings: read(next(folder.iterdir()))


RING: dict[str, dict] = {"model": {}}
RING["model"]["model"] = RING["model"]  # a checkpoint that holds itself
VOC = np.full((12, 12), 8)
GRADED = written_by(lambda out: np.save(out, np.ones((12, 12), np.float32)))
DIGESTS = json.dumps({"cat/a.png": [1, 2, 3, 4, "0" * 64]}).encode()
NAMES = Entry(name="mine", role="mine", space="imagenet1k", layout="names", kind="names", of="imagenet-val")
TEXTURES = Entry(name="mine", role="frost", space="any", layout="textures", kind="textures")
IMAGENET_S = np.stack([np.full((12, 12), 1), np.zeros((12, 12)), np.zeros((12, 12))], axis=2)
_S = "ImageNetS50/validation{}/n01443537/a.{}"
PHOTO, GREY, JPEG = picture("PNG"), picture("PNG", "L"), picture("JPEG")
PAIR = {"images/a.png": PHOTO, "images/b.png": PHOTO}
CLICKS = table([["image", "category"], ["a.png", WNID]])
FORMS = (
    *(("PNG", "RGB"), ("PNG", "P"), ("PNG", "I;16"), ("PNG", "LA"), ("JPEG", "RGB"), ("JPEG", "CMYK"), ("BMP", "RGB")),
    *(("WEBP", "RGB"), ("PPM", "RGB"), ("TIFF", "RGB"), ("TIFF", "F"), ("GIF", "P")),
)
TABLES = {"contrast_subject-01_session_1.csv": TRIALS, "cue-conflict_net_session-1.csv": CONFLICT}
KINDS: Mapping[str, Kind] = {
    "catalogue": Kind({"stimuli.yaml": ADDED}, _catalogue),
    "names": Kind({"list.txt": b"n01440764/a.JPEG\nn01440764/b.JPEG\n"}, lambda folder, _: read_names(NAMES, folder)),
    "labels": Kind({"labels.csv": LABELS, **PAIR}, _opened("labels-csv")),
    "added": Kind({"labels.csv": LABELS, **PAIR, "masks/a.png": GREY, "masks/b.png": GREY}, _added),
    "masks": Kind(
        {"labels.csv": LABELS, **PAIR, "masks/a.png": GREY, "masks/b.png": picture("PNG", "P")}, _opened("masks")
    ),
    "coco": Kind({"annotations/instances_val2017.json": COCO, "val2017/a.jpg": JPEG}, _opened("coco")),
    "voc": Kind(
        {"ImageSets/Segmentation/val.txt": b"a\n", "SegmentationClass/a.png": plane(VOC), "JPEGImages/a.jpg": JPEG},
        _opened("voc"),
    ),
    "boxes": Kind({"Annotations/a.xml": XML, f"images/{WNID}/a.JPEG": JPEG}, _opened("imagenet-boxes", K1)),
    "imagenet-s": Kind(
        {_S.format("", "JPEG"): JPEG, _S.format("-segmentation", "png"): plane(IMAGENET_S)}, _opened("imagenet-s", K1)
    ),
    "clickme-folder": Kind(
        {"labels.csv": CLICKS, "images/a.png": PHOTO, "heatmaps/a.npy": GRADED}, _opened("clickme", K1)
    ),
    "tar": Kind({"a.tar": archive("")}, _unpacked),
    **{f"tar.{kind}": Kind({f"a.tar.{kind}": archive(kind)}, _unpacked) for kind in ("gz", "xz", "bz2")},
    **{
        f"image-{form}-{mode}".lower(): Kind({f"a.{form.lower()}": picture(form, mode)}, _images)
        for form, mode in FORMS
    },
    "trials": Kind(TABLES, _trials),
    "manifest": Kind({"cat/a.png": PHOTO, "stylised.json": MANIFEST}, _opened("class-folder")),
    "textures": Kind({"frost1.png": PHOTO, "frost2.jpg": JPEG}, lambda folder, _: read_textures(TEXTURES, folder)),
    "memory": Kind({"set/cat/a.png": PHOTO, "set/memory.json": DIGESTS}, _memory),
    "card": Kind({"x.yaml": CARD}, _cards),
    "cards": Kind({"x.yaml": CARDS}, _cards),
    "mapping": Kind({"m.yaml": MAPPING}, _only(read_mapping)),
    "class-list": Kind({"c.json": b'["a", "b"]'}, _only(read_class_list)),
    "class-names": Kind({"c.txt": b"a\nb\n"}, _only(read_class_list)),
    "checkpoint": Kind({"n.pt": saved({"model": network().state_dict(), "epoch": 3})}, _weights),
    "old-checkpoint": Kind({"n.pt": saved(network().state_dict(), _use_new_zipfile_serialization=False)}, _weights),
    "ring": Kind({"n.pt": saved(RING)}, _weights),
    "safetensors": Kind({"n.safetensors": save(network().state_dict(), {"step": "3"})}, _weights),
    "exported": Kind({"n.pt2": program()}, _only(checked_archive)),
    "model-folder": Kind({"config.json": CONFIG, "model.safetensors": b""}, _model_folder),
    "head": Kind({"h.safetensors": head("head")}, _only(lambda path: read_head(path))),
    "text-head": Kind({"h.safetensors": head("prompts")}, _only(lambda path: read_text_head(path, ""))),
    "scores": Kind({"s.json": SCORES}, _only(lambda path: read_scores(path))),
    "document": Kind({"lab.json": DOCUMENT}, _only(read_leaderboard_document)),
}


def written(kind: Kind, folder: Path, victim: str = "", change: Callable[[str, bytes], bytes] | None = None) -> None:
    """The files of a kind, one of them changed."""
    for file, data in kind.files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(change(file, data) if file == victim and change else data)


CONTROLS = "\x00\x1b\x7f\u2028\u202e\u2066\ud800"
OURS = {"catalogue", "memory"}  # the test itself reads these files
#: Floats have no known white; a text head of another digest; a state dict of no network; no weights in the ring.
REFUSED = {"image-tiff-f", "text-head", "ring"}


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "home", db="results.db", mirror=None, data=None)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_the_unchanged_input_is_read(name, tmp_path, settings):
    written(KINDS[name], tmp_path / "input")
    with pytest.raises(BenchError) if name in REFUSED else nullcontext():
        KINDS[name].read(tmp_path / "input", settings)


@pytest.mark.parametrize(("name", "victim"), [(name, file) for name, kind in KINDS.items() for file in kind.files])
def test_a_named_pipe_in_place_of_a_file_is_not_waited_for(name, victim, tmp_path, settings):
    kind, ended = KINDS[name], []
    written(kind, tmp_path / "input")
    if name not in OURS:
        (tmp_path / "input" / victim).unlink()
        os.mkfifo(tmp_path / "input" / victim)

    def read():
        with suppress(BenchError):
            kind.read(tmp_path / "input", settings)
        ended.append(True)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(30)
    assert ended


@pytest.mark.release
@pytest.mark.parametrize("name", KINDS)
def test_changed_inputs(name, tmp_path, settings):
    kind, tracebacks, folder = KINDS[name], [], tmp_path / "input"
    for i in range(int(os.environ.get("FUZZED_INPUTS", "40"))):
        rng = random.Random(f"{name} 1 {i}")
        written(kind, folder, rng.choice(sorted(kind.files)), lambda *file, rng=rng: changed(rng, *file))
        try:
            kind.read(folder, settings)
        except BenchError as error:
            if len(str(error)) > 4000 or set(CONTROLS) & set(str(error)):
                tracebacks.append(f"{name} {i}: not fit for a terminal {error!r:.200}")
        except Exception as error:  # noqa: BLE001 - what is counted here
            where = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in extract_tb(error.__traceback__)]
            tracebacks.append(f"{name} {i}: {where} {error!r:.200}")
        for left in (folder, settings.home):
            shutil.rmtree(left, ignore_errors=True)
    assert tracebacks == []
