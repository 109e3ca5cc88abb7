"""Headers of JPEG, PNG and WebP: size, orientation and damage, before any pixel is decoded.

They are read here because the decoders' own readers allocate, warn, or read metadata (text, colour
profiles, EXIF) that nobody asked for and that a sender can make large or malformed. A header says
one size at one place, and what is handed on to a decoder holds no second one: a decoder cannot see
another picture than the one that was checked.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

JPEG_SIGNATURE = b"\xff\xd8\xff"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

MAX_PARTS = 100_000
"""Most segments or chunks of a file: each costs time, however little it holds."""
MAX_SCANS = 64
"""Most scans of a JPEG: each goes over the whole picture, however little it holds."""

_EXIF = b"Exif\0\0"
_ORIENTATION = 0x0112
# Start of frame: C0 to CF without DHT, JPG and DAC.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_IMAGE, _END_OF_IMAGE, _START_OF_SCAN = 0xD8, 0xD9, 0xDA
# A marker of some content: no stuffed byte, filling, TEM or restart. The last FF before it counts.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]", re.DOTALL)
_EXIF_SEGMENT = 0xE1
# Comments, and the applications' segments without JFIF's and Adobe's, which tell of the colours.
_METADATA = frozenset({0xFE, *range(0xE1, 0xF0)}) - {0xEE}
_PNG_PICTURE = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_PNG_GREY, _PNG_COLOURED = 0, 2
_WEBP_PICTURES = frozenset({b"VP8 ", b"VP8L"})
_WEBP_ANIMATED, _WEBP_ALPHA = 0x02, 0x10

# Bytes of a pixel while it is decoded. Pillow keeps 4, and the array that comes of them has 3; a
# JPEG of several scans keeps 2 of every component until the last one, WebP's decoder two canvases
# of 4, 4 of its own and a copy.
_PNG_COST = 8
_JPEG_COST, _JPEG_SCANS_COST, _JPEG_COMPONENT_COST = 8, 6, 2
_WEBP_COST = 24


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
        cost: Bytes of memory for each pixel while it is decoded.
        data: The bytes to decode, without what is not the picture.
    """

    format: str
    width: int
    height: int
    orientation: int
    animated: bool
    cost: int
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


def claimed_pixels(data: bytes) -> int:
    """Width times height, by the first bytes alone; 0 where they do not say it.

    It costs little, and checks nothing: what is decoded has this size, or is refused by the reader
    of the header.
    """
    width = height = 0
    try:
        if data.startswith(JPEG_SIGNATURE):
            for marker, start, end in _jpeg_segments(data):
                if marker in _START_OF_FRAME:
                    width, height, _ = _jpeg_frame(data[start:end])
                if marker in _START_OF_FRAME or marker == _START_OF_SCAN:
                    break
        elif data.startswith(PNG_SIGNATURE):
            width, height = _png_size(data[16:29])
        elif data[12:16] == b"VP8X":
            width, height = _webp_canvas(data[20:30])
        else:
            width, height = _webp_size(data[12:16], data[20:30])
    except DamagedImage:
        pass
    return width * height


