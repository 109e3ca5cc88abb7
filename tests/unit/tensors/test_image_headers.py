"""Headers that contradict themselves: whatever is decoded has the size that was checked."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infergraph.errors import InvalidInput
from infergraph.tensors import image_headers
from infergraph.tensors.image import decode_image
from infergraph.tensors.image_headers import MAX_SCANS, claimed_pixels, reader_of
from tests.pictures import encoded, pattern, pattern_file

SMALL, LARGE = (48, 32), (300, 200)
LIMIT = 10_000


def refusal(data: bytes, *, pixels: int = LIMIT) -> str:
    with pytest.raises(InvalidInput) as caught:
        decode_image(data, max_pixels=pixels)
    return str(caught.value)


def header(data: bytes) -> image_headers.ImageHeader:
    read = reader_of(data)
    assert read is not None
    return read(data)


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def ihdr(width: int, height: int, more: bytes = b"") -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0) + more)


def png(*headers: bytes, between: Sequence[bytes] = ()) -> bytes:
    rows = b"".join(b"\0" + bytes(3 * LARGE[0]) for _ in range(LARGE[1]))
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join([*headers, *between, pixels, chunk(b"IEND", b"")])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (png(ihdr(1, 1), ihdr(*LARGE, b"?")), "two headers"),
        (png(ihdr(*LARGE, b"?"), ihdr(1, 1)), "another length than 13"),
        (png(ihdr(1, 1), ihdr(*LARGE)), "two headers"),
        (png(ihdr(1, 1), between=[chunk(b"IDAT", b""), ihdr(*LARGE)]), "two headers"),
        (png(chunk(b"tEXt", b"a\0b"), ihdr(1, 1)), "does not begin with its header"),
        (png(chunk(b"CgBI", b"\0\0\0\0"), ihdr(1, 1)), "does not begin with its header"),
        (png(chunk(b"IHDR", b""), ihdr(1, 1)), "another length than 13"),
        (png(ihdr(1, 1), chunk(b"XYZW", b"")), "the unknown chunk b'XYZW'"),
        (png(ihdr(1, 1), chunk(b"acTL", bytes(8))), "an animated PNG"),
        (png(ihdr(*LARGE)), "300x200 pixels; accepted: at most 10000"),
    ],
)
def test_a_png_says_one_size(data: bytes, text: str) -> None:
    assert text in refusal(data)


def test_frames_of_a_png_that_does_not_say_that_it_is_animated_are_left_out() -> None:
    control = struct.pack(">IIIIIHHBB", 0, *LARGE, 0, 0, 1, 1, 0, 0)
    data = png(ihdr(*LARGE), chunk(b"fcTL", control), chunk(b"fdAT", bytes(9)))

    assert decode_image(data, max_pixels=60_000).shape == (200, 300, 3)
    assert b"fcTL" not in header(data).data
    assert b"fdAT" not in header(data).data


def frame(data: bytes) -> bytes:
    """The segment of a JPEG that holds its size."""
    start = re.search(rb"\xff[\xc0\xc2]\0\x11", data).start()  # type: ignore[union-attr]
    return data[start : start + 19]


def jpeg(size: tuple[int, int] = SMALL, **options: Any) -> bytes:
    return pattern_file(*size, format="JPEG", quality=90, **options)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_says_one_size(progressive: bool) -> None:
    small, large = jpeg(progressive=progressive), jpeg(LARGE, progressive=progressive)
    segment = frame(small)
    scan = small.index(b"\xff\xda")
    twice = {
        "before": small.replace(segment, frame(large) + segment),
        "behind": small.replace(segment, segment + frame(large)),
        "alike": small.replace(segment, segment * 2),
        "after the pixels": small[:-2] + frame(large) + b"\xff\xd9",
        "beside other pixels": large.replace(frame(large), segment + frame(large)),
        "of another kind": small[:scan]
        + frame(large).replace(b"\xff\xc0", b"\xff\xc1")
        + small[scan:],
    }

    for name, data in twice.items():
        assert "two headers of a picture" in refusal(data), name


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (b"\0\x11\x08", b"\0\x14\x08", "another length than it says"),
        (b"\x03\x01\x22", b"\x04\x01\x22", "another length than it says"),
        (b"\xff\xda", b"\xff\xd8\xff\xda", "another image begins within it"),
        (b"\xff\xda", b"\xff\xd9\xff\xda", "it ends within its header"),
    ],
)
def test_a_jpeg_whose_parts_do_not_fit_is_refused(old: bytes, new: bytes, text: str) -> None:
    data = jpeg()
    assert data.count(old) == 1

    assert text in refusal(data.replace(old, new))


def test_the_height_of_a_jpeg_cannot_follow_later() -> None:
    data = jpeg()
    height = data.index(frame(data)) + 5
    data = data[:height] + b"\0\0" + data[height + 2 : -2] + b"\xff\xdc\0\x04\xff\xff\xff\xd9"

    assert "an image of 48x0 pixels; accepted: at least 1x1" in refusal(data)


def test_the_scans_of_a_jpeg_are_limited() -> None:
    data = jpeg(progressive=True)
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    there = data.count(b"\xff\xda")

    fits = data[:-2] + scan * (MAX_SCANS - there) + b"\xff\xd9"
    assert decode_image(fits, max_pixels=LIMIT).shape == (32, 48, 3)
    more = data[:-2] + scan * (MAX_SCANS - there + 1) + b"\xff\xd9"
    assert f"it has more than {MAX_SCANS} scans" in refusal(more)


def test_what_follows_the_first_image_of_a_jpeg_is_not_read() -> None:
    pictures = [Image.fromarray(pattern(*size)) for size in (SMALL, LARGE)]
    data = encoded(pictures[0], "MPO", save_all=True, append_images=pictures[1:])

    assert header(data).data.count(b"\xff\xd9") == 1
    assert decode_image(data, max_pixels=LIMIT).shape == (32, 48, 3)


def riff(*chunks: tuple[bytes, bytes], size: int | None = None) -> bytes:
    parts = [
        kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
        for kind, content in chunks
    ]
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def canvas(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X", bytes([flags, 0, 0, 0]) + sides


def picture(size: tuple[int, int], lossless: bool) -> tuple[bytes, bytes]:
    """The chunk of a WebP file without a canvas."""
    data = pattern_file(*size, format="WEBP", lossless=lossless)
    return data[12:16], data[20 : 20 + int.from_bytes(data[16:20], "little")]


@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_says_one_size(lossless: bool) -> None:
    small, large = picture(SMALL, lossless), picture(LARGE, lossless)

    assert decode_image(riff(small), max_pixels=LIMIT).shape == (32, 48, 3)
    assert decode_image(riff(canvas(*SMALL), small), max_pixels=LIMIT).shape == (32, 48, 3)
    for data, text in (
        (riff(canvas(*SMALL), large), "says 48x32 pixels, its picture 300x200"),
        (riff(canvas(*LARGE), small), "says 300x200 pixels, its picture 48x32"),
        (riff(canvas(1, 1), small), "says 1x1 pixels, its picture 48x32"),
        (riff(canvas(*SMALL), small, large), "its picture 300x200"),
        (riff(canvas(*SMALL), small, small), "it has 2 pictures"),
        (riff(canvas(*SMALL)), "it has 0 pictures"),
        (riff(canvas(*SMALL), canvas(*LARGE), small), "two headers"),
        (riff(canvas(*SMALL, 2), small), "an animated WebP"),
        (riff(canvas(*SMALL), (b"ANMF", bytes(24)), small), "an animated WebP"),
        (riff((b"ALPH", b"\0"), canvas(*SMALL), small), "the unknown chunk b'ALPH'"),
        (riff((b"VP8X", bytes(11)), small), "another length than 10"),
        (riff((small[0], small[1][:4])), "ends within its header"),
        (riff((small[0], b"\xff" + small[1][1:])), "does not begin as one"),
        (riff(small, size=len(small[1])), "it is truncated"),
        (riff(small, size=2**32 - 1), "it is truncated"),
    ):
        assert text in refusal(data), text


def test_what_follows_the_picture_of_a_webp_is_not_read() -> None:
    small, large = picture(SMALL, False), picture(LARGE, True)
    data = riff(small, large, canvas(*LARGE)) + b"more"

    assert header(data).data == riff(small)
    np.testing.assert_array_equal(
        decode_image(data, max_pixels=LIMIT), decode_image(riff(small), max_pixels=LIMIT)
    )


def test_the_metadata_of_a_webp_is_not_read() -> None:
    small, junk = picture(SMALL, False), bytes(1001)
    data = riff(canvas(*SMALL, 0x2C), (b"ICCP", junk), small, (b"EXIF", junk), (b"XMP ", junk))

    assert header(data).data == riff(canvas(*SMALL), small)


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + ihdr(1, 1) + chunk(b"tEXt", b"") * 20_000,
        b"\xff\xd8" + b"\xff\xfe\0\x02" * 20_000,
        riff(canvas(1, 1), *[(b"JUNK", b"")] * 20_000),
    ],
    ids=["PNG", "JPEG", "WebP"],
)
def test_the_parts_of_a_file_are_limited(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_headers, "MAX_PARTS", 10_000)

    assert "it has more than 10000" in refusal(data)


@pytest.mark.parametrize("filling", [b"\xff", b"\0", b"\xff\0", b"\xff\x01", b"\xff\xd0"])
def test_filling_costs_no_more_than_its_bytes(filling: bytes) -> None:
    # In quadratic time it would take hours.
    data = b"\xff\xd8\xff" + filling * 2_000_000

    assert "it ends within its header" in refusal(data)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [SMALL, (1, 1), (7, 211)])
def test_the_pixels_that_a_file_claims_are_those_that_it_has(
    format: str, size: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(pattern(*size))
    files = [encoded(image, format), encoded(image, format, exif=exif)]
    if format != "PNG":
        files.append(encoded(image, format, quality=30))

    for data in files:
        shape = decode_image(data, max_pixels=LIMIT).shape
        assert claimed_pixels(data) == shape[0] * shape[1] == size[0] * size[1]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image",
        b"\xff\xd8\xff\xc0\0\x03\x08",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n\0\0",
        b"RIFF\0\0\0\0WEBP",
        b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0",
    ],
)
def test_where_a_file_does_not_say_its_pixels_it_claims_none(data: bytes) -> None:
    assert claimed_pixels(data) == 0
