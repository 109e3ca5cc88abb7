from __future__ import annotations

import struct
import tracemalloc

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


class TestBf16:
    """The upper half of a float32, rounded to the nearest, ties to even."""

    @pytest.mark.parametrize(
        ("bits", "half"),
        [
            (0x7F800001, 0x7FC0),
            (0xFFFFFFFF, 0xFFFF),
            (0x3F800000, 0x3F80),
            (0x3F807FFF, 0x3F80),
            (0x3F808000, 0x3F80),
            (0x3F808001, 0x3F81),
            (0x3F818000, 0x3F82),
            (0xBF818000, 0xBF82),
            (0x00000000, 0x0000),
            (0x80000000, 0x8000),
            (0x00000001, 0x0000),
            (0x7F7FFFFF, 0x7F80),
            (0x7F800000, 0x7F80),
            (0xFF800000, 0xFF80),
        ],
    )
    def test_rounding(self, bits: int, half: int) -> None:
        values = np.frombuffer(struct.pack("<I", bits), "<f4")
        assert bytes(raw.pack("BF16", values)) == struct.pack("<H", half)

    @pytest.mark.parametrize("bits", [0x7F800001, 0x7FFFFFFF, 0xFF800001, 0xFFFFFFFF, 0x7FC00000])
    def test_nan_stays_nan_of_its_sign(self, bits: int) -> None:
        packed = bytes(raw.pack("BF16", np.frombuffer(struct.pack("<I", bits), "<f4")))
        assert np.isnan(raw.unpack("BF16", (1,), packed)[0])
        assert packed[1] >> 7 == bits >> 31

    def test_each_value_of_it_survives_bit_for_bit(self) -> None:
        packed = np.arange(1 << 16, dtype="<u2").tobytes()
        array = raw.unpack("BF16", (1 << 8, 1 << 8), packed)
        assert array.dtype == np.float32
        assert not array.flags.writeable
        assert bytes(raw.pack("BF16", array)) == packed

    def test_other_orders_of_bytes_and_axes(self) -> None:
        values = np.arange(6, dtype=">f4").reshape(2, 3).T
        packed = bytes(raw.pack("BF16", values))
        assert raw.unpack("BF16", (6,), packed).tolist() == [0, 3, 1, 4, 2, 5]

    def test_half_a_value(self) -> None:
        with pytest.raises(ValueError, match=r"\[2\] of BF16 takes 4 bytes, but raw contents have"):
            raw.unpack("BF16", (2,), b"123")


def test_more_elements_than_the_shape_are_not_made() -> None:
    # Each empty element takes 4 bytes on the wire, and some ten times that as an object.
    contents = bytes(4 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="holds 2 elements, but raw contents have more"):
            raw.unpack("BYTES", (2,), memoryview(contents))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(contents)


@pytest.mark.parametrize("datatype", ["FP8", "", "fp32"])
def test_an_unknown_datatype(datatype: str) -> None:
    with pytest.raises(ValueError, match=f"unknown datatype '{datatype}'; accepted: BOOL, "):
        raw.unpack(datatype, (1,), b"\0")


def test_any_byte_but_zero_is_true() -> None:
    truth = raw.unpack("BOOL", (2, 2), bytes([0, 1, 2, 255]))
    assert truth.view(np.uint8).tolist() == [[0, 1], [1, 1]]


def test_texts_go_as_utf8() -> None:
    assert raw.pack_bytes(["é", b"a"]) == b"\2\0\0\0\xc3\xa9\1\0\0\0a"
