"""Files that are changed at random: each is refused, or decoded within the limit."""

from __future__ import annotations

import io
import resource
import struct
import warnings
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from infergraph.errors import InvalidInput
from infergraph.tensors.decode_memory import decode_memory
from infergraph.tensors.image import decode_image
from infergraph.tensors.image_headers import claimed_pixels
from tests.pictures import encoded, pattern

LIMIT = 4_000
Change = Callable[[bytes], bytes]


def _files() -> list[bytes]:
    small, large = Image.fromarray(pattern()), Image.fromarray(pattern(900, 700))
    layer = small.copy()
    layer.putalpha(Image.fromarray(pattern()[:, :, 0]))
    return [
        encoded(small),
        encoded(small.quantize(16)),
        encoded(layer),
        encoded(small, save_all=True, append_images=[small]),
        encoded(small, "JPEG"),
        encoded(small, "JPEG", progressive=True),
        encoded(small.convert("CMYK"), "JPEG"),
        encoded(small, "MPO", save_all=True, append_images=[large]),
        encoded(small, "WEBP"),
        encoded(small, "WEBP", lossless=True),
        encoded(layer, "WEBP", exif=b"Exif\0\0II*\0"),
        encoded(small, "WEBP", save_all=True, append_images=[large.resize((48, 32))]),
        encoded(large, compress_level=9),
        encoded(large, "JPEG", quality=10),
        encoded(large, "WEBP", quality=10),
    ]


FILES = _files()
NUMBERS = [0, 1, 0x7F, 0xFF, 0x4000, 0x7FFF, 0xFFFF, 700, 900, 0x7FFFFFFF, 0xFFFFFFFF]


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """One change of a file: a number written over, a part of a file put in, a part cut out."""
    kind = draw(st.sampled_from(["number", "number", "part", "cut", "bytes"]))
    # Near the beginning, where the headers are, more often than anywhere.
    place = draw(st.one_of(st.integers(0, 64), st.integers(0, 4096)))
    if kind == "number":
        form = draw(st.sampled_from([">H", "<H", ">I", "<I"]))
        mask = 0xFFFF if form[1] == "H" else 0xFFFFFFFF
        new = struct.pack(form, draw(st.sampled_from(NUMBERS)) & mask)
        return lambda data: data[:place] + new + data[place + len(new) :]
    if kind == "bytes":
        new = draw(st.binary(min_size=1, max_size=8))
        return lambda data: data[:place] + new + data[place + len(new) :]
    length = draw(st.integers(1, 64))
    if kind == "cut":
        return lambda data: data[:place] + data[place + length :]
    source = draw(st.sampled_from(FILES))
    start = draw(st.one_of(st.integers(0, 64), st.integers(0, len(source))))
    part = source[start : start + draw(st.sampled_from([length, 1000, 100_000]))]
    return lambda data: data[:place] + part + data[place:]


def with_right_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what they hold; any other file as it is."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    file = io.BytesIO(data)
    parts = [file.read(8)]
    while len(start := file.read(8)) == 8:
        content = file.read(int.from_bytes(start[:4], "big"))
        file.read(4)
        checksum = zlib.crc32(start[4:] + content)
        parts += [start, content, struct.pack(">I", checksum)]
    return b"".join(parts)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(FILES), st.lists(changes(), max_size=4), st.booleans())
def test_a_changed_file_is_refused_or_within_the_limit(
    data: bytes, several: list[Change], checksums: bool
) -> None:
    for change in several:
        data = change(data)
    if checksums:
        data = with_right_checksums(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pixels = decode_image(data, max_pixels=LIMIT)
    except InvalidInput:
        pass
    else:
        height, width, channels = pixels.shape
        assert pixels.dtype == np.uint8
        assert channels == 3
        assert 0 < height * width <= LIMIT
        assert claimed_pixels(data) == height * width
        del pixels

    assert decode_memory().held == 0
    # In KiB: a picture of 700x900 pixels, let alone a larger one, takes more.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16_000
