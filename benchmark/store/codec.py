"""Columns of arrays <-> one compressed block of bytes. No pickle; equal columns give equal bytes. Layout: magic (4) |
CRC-32 of the rest (4) | zlib of (header length (4) | JSON header with each column's name, dtype and shape | arrays).
Numbers are raw little-endian arrays, bit for bit; text is a sorted vocabulary in the header and unsigned codes."""

import json
import math
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmark.contracts import Array, Coded
from benchmark.contracts.trials import Column, Columns
from benchmark.failures import StoreError
from benchmark.store.db_errors import damaged
from benchmark.store.sql import NOT_WRITTEN, parsed

MAGIC = b"GBC1"
_NUMBERS = "biuf"
_WIDEST = 8  # bytes: wider floats differ between machines
_CODES = ("|u1", "<u2", "<u4")
#: A foreign block may be small and inflate a thousandfold: no value takes more bytes than this, headers apart.
_BYTES_PER_VALUE, _HEADER, LARGEST = 16 * 2**10, 2**20, 2**30
_COLUMNS, _DIMENSIONS = 1000, 8


def encode(columns: Mapping[str, Array]) -> bytes:
    """Return the columns as bytes, in their order. Raises StoreError for values that are neither numbers nor text."""
    heads: list[dict[str, Any]] = []
    bodies: list[bytes] = []
    for name, given in columns.items():
        values = np.asarray(given)
        head: dict[str, Any] = {"name": name, "dtype": "", "shape": list(values.shape)}
        if values.dtype.kind in "UO":
            strange = [value for value in values.ravel().tolist() if not isinstance(value, str) or value.endswith("\0")]
            if strange:  # numpy drops what ends a text
                wrong = f"{type(strange[0]).__name__} {strange[0]!r:.80}"
                raise StoreError(f"column '{name}' holds {wrong}: expected text that does not end in NUL, or numbers")
            words, codes = np.unique(values.astype(str).ravel(), return_inverse=True)
            dtype = next(kind for kind in _CODES if len(words) <= 1 << (8 * np.dtype(kind).itemsize))
            values, head["words"] = codes.astype(dtype), words.tolist()
        elif not _is_number(values.dtype):
            raise StoreError(f"column '{name}' has type {values.dtype}: expected booleans, integers, floats or text")
        values = values.astype(values.dtype.newbyteorder("<"), copy=False)
        heads.append(head | {"dtype": values.dtype.str})
        bodies.append(values.tobytes())
    header = json.dumps(heads, separators=(",", ":")).encode("ascii")
    packed = zlib.compress(b"".join([struct.pack("<I", len(header)), header, *bodies]), 6)
    return MAGIC + struct.pack("<I", zlib.crc32(packed)) + packed


def decode(payload: bytes, n: int, what: str = "stored columns") -> dict[str, Array]:
    """Return the columns that `encode` was given, `n` values each. Raises StoreError on damage, naming the block."""
    return dict(Columns(decode_codes(payload, n, what)))


def decode_codes(payload: bytes, n: int, what: str) -> dict[str, Column]:
    """As `decode`, with columns of text of one value per trial left as codes."""
    packed = payload[8:]
    if payload[:4] != MAGIC or payload[4:8] != struct.pack("<I", zlib.crc32(packed)):
        raise damaged(what, "its checksum does not fit its content")
    try:
        most = min(_HEADER + n * _BYTES_PER_VALUE, LARGEST)
        stream = zlib.decompressobj()
        body = stream.decompress(packed, most)
        if not stream.eof:
            raise ValueError(f"it ends early, or inflates to more than {most} bytes for {n} values")
        columns = _decode_body(body)
    except (zlib.error, struct.error, *NOT_WRITTEN) as error:
        raise damaged(what, str(error) or type(error).__name__) from error
    if lengths := {len(values) for values in columns.values()} - {n}:
        raise damaged(what, f"it states {n} values and holds {', '.join(map(str, sorted(lengths)))}")
    return columns


def _decode_body(body: bytes) -> dict[str, Column]:
    (size,) = struct.unpack_from("<I", body)
    offset = 4 + size
    columns: dict[str, Column] = {}
    heads = parsed(body[4:offset].decode("ascii"), list, most=LARGEST)
    if len(heads) > _COLUMNS:
        raise ValueError(f"{len(heads)} columns")
    for head in heads:
        dtype, shape, words = np.dtype(head["dtype"]), head["shape"], head.get("words")
        if dtype.str not in _CODES if words is not None else not _is_number(dtype):
            raise ValueError(f"a column of type {dtype}")
        if not 1 <= len(shape) <= _DIMENSIONS or min(shape) < 0:
            raise ValueError(f"a column of shape {shape}")
        count = math.prod(shape)
        values = np.frombuffer(body, dtype, count, offset).reshape(shape).copy()
        offset += count * dtype.itemsize
        if words is None:
            columns[head["name"]] = values
            continue
        if int(values.max(initial=0)) >= max(len(words), 1):
            raise ValueError("a text beyond its vocabulary")
        # numpy gives every word the room of the longest: one long word among many is no vocabulary of ours
        if len(words) * max(map(len, words), default=0) > LARGEST // 4:
            raise ValueError("a vocabulary of long words")
        text = Coded(np.array(words, dtype=str), values)
        columns[head["name"]] = text if values.ndim == 1 and words else text.plain()
    if offset != len(body):
        raise ValueError(f"{len(body) - offset} bytes are left over")
    return columns


def _is_number(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in _NUMBERS and dtype.itemsize <= _WIDEST
