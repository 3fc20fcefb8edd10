"""ClickMe: graded maps of the parts of an image that people used (Linsley et al. 2019).

Read in any of three forms:
folder      images/, heatmaps/ (.npy, or a grey .png or .jpg) and labels.csv, category a WordNet id
npz         *.npz anywhere below, one an image: image (HWC, 0 to 255), heatmap (HW), label (0 to 999)
tfrecords   *.tfrecords anywhere below: features image, heatmap, label; the first two JPEG or PNG
            files (Fel et al. 2022), or float32 values of square images as the lab first gave them"""

import mmap
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import StimuliError
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.image_files import LARGEST, open_plain, whole_image
from benchmark.stimuli.items import Annotation, Item, Size, labelled_images
from benchmark.stimuli.masked.outlines import fitting, plane_of, read_plane
from registry.foreign import foreign
from registry.labels import label_space

# TFRecord files of tf.train.Example, read without TensorFlow: where each value lies, and numbers.
#
# A record is the payload's length (8 bytes, little-endian), a check sum of it (4), the payload and a check sum of the
# payload (4). The payload is a protocol buffer: features -> map of name -> bytes, floats or whole numbers. Check sums
# (CRC-32C) are not compared.
Span = tuple[int, int]  # first byte, and the one after the last
_HEAD, _TAIL = 12, 4
_BYTES, _NUMBERS = 1, 3  # fields of a feature: bytes_list, int64_list


@dataclass(frozen=True)
class Record:
    """One example. values: name -> where its bytes lie in the file; numbers: name -> a number."""

    values: Mapping[str, Span]
    numbers: Mapping[str, int]


