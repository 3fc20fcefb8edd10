"""Columns of arrays <-> one compressed block of bytes. No pickle; equal columns give equal bytes.

Layout: magic (4) | CRC-32 of the rest (4) | zlib of (header length (4) | header | arrays).
The header is JSON: per column its name, dtype and shape. Numbers lie as raw little-endian arrays,
bit for bit (NaN included); text lies as a sorted vocabulary in the header and unsigned codes.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmark.contracts import Array, Coded
from benchmark.contracts.trials import Column, Columns
from benchmark.errors import StoreError
from benchmark.store.sql import NOT_WRITTEN, parsed

MAGIC = b"GBC1"
_NUMBERS = "biuf"
_WIDEST = 8  # bytes: wider floats differ between machines
_CODES = ("|u1", "<u2", "<u4")
#: A foreign block may be small and inflate a thousandfold: no value takes more bytes than this, headers apart.
_BYTES_PER_VALUE, _HEADER, LARGEST = 16 * 2**10, 2**20, 2**30
_COLUMNS, _DIMENSIONS = 1000, 8


def encode(columns: Mapping[str, Array]) -> bytes:
    """The columns as bytes, in their order. Raises StoreError on what is neither numbers nor text."""
    heads: list[dict[str, Any]] = []
    bodies: list[bytes] = []
    for name, values in columns.items():
        head, body = _encode_column(name, np.asarray(values))
        heads.append(head)
        bodies.append(body)
    header = json.dumps(heads, separators=(",", ":")).encode("ascii")
    packed = zlib.compress(b"".join([struct.pack("<I", len(header)), header, *bodies]), 6)
    return MAGIC + struct.pack("<I", zlib.crc32(packed)) + packed


def decode(payload: bytes, n: int, what: str = "stored columns") -> dict[str, Array]:
    """The columns that `encode` was given, `n` values each. Raises StoreError on damaged bytes, naming the block."""
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
        raise damaged(what, f"it says {n} values and holds {', '.join(map(str, sorted(lengths)))}")
    return columns


def damaged(what: str, why: str) -> StoreError:
    """The error for bytes that are not what was written."""
    return StoreError(
        f"{what} is damaged: {why}. The disk or a copy of the file is at fault; restore the "
        "leaderboard from a backup, or start a new one with `--db`."
    )


def _encode_column(name: str, values: Array) -> tuple[dict[str, Any], bytes]:
    if values.dtype.kind in "UO":
        return _encode_text(name, values)
    if not _is_number(values.dtype):
        raise StoreError(f"column '{name}' has type {values.dtype}: expected booleans, integers, floats or text")
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    head = {"name": name, "dtype": little.dtype.str, "shape": list(values.shape)}
    return head, little.tobytes()


def _encode_text(name: str, values: Array) -> tuple[dict[str, Any], bytes]:
    if values.dtype.kind == "O":
        for value in values.ravel().tolist():
            if not isinstance(value, str):
                raise StoreError(
                    f"column '{name}' holds Python objects ({type(value).__name__}): expected an "
                    "array of booleans, integers, floats or text"
                )
            if value.endswith("\0"):
                raise StoreError(f"column '{name}' holds text that ends in a NUL character: {value!r}")
    words, codes = np.unique(values.astype(str).ravel(), return_inverse=True)
    dtype = next(kind for kind in _CODES if len(words) <= 1 << (8 * np.dtype(kind).itemsize))
    head = {"name": name, "dtype": dtype, "shape": list(values.shape), "words": words.tolist()}
    return head, codes.astype(dtype).tobytes()


def _decode_body(body: bytes) -> dict[str, Column]:
    (size,) = struct.unpack_from("<I", body)
    offset = 4 + size
    columns: dict[str, Column] = {}
    heads = parsed(body[4:offset].decode("ascii"), list, most=LARGEST)
    if len(heads) > _COLUMNS:
        raise ValueError(f"{len(heads)} columns")
    for head in heads:
        dtype, shape = np.dtype(head["dtype"]), head["shape"]
        if dtype.str not in _CODES if "words" in head else not _is_number(dtype):
            raise ValueError(f"a column of type {dtype}")
        if not 1 <= len(shape) <= _DIMENSIONS or min(shape) < 0:
            raise ValueError(f"a column of shape {shape}")
        count = math.prod(shape)
        values = np.frombuffer(body, dtype, count, offset).reshape(shape)
        offset += count * dtype.itemsize
        columns[head["name"]] = _words(head["words"], values) if "words" in head else values.copy()
    if offset != len(body):
        raise ValueError(f"{len(body) - offset} bytes are left over")
    return columns


def _is_number(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in _NUMBERS and dtype.itemsize <= _WIDEST


def _words(words: list[str], codes: Array) -> Column:
    if not words and not codes.size:
        return np.empty(codes.shape, dtype="<U1")
    if int(codes.max(initial=0)) >= len(words):
        raise ValueError("a text beyond its vocabulary")
    # numpy gives every word the room of the longest: one long word among many is no vocabulary of ours
    if len(words) * max(map(len, words)) > LARGEST // 4:
        raise ValueError("a vocabulary of long words")
    text = Coded(np.array(words, dtype=str), codes)
    return text if codes.ndim == 1 else text.plain()
