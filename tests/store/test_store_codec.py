"""Columns come back from their bytes exactly, and damage never goes unnoticed."""

import zlib

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.failures import StoreError
from benchmark.store.codec import decode, encode

shapes = arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6)
numbers = st.one_of(
    arrays.boolean_dtypes(),
    arrays.integer_dtypes(endianness="?"),
    arrays.unsigned_integer_dtypes(endianness="?"),
    arrays.floating_dtypes(sizes=(16, 32, 64), endianness="?"),
).flatmap(lambda dtype: arrays.arrays(dtype, shapes))
letters = st.text(max_size=8).filter(lambda text: not text.endswith("\0"))
texts = arrays.arrays(object, shapes, elements=letters, fill=st.nothing())


@pytest.mark.slow
@settings(max_examples=10)
@given(st.text(max_size=10), st.one_of(numbers, texts))
def test_a_column_comes_back_and_equal_ones_give_equal_bytes(name, values):
    payload = encode({name: values})
    assert encode({name: np.asfortranarray(values.copy())}) == payload
    ((key, back),) = decode(payload, len(values)).items()
    assert (key, back.shape) == (name, values.shape)
    if values.dtype.kind == "O":
        assert (back.dtype.kind, back.tolist()) == ("U", values.tolist())
    else:
        little = values.astype(values.dtype.newbyteorder("<"))
        assert back.dtype == little.dtype
        assert back.tobytes() == little.tobytes()  # bit for bit: NaN and -0.0 included


@pytest.mark.parametrize(
    "values",
    [
        np.array([1, "a"], dtype=object),
        np.array([1j]),
        np.array(["a\0"], dtype=object),  # the final NUL would be lost
        np.array([b"bytes"]),
        np.array([1.0], dtype=np.longdouble),
    ],
)
def test_what_is_neither_numbers_nor_text_is_refused(values):
    with pytest.raises(StoreError, match="'odd'"):
        encode({"odd": values})


def test_every_damaged_byte_is_noticed():
    payload = encode({"response": np.array(["cat", "dog", "cat"]), "p": np.array([0.1, 0.2, np.nan])})
    for place in range(len(payload)):
        broken = bytearray(payload)
        broken[place] ^= 0x10
        with pytest.raises(StoreError, match="chunk 3 of observation k is damaged"):
            decode(bytes(broken), 3, "chunk 3 of observation k")


def framed(header, arrays=b""):
    """A block with a right checksum, whatever is in it."""
    body = len(header).to_bytes(4, "little") + header + arrays
    packed = zlib.compress(body)
    return b"GBC1" + zlib.crc32(packed).to_bytes(4, "little") + packed


@pytest.mark.parametrize(("payload", "said"), [
    (framed(b"[1,2]"), "not subscriptable"),
    (framed(b"[" * 100_000 + b"]" * 100_000), "nested too deeply"),
    (framed(b"[" + b"{}," * 1000 + b"{}]"), "1001 columns"),
    (framed(b'[{"name":"a","dtype":"|i1","shape":[1],"words":["x"]}]', b"\xff"), "type int8"),
    (framed(b'[{"name":"a","dtype":"|u1","shape":[1],"words":["x"]}]', b"\x01"), "vocabulary"),
    (framed(b'[{"name":"a","dtype":"|O","shape":[1]}]', 8 * b"\0"), "type object"),
    (framed(b'[{"name":"a","dtype":"<f8","shape":[-1]}]', 8 * b"\0"), "shape"),
    (framed(b'[{"name":"a","dtype":"<f8","shape":[2]}]', 16 * b"\0"), "it states 1 values and holds 2"),
    (framed(b"[]", bytes(2**26)), "inflates to more than"),
    (framed(b'[{"name":"a","dtype":"|u1","shape":[0],"words":["%s"%s]}]' % (b"x" * 2**14, 2**15 * b',"y"')),
     "long words"),
])  # fmt: skip
def test_a_right_checksum_over_nonsense_is_noticed(payload, said):
    with pytest.raises(StoreError, match=f"columns is damaged: .*{said}"):
        decode(payload, 1)