def _read_jpeg(data: bytes) -> ImageHeader:
    view = memoryview(data)
    kept = [view[:2]]
    size: tuple[int, int] | None = None
    orientation: int | None = None
    components = scans = first = 0
    for marker, start, end in _jpeg_segments(data):
        if marker in _START_OF_FRAME:
            if size is not None:
                raise DamagedImage("it has two headers of a picture")
            width, height, components = _jpeg_frame(data[start:end])
            size = (width, height)
        elif marker == _EXIF_SEGMENT and orientation is None and data.startswith(_EXIF, start, end):
            orientation = _orientation(data[start:end])
        elif marker == _START_OF_SCAN:
            if size is None:
                raise DamagedImage("it has no header of a picture")
            if not scans:
                first = start - 4
            scans += 1
            if scans > MAX_SCANS:
                raise DamagedImage(f"it has more than {MAX_SCANS} scans")
        if marker == _END_OF_IMAGE:
            break
        if not scans and marker not in _METADATA:
            kept.append(view[start - 4 : end])
    if size is None or not scans:
        raise DamagedImage("it ends within its header")
    kept.append(view[first:end])
    cost = _JPEG_COST if scans == 1 else _JPEG_SCANS_COST + _JPEG_COMPONENT_COST * components
    return ImageHeader("JPEG", *size, orientation or 1, False, cost, b"".join(kept))


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of the content of each segment, to the end of the first image.

    As decoders do, what is between two segments is skipped: the pixels after the start of a scan.
    """
    position, marker = 2, 0
    for _ in range(MAX_PARTS):
        found = _JPEG_MARKER.search(data, position)
        if found is None:
            raise DamagedImage(
                "it ends within its header" if marker != _START_OF_SCAN else "it is truncated"
            )
        position, marker = found.end(), data[found.end() - 1]
        if marker == _END_OF_IMAGE:
            yield marker, position, position
            return
        if marker == _START_OF_IMAGE:
            raise DamagedImage("another image begins within it")
        end = position + int.from_bytes(data[position : position + 2], "big")
        if end < position + 2 or end > len(data):
            raise DamagedImage("it ends within its header")
        yield marker, position + 2, end
        position = end
    raise DamagedImage(f"it has more than {MAX_PARTS} segments")


def _jpeg_frame(content: bytes) -> tuple[int, int, int]:
    """Width, height and number of components."""
    if len(content) < 6:
        raise DamagedImage("its header is too short")
    height, width, components = struct.unpack_from(">HHB", content, 1)
    if len(content) != 6 + 3 * components:
        raise DamagedImage("its header has another length than it says")
    return width, height, components


def _read_png(data: bytes) -> ImageHeader:
    view = memoryview(data)
    kept = [view[: len(PNG_SIGNATURE)]]
    size: tuple[int, int] | None = None
    orientation: int | None = None
    animated = False
    depth = colours = 0
    for kind, start, end in _png_chunks(data):
        if (kind == b"IHDR") != (size is None):
            raise DamagedImage(
                "it does not begin with its header"
                if size is None
                else "it has two headers of a picture"
            )
        if kind == b"IHDR":
            size = _png_size(data[start:end])
            depth, colours = data[start + 8 : start + 10]
        elif kind == b"eXIf" and orientation is None:
            orientation = _orientation(data[start:end])
        elif kind == b"acTL":
            animated = True
        elif _is_critical(kind) and kind not in _PNG_PICTURE:
            raise DamagedImage(f"it has the unknown chunk {kind!r}")
        if kind in _PNG_PICTURE:
            kept.append(view[start - 8 : end + 4])
        if kind == b"tRNS":
            kept[-1] = _with_decoded_shade(kept[-1], depth, colours)
    if size is None:
        raise DamagedImage("it has no header of a picture")
    return ImageHeader("PNG", *size, orientation or 1, animated, _PNG_COST, b"".join(kept))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each chunk to the last."""
    position = len(PNG_SIGNATURE)
    for _ in range(MAX_PARTS):
        if position + 12 > len(data):
            raise DamagedImage("it is truncated")
        length, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        end = start + length
        if end + 4 > len(data):
            raise DamagedImage("it is truncated")
        if _is_critical(kind) or kind in _PNG_PICTURE:
            checksum = zlib.crc32(memoryview(data)[position + 4 : end])
            if checksum != int.from_bytes(data[end : end + 4], "big"):
                raise DamagedImage(f"the checksum of its chunk {kind!r} is wrong")
        yield kind, start, end
        if kind == b"IEND":
            return
        position = end + 4
    raise DamagedImage(f"it has more than {MAX_PARTS} chunks")


def _png_size(content: bytes) -> tuple[int, int]:
    if len(content) != 13:
        raise DamagedImage("its header has another length than 13")
    width, height = struct.unpack_from(">II", content)
    return width, height


