"""Columns of arrays <-> one compressed block of bytes. No pickle; equal columns give equal bytes.

Layout: magic (4) | CRC-32 of the rest (4) | zlib of (header length (4) | header | arrays).
The header is JSON: per column its name, dtype and shape. Numbers lie as raw little-endian arrays,
bit for bit (NaN included); text lies as a sorted vocabulary in the header and unsigned codes.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from benchmark.contracts import Array, Coded
from benchmark.contracts.columns import Column, Columns
from benchmark.errors import StoreError

MAGIC = b"GBC1"
_NUMBERS = "biuf"
_WIDEST = 8  # bytes: wider floats differ between machines
_CODES = ("|u1", "<u2", "<u4")


def encode(columns: Mapping[str, Array]) -> bytes:
    """The columns as bytes, in their order. StoreError on what is neither numbers nor text."""
    heads: list[dict[str, Any]] = []
    bodies: list[bytes] = []
    for name, values in columns.items():
        head, body = _encode_column(name, np.asarray(values))
        heads.append(head)
        bodies.append(body)
    header = json.dumps(heads, separators=(",", ":")).encode("ascii")
    packed = zlib.compress(b"".join([struct.pack("<I", len(header)), header, *bodies]), 6)
    return MAGIC + struct.pack("<I", zlib.crc32(packed)) + packed


def decode(payload: bytes, what: str = "stored columns") -> dict[str, Array]:
    """The columns that `encode` was given. StoreError on damaged bytes, naming the block `what`."""
    return dict(Columns(decode_codes(payload, what)))


def decode_codes(payload: bytes, what: str) -> dict[str, Column]:
    """As `decode`, with columns of text of one value per trial left as codes."""
    packed = payload[8:]
    if payload[:4] != MAGIC or payload[4:8] != struct.pack("<I", zlib.crc32(packed)):
        raise damaged(what, "its checksum does not fit its content")
    try:
        return _decode_body(zlib.decompress(packed))
    except (zlib.error, struct.error, ValueError, KeyError, TypeError, IndexError) as error:
        raise damaged(what, str(error)) from error


def damaged(what: str, why: str) -> StoreError:
    """The error for bytes that are not what was written."""
    return StoreError(
        f"{what} is damaged: {why}. The disk or a copy of the file is at fault; restore the "
        "leaderboard from a backup, or start a new one with `--db`."
    )


def _encode_column(name: str, values: Array) -> tuple[dict[str, Any], bytes]:
    if values.dtype.kind in "UO":
        return _encode_text(name, values)
    if values.dtype.kind not in _NUMBERS or values.dtype.itemsize > _WIDEST:
        raise StoreError(
            f"column '{name}' has type {values.dtype}: expected booleans, integers, floats or text"
        )
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    head = {"name": name, "dtype": little.dtype.str, "shape": list(values.shape)}
    return head, little.tobytes()


def _encode_text(name: str, values: Array) -> tuple[dict[str, Any], bytes]:
    if values.dtype.kind == "O":
        _check_text(name, values)
    words, codes = np.unique(values.astype(str).ravel(), return_inverse=True)
    dtype = next(kind for kind in _CODES if len(words) <= 1 << (8 * np.dtype(kind).itemsize))
    head = {"name": name, "dtype": dtype, "shape": list(values.shape), "words": words.tolist()}
    return head, codes.astype(dtype).tobytes()


def _check_text(name: str, values: Array) -> None:
    for value in values.ravel().tolist():
        if not isinstance(value, str):
            raise StoreError(
                f"column '{name}' holds Python objects ({type(value).__name__}): expected an "
                "array of booleans, integers, floats or text"
            )
        if value.endswith("\0"):
            raise StoreError(f"column '{name}' holds text that ends in a NUL character: {value!r}")


def _decode_body(body: bytes) -> dict[str, Column]:
    (size,) = struct.unpack_from("<I", body)
    offset = 4 + size
    columns: dict[str, Column] = {}
    for head in json.loads(body[4:offset]):
        dtype = np.dtype(head["dtype"])
        count = int(np.prod(head["shape"], dtype=np.int64))
        values = np.frombuffer(body, dtype, count, offset).reshape(head["shape"])
        offset += count * dtype.itemsize
        columns[head["name"]] = _words(head["words"], values) if "words" in head else values.copy()
    if offset != len(body):
        raise ValueError(f"{len(body) - offset} bytes are left over")
    return columns


def _words(words: list[str], codes: Array) -> Column:
    if not words:
        return np.empty(codes.shape, dtype="<U1")
    text = Coded(np.array(words, dtype=str), codes)
    if codes.size and int(codes.max()) >= len(words):
        raise ValueError("a text beyond its vocabulary")
    return text if codes.ndim == 1 else text.plain()


def unread(payload: bytes, n: int, what: str) -> Iterator[str]:
    """What is wrong with encoded columns of `n` values each; nothing where they can be read."""
    try:
        lengths = {len(values) for values in decode(payload, what).values()}
    except StoreError as error:
        yield str(error).partition(". The disk")[0]
        return
    if lengths != {n}:
        yield f"{what}: it says {n} values and holds {', '.join(map(str, sorted(lengths))) or 'none'}"


def is_digest(digest: str, content: str) -> bool:
    """Whether a text is what its digest says."""
    return hashlib.sha256(content.encode()).hexdigest() == digest


def refuse_damage(found: Iterator[str]) -> None:
    """StoreError on the first line: damage is not spread from one leaderboard to another."""
    for line in found:
        raise StoreError(
            f"nothing is merged from a damaged leaderboard: {line}. `bench db check --db FILE` says what else is wrong"
        )
