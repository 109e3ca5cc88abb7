"""Headers of JPEG, PNG and WebP: size, orientation and damage, before any pixel is decoded.

They are read here because the decoders' own readers allocate, warn, or read metadata (text, colour
profiles, EXIF) that nobody asked for and that a sender can make large or malformed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

JPEG_SIGNATURE = b"\xff\xd8\xff"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_EXIF = b"Exif\0\0"
_ORIENTATION = 0x0112
# Start of frame: C0 to CF without DHT, JPG and DAC.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# TEM, and the restarts: markers of no content.
_EMPTY_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_EXIF_SEGMENT = 0xE1
# Comments, and the applications' segments without JFIF's and Adobe's, which tell of the colours.
_METADATA = frozenset({0xFE, *range(0xE1, 0xF0)}) - {0xEE}
_WEBP_ANIMATED = 0x02


class DamagedImage(Exception):
    """The bytes do not hold what the format asks for; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What an image says of itself.

    Attributes:
        format: JPEG, PNG or WebP.
        width: Pixels, as stored: before the orientation is applied.
        height: Pixels, as stored.
        orientation: EXIF's, from 1 (as stored) to 8.
        animated: Whether it has several frames.
        data: The bytes to decode: of JPEG and PNG without what is not the picture.
    """

    format: str
    width: int
    height: int
    orientation: int
    animated: bool
    data: bytes


def reader_of(data: bytes) -> Callable[[bytes], ImageHeader] | None:
    """The header's reader for a file that begins so; None when it is none of the formats.

    A reader raises DamagedImage.
    """
    if data.startswith(JPEG_SIGNATURE):
        return _read_jpeg
    if data.startswith(PNG_SIGNATURE):
        return _read_png
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _read_webp
    return None


def _read_jpeg(data: bytes) -> ImageHeader:
    kept = [data[:2]]
    size: tuple[int, int] | None = None
    orientation = 1
    for marker, start, end in _jpeg_segments(data):
        if marker in _START_OF_FRAME and size is None:
            if end - start < 5:
                raise DamagedImage("its header is too short")
            height, width = struct.unpack_from(">HH", data, start + 1)
            size = (width, height)
        elif marker == _EXIF_SEGMENT and orientation == 1 and data.startswith(_EXIF, start, end):
            orientation = _orientation(data[start:end])
        if marker not in _METADATA:
            kept.append(data[start - 4 : end])
    if size is None:
        raise DamagedImage("it has no header of a picture")
    return ImageHeader("JPEG", *size, orientation, False, b"".join(kept))


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of the content of each segment; the last, a scan, goes to the end."""
    position = 2
    while True:
        # As decoders do: what is between two segments is skipped, and a marker may be filled up.
        position = data.find(b"\xff", position)
        while 0 <= position < len(data) and data[position] == 0xFF:
            position += 1
        if not 0 < position < len(data) or data[position] == _END_OF_IMAGE:
            raise DamagedImage("it ends within its header")
        marker = data[position]
        position += 1
        if marker == 0 or marker in _EMPTY_MARKERS:
            continue
        end = position + int.from_bytes(data[position : position + 2], "big")
        if marker == _START_OF_SCAN:
            end = len(data)
        if end < position + 2 or end > len(data):
            raise DamagedImage("it ends within its header")
        yield marker, position + 2, end
        if marker == _START_OF_SCAN:
            return
        position = end


def _read_png(data: bytes) -> ImageHeader:
    kept = [PNG_SIGNATURE]
    size: tuple[int, int] | None = None
    orientation, animated = 1, False
    for kind, start, end in _png_chunks(data):
        if kind == b"IHDR" and end - start == 13:
            size = struct.unpack_from(">II", data, start)
        elif kind == b"eXIf":
            orientation = _orientation(data[start:end])
        elif kind == b"acTL":
            animated = True
        if _is_critical(kind) or kind == b"tRNS":
            kept.append(data[start - 8 : end + 4])
    if size is None:
        raise DamagedImage("it has no header of a picture")
    return ImageHeader("PNG", *size, orientation, animated, b"".join(kept))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each chunk to the last."""
    position, kind = len(PNG_SIGNATURE), b""
    while kind != b"IEND":
        if position + 12 > len(data):
            raise DamagedImage("it is truncated")
        length, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        end = start + length
        if end + 4 > len(data):
            raise DamagedImage("it is truncated")
        if _is_critical(kind):
            checksum = zlib.crc32(memoryview(data)[position + 4 : end])
            if checksum != int.from_bytes(data[end : end + 4], "big"):
                raise DamagedImage(f"the checksum of its chunk {kind!r} is wrong")
        yield kind, start, end
        position = end + 4


def _is_critical(kind: bytes) -> bool:
    return not kind[0] & 0x20


def _read_webp(data: bytes) -> ImageHeader:
    if 8 + int.from_bytes(data[4:8], "little") > len(data):
        raise DamagedImage("it is truncated")
    kind = data[12:16]
    if len(data) < 30:
        raise DamagedImage("it ends within its header")
    animated, orientation = False, 1
    if kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8X":
        animated = bool(data[20] & _WEBP_ANIMATED)
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        orientation = _webp_orientation(data)
    else:
        raise DamagedImage(f"it has the unknown chunk {kind!r}")
    return ImageHeader("WebP", width, height, orientation, animated, data)


def _webp_orientation(data: bytes) -> int:
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        if kind == b"EXIF":
            return _orientation(data[position + 8 : position + 8 + length])
        position += 8 + length + length % 2
    return 1


def _orientation(exif: bytes) -> int:
    """The orientation of EXIF data; 1 when it has none or cannot be read."""
    exif = exif.removeprefix(_EXIF)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, offset)
        for index in range(count):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, offset + 2 + 12 * index)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