def _with_decoded_shade(chunk: memoryview, depth: int, colours: int) -> memoryview:
    """A tRNS chunk whose transparent shade is that of the pixels once they are decoded.

    Pillow looks for the shade as it is written among pixels of 8 bits a sample: a grey of 2 or 4
    bits it would not find, and of a colour of 16 bits it would look for the lower half.
    """
    count = 3 if colours == _PNG_COLOURED else 1
    if len(chunk) < 12 + 2 * count:
        return chunk
    samples = struct.unpack_from(f">{count}H", chunk, 8)
    if colours == _PNG_GREY and depth in (2, 4):
        most = 2**depth - 1
        samples = tuple((each & most) * 255 // most for each in samples)
    elif colours == _PNG_COLOURED and depth == 16:
        samples = tuple(each >> 8 for each in samples)
    else:
        return chunk
    content = struct.pack(f">4s{count}H", b"tRNS", *samples)
    return memoryview(
        struct.pack(">I", 2 * count) + content + struct.pack(">I", zlib.crc32(content))
    )


def _is_critical(kind: bytes) -> bool:
    return not kind[0] & 0x20


def _read_webp(data: bytes) -> ImageHeader:
    chunks = list(_webp_chunks(data))
    if not chunks:
        raise DamagedImage("it ends within its header")
    kind, start, end = chunks[0]
    if kind in _WEBP_PICTURES:
        size = _webp_size(kind, data[start:end])
        return ImageHeader(
            "WebP", *size, 1, False, _WEBP_COST, _webp_file([(kind, data[start:end])])
        )
    if kind != b"VP8X":
        raise DamagedImage(f"it has the unknown chunk {kind!r}")
    canvas = _webp_canvas(data[start:end])
    kept = [(kind, bytes([data[start] & _WEBP_ALPHA]) + data[start + 1 : end])]
    animated = bool(data[start] & _WEBP_ANIMATED)
    orientation: int | None = None
    pictures = 0
    for kind, start, end in chunks[1:]:
        content = data[start:end]
        if kind == b"ANMF":
            animated = True
        elif kind == b"EXIF" and orientation is None:
            orientation = _orientation(content)
        elif kind == b"VP8X":
            raise DamagedImage("it has two headers of a picture")
        elif kind in _WEBP_PICTURES:
            pictures += 1
            size = _webp_size(kind, content)
            if not animated and size != canvas:
                raise DamagedImage(
                    f"its header says {canvas[0]}x{canvas[1]} pixels, its picture "
                    f"{size[0]}x{size[1]}"
                )
        if kind in _WEBP_PICTURES or kind == b"ALPH":
            kept.append((kind, content))
    if not animated and pictures != 1:
        raise DamagedImage(f"it has {pictures} pictures")
    return ImageHeader("WebP", *canvas, orientation or 1, animated, _WEBP_COST, _webp_file(kept))


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each chunk."""
    size = 8 + int.from_bytes(data[4:8], "little")
    if size > len(data):
        raise DamagedImage("it is truncated")
    position = 12
    for _ in range(MAX_PARTS):
        if position + 8 > size:
            return
        kind, length = struct.unpack_from("<4sI", data, position)
        end = position + 8 + length
        if end > size:
            raise DamagedImage("it is truncated")
        yield kind, position + 8, end
        position = end + length % 2
    raise DamagedImage(f"it has more than {MAX_PARTS} chunks")


def _webp_canvas(content: bytes) -> tuple[int, int]:
    if len(content) != 10:
        raise DamagedImage("its header has another length than 10")
    return (
        1 + int.from_bytes(content[4:7], "little"),
        1 + int.from_bytes(content[7:10], "little"),
    )


def _webp_size(kind: bytes, content: bytes) -> tuple[int, int]:
    """Width and height of a lossy or lossless picture, by its first bytes."""
    if kind == b"VP8 " and len(content) >= 10:
        if content[0] & 1 or content[3:6] != b"\x9d\x01\x2a":
            raise DamagedImage("its picture does not begin as one")
        width, height = struct.unpack_from("<HH", content, 6)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and len(content) >= 5:
        if content[0] != 0x2F:
            raise DamagedImage("its picture does not begin as one")
        bits = int.from_bytes(content[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise DamagedImage("it ends within its header")


def _webp_file(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A file of these chunks."""
    parts = [b"WEBP"]
    for kind, content in chunks:
        parts += [kind, len(content).to_bytes(4, "little"), content, bytes(len(content) % 2)]
    body = b"".join(parts)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


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