def records_of(path: Path) -> list[Record]:
    """The examples of a file, in order; no image is read. Raises StimuliError where it is cut short or holds something
    else."""
    with (
        foreign("records", path, StimuliError, "It is not a whole TFRecord file of examples."),
        open_plain(path) as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        examples, at = [], 0
        while at < len(data):
            start = at + _HEAD
            stop = start + int.from_bytes(data[at : at + 8], "little")
            if stop + _TAIL > len(data):
                raise ValueError(f"cut short at byte {at}")
            examples.append(_example(data, (start, stop)))
            at = stop + _TAIL
        return examples


def bytes_at(path: Path, span: Span) -> bytes:
    """The bytes of a value. Raises StimuliError where the file is shorter now."""
    with foreign("records", path, StimuliError), open_plain(path) as file:
        file.seek(span[0])
        data = file.read(span[1] - span[0])
    if len(data) != span[1] - span[0]:
        raise StimuliError(f"{path}: shorter than it was. Expected the whole TFRecord file.")
    return data


def _example(data: mmap.mmap, payload: Span) -> Record:
    values: dict[str, Span] = {}
    numbers: dict[str, int] = {}
    for features in _inner(data, payload, 1):
        for entry in _inner(data, features, 1):
            name = b"".join(data[a:b] for a, b in _inner(data, entry, 1)).decode()
            for feature in _inner(data, entry, 2):
                for kind in _inner(data, feature, _BYTES):
                    values.update((name, span) for span in _inner(data, kind, 1))
                for kind in _inner(data, feature, _NUMBERS):
                    for number, value in _fields(data, kind):  # field 1, packed or not
                        wholes, (at, stop) = ([], value) if isinstance(value, tuple) else ([value], (0, 0))
                        while number == 1 and at < stop:
                            whole, at = _varint(data, at, stop)
                            wholes.append(whole)
                        numbers.update((name, x - (1 << 64) if x >> 63 else x) for x in wholes if number == 1)
    return Record(values, numbers)


def _inner(data: mmap.mmap, span: Span, wanted: int) -> Iterator[Span]:
    for number, value in _fields(data, span):
        if number == wanted and isinstance(value, tuple):
            yield value


def _fields(data: mmap.mmap, span: Span) -> Iterator[tuple[int, int | Span]]:
    """Field number, and a number or where its bytes lie. Raises ValueError on what is no message."""
    at, stop = span
    while at < stop:
        tag, at = _varint(data, at, stop)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(data, at, stop)
            yield tag >> 3, value
            continue
        fixed = {1: 8, 5: 4}.get(kind)
        length, at = (fixed, at) if fixed is not None else _varint(data, at, stop)
        if (fixed is None and kind != 2) or at + length > stop:
            raise ValueError(f"no message at byte {at}")
        yield tag >> 3, (at, at + length)
        at += length


def _varint(data: mmap.mmap, at: int, stop: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends."""
    value = 0
    for place in range(at, min(at + 10, stop)):
        value |= (data[place] & 127) << 7 * (place - at)
        if data[place] < 128:
            return value, place + 1
    raise ValueError(f"no number at byte {at}")


Map = NDArray[np.float32]
SUFFIXES = (".npy", ".png", ".jpg", ".jpeg")
_PICTURES = (b"\xff\xd8", b"\x89PNG")


def read(entry: Entry, folder: Path) -> Iterator[Item]:
    """The images of the form that lies in the folder. Raises StimuliError."""
    if (folder / "labels.csv").is_file():
        for item in labelled_images(entry, folder):
            start = folder / "heatmaps" / item.id
            maps = [path for suffix in SUFFIXES if (path := start.with_suffix(suffix)).is_file()]
            if not maps:
                raise StimuliError(
                    f"{start.with_suffix('.npy')}: there is no such map, but labels.csv names the "
                    f"image '{item.id}'. Expected one of {', '.join(SUFFIXES)}."
                )
            yield replace(item, annotation=Annotation(importance=partial(_map, maps[0], None), files=(maps[0],)))
        return
    shards = sorted(folder.rglob("*.tfrecord*"))
    for path in shards:
        name = path.relative_to(folder).as_posix()
        for number, record in enumerate(records_of(path)):
            missing = {"image", "heatmap"} - set(record.values) or {"label"} - set(record.numbers)
            if missing:
                raise StimuliError(f"{path}, record {number}: no feature '{min(missing)}'.")
            values = Recorded(path, number, record.values["image"], record.values["heatmap"])
            drawn = Annotation(importance=values.importance, pixels=values.pixels, text=f"record {number}")
            category = _wnid(record.numbers["label"], values.where)
            yield Item(f"{name}/{number:06d}", path, {"category": category}, drawn)
    for path in () if shards else sorted(folder.rglob("*.npz")):
        drawn = Annotation(importance=partial(_map, path, "heatmap"), pixels=partial(_archived_image, path))
        with foreign("maps", path, StimuliError, "Expected a label that is a class's number."):
            category = _wnid(int(_array(path, "label").reshape(-1)[0]), str(path))
        yield Item(path.relative_to(folder).as_posix(), path, {"category": category}, drawn)


def _map(path: Path, name: str | None, size: Size) -> Map:
    """HW float32 of a file of numbers, or of an image."""
    numbers = name is not None or path.suffix == ".npy"
    return _graded(_array(path, name) if numbers else read_plane(path), size, str(path))


def _archived_image(path: Path) -> NDArray[np.uint8]:
    return _rgb(_array(path, "image"), str(path))


@dataclass(frozen=True)
class Recorded:
    """An image and its map in a TFRecord file."""

    path: Path
    number: int
    image: Span
    heatmap: Span

    @property
    def where(self) -> str:
        """File and record, for errors."""
        return f"{self.path}, record {self.number}"

    def pixels(self) -> NDArray[np.uint8]:
        """HWC uint8."""
        return _rgb(self._plane(self.image, 3), self.where)

    def importance(self, size: Size) -> Map:
        """HW float32 >= 0."""
        return _graded(self._plane(self.heatmap, 1), size, self.where)

    def _plane(self, span: Span, channels: int) -> NDArray[Any]:
        data = bytes_at(self.path, span)
        if data.startswith(_PICTURES):
            with whole_image(self.where, ""):
                return plane_of(data)
        side = isqrt(len(data) // (4 * channels))
        if not side or len(data) != 4 * channels * side * side:
            raise StimuliError(f"{self.where}: {len(data)} bytes that are neither JPEG, PNG nor a square of float32.")
        return np.frombuffer(data, dtype="<f4").reshape(side, side, channels)


def _array(path: Path, name: str | None) -> NDArray[Any]:
    """An array of an npz file, or that of an npy file. Nothing in it is run."""
    what = f"with '{name}'" if name else "of numbers"
    expected = f"It is not a whole NumPy file {what}."
    with foreign("maps", path, StimuliError, expected), open_plain(path) as file:
        if name is not None:
            with zipfile.ZipFile(file) as packed:
                size = sum(part.file_size for part in packed.infolist())
            if size > LARGEST:
                raise ValueError(f"arrays of {size} bytes; at most {LARGEST} are read")
            file.seek(0)
        loaded = np.load(file, allow_pickle=False)
        return np.asarray(loaded if name is None else loaded[name])


def _wnid(label: int, where: str) -> str:
    classes = label_space("imagenet1k").classes
    if not 0 <= label < len(classes):
        raise StimuliError(f"{where}: label {label}; expected an output of ImageNet-1k, 0 to 999.")
    return classes[label]


def _rgb(values: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """HWC uint8 of values 0 to 255."""
    if values.ndim != 3 or values.shape[2] != 3:
        raise StimuliError(f"{where}: an image of shape {values.shape}; expected three channels.")
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def _graded(values: NDArray[Any], size: Size, where: str) -> Map:
    """HW float32; of a map of several channels their mean."""
    if values.dtype.kind not in "uifb":
        raise StimuliError(f"{where}: a map of {values.dtype}; expected numbers.")
    flat = values.mean(axis=2) if values.ndim == 3 else values
    plane: Map = fitting(flat, size, where).astype(np.float32)
    if not np.isfinite(plane).all() or plane.min(initial=0) < 0:
        raise StimuliError(f"{where}: a map with NaN, infinite or negative values; expected >= 0.")
    return plane
