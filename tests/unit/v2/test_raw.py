from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infergraph.v2 import raw


def test_numbers_are_little_endian() -> None:
    assert bytes(raw.pack("UINT32", np.array([1, 256], np.uint32))) == b"\1\0\0\0\0\1\0\0"
    assert bytes(raw.pack("FP16", np.array([1.0], np.float16))) == b"\x00\x3c"
    assert bytes(raw.pack("BOOL", np.array([True, False]))) == b"\1\0"


def test_numbers_of_the_other_byte_order_are_turned() -> None:
    assert bytes(raw.pack("INT16", np.array([1], ">i2"))) == b"\1\0"


def test_contents_of_a_contiguous_array_are_shared() -> None:
    array = np.zeros(4, np.float32)
    contents = raw.pack("FP32", array)
    array[0] = 1
    assert bytes(contents)[:4] == struct.pack("<f", 1)


def test_an_unpacked_array_shares_the_contents_and_cannot_change_them() -> None:
    contents = struct.pack("<2d", 1.5, 2.5)
    array = raw.unpack("FP64", (2, 1), contents)
    assert array.tolist() == [[1.5], [2.5]]
    assert not array.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


def test_elements_stand_after_their_lengths() -> None:
    assert raw.pack_bytes([b"ab", b""]) == b"\2\0\0\0ab\0\0\0\0"


@given(st.lists(st.binary(max_size=300)))
def test_elements_come_back(items: list[bytes]) -> None:
    contents = raw.pack_bytes(items)
    assert raw.unpack_bytes(contents, len(items)).tolist() == items
    assert raw.unpack("BYTES", (len(items), 1), contents).shape == (len(items), 1)


@pytest.mark.parametrize(
    ("datatype", "shape", "contents", "text"),
    [
        ("FP32", (2,), b"\0" * 4, r"shape \[2\] of FP32 takes 8 bytes, but raw contents have 4"),
        ("FP32", (0,), b"\0", r"takes 0 bytes, but raw contents have 1"),
        ("BYTES", (2,), b"\0" * 4, r"holds 2 elements, but raw contents have 1"),
        ("BYTES", (1,), b"\0" * 3, "end within the length of an element"),
        ("BYTES", (1,), b"\5\0\0\0abc", "an element of 5 bytes is cut off after 3"),
        ("BYTES", (1,), b"\xff\xff\xff\xff", "an element of 4294967295 bytes is cut off after 0"),
    ],
)
def test_contents_must_fill_the_shape(
    datatype: str, shape: tuple[int, ...], contents: bytes, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        raw.unpack(datatype, shape, contents)
