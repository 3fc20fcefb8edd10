"""TFRecord files of tf.train.Example, read without TensorFlow: where each value lies, and numbers.

A record is the payload's length (8 bytes, little-endian), a check sum of it (4), the payload and a
check sum of the payload (4). The payload is a protocol buffer: features -> map of name -> bytes,
floats or whole numbers. Check sums (CRC-32C) are not compared.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import StimuliError
from benchmark.stimuli.image_files import open_plain
from registry.foreign import foreign

Span = tuple[int, int]  # first byte, and the one after the last
_HEAD, _TAIL = 12, 4
_BYTES, _NUMBERS = 1, 3  # fields of a feature: bytes_list, int64_list


@dataclass(frozen=True)
class Record:
    """One example. values: name -> where its bytes lie in the file; numbers: name -> a number."""

    values: Mapping[str, Span]
    numbers: Mapping[str, int]


def records_of(path: Path) -> list[Record]:
    """The examples of a file, in order; no image is read. Raises StimuliError where it is cut short
    or holds something else.
    """
    with (
        foreign("records", path, StimuliError, "It is not a whole TFRecord file of examples."),
        open_plain(path) as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        return [_example(data, span) for span in _payloads(data)]


def bytes_at(path: Path, span: Span) -> bytes:
    """The bytes of a value. Raises StimuliError where the file is shorter now."""
    with foreign("records", path, StimuliError), open_plain(path) as file:
        file.seek(span[0])
        data = file.read(span[1] - span[0])
    if len(data) != span[1] - span[0]:
        raise StimuliError(f"{path}: shorter than it was. Expected the whole TFRecord file.")
    return data


def _payloads(data: mmap.mmap) -> Iterator[Span]:
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        start, stop = at + _HEAD, at + _HEAD + length
        if stop + _TAIL > len(data):
            raise ValueError(f"cut short at byte {at}")
        yield start, stop
        at = stop + _TAIL


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
                    numbers.update((name, number) for number in _whole_numbers(data, kind))
    return Record(values, numbers)


def _whole_numbers(data: mmap.mmap, span: Span) -> Iterator[int]:
    """Field 1 of an int64 list, packed or not."""
    for number, value in _fields(data, span):
        if number == 1 and isinstance(value, int):
            yield value - (1 << 64) if value >> 63 else value
        elif number == 1 and isinstance(value, tuple):
            at = value[0]
            while at < value[1]:
                one, at = _varint(data, at, value[1])
                yield one - (1 << 64) if one >> 63 else one


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
