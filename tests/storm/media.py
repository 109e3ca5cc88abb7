"""Images and sounds: small good files, and what becomes of them when bytes are changed."""

from __future__ import annotations

import random
import struct
import zlib

from ..pictures import pattern_file
from ..sounds import chirps, encoded

IMAGES = (
    pattern_file(24, 16),
    pattern_file(24, 16, format="JPEG"),
    pattern_file(24, 16, format="WEBP"),
)
SOUNDS = (
    encoded(chirps(0.1, 0)),
    encoded(chirps(0.1, 1), format="FLAC"),
    encoded(chirps(0.1, 2), rate=8000, subtype="ULAW"),
)
_PNG_HEAD = 8
_EXTREMES = (0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def damaged(rng: random.Random, file: bytes) -> bytes:
    """The file with one thing wrong: in its head, its sizes, its bytes or its length."""
    return rng.choice([_bytes_changed, _cut, _number_changed, _doubled, _grown_png, _not_a_file])(
        rng, file
    )


def _bytes_changed(rng: random.Random, file: bytes) -> bytes:
    changed = bytearray(file)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] = rng.getrandbits(8)
    return bytes(changed)


def _cut(rng: random.Random, file: bytes) -> bytes:
    return file[: rng.randrange(len(file))]


def _number_changed(rng: random.Random, file: bytes) -> bytes:
    """An extreme number within the first 64 bytes, where formats say sizes."""
    changed = bytearray(file)
    order, size = rng.choice("<>"), rng.choice((2, 4))
    number = rng.choice(_EXTREMES) & (2 ** (8 * size) - 1)
    at = rng.randrange(4, min(64, len(file)) - size)
    changed[at : at + size] = struct.pack(f"{order}{'H' if size == 2 else 'I'}", number)
    return bytes(changed)


def _doubled(rng: random.Random, file: bytes) -> bytes:
    return file + file if rng.random() < 0.5 else file[:20] + file


def _grown_png(rng: random.Random, file: bytes) -> bytes:
    """A PNG whose head says other sizes, with a right checksum; at times it has two heads."""
    head = struct.pack(
        ">IIBBBBB",
        rng.choice((0, 1, 300, 30_000, 2**31 - 1)),
        rng.choice((0, 1, 300, 30_000, 2**31 - 1)),
        rng.choice((1, 8, 16, 7)),
        rng.choice((0, 2, 3, 6, 5)),
        *(rng.choice((0, 0, 1)) for _ in range(3)),
    )
    png = IMAGES[0]
    rest = png[_PNG_HEAD:] if rng.random() < 0.3 else png[_PNG_HEAD + 25 :]
    return png[:_PNG_HEAD] + _chunk(b"IHDR", head + b"\0" * rng.choice((0, 0, 1))) + rest


def _not_a_file(rng: random.Random, file: bytes) -> bytes:
    return rng.choice((b"", b"\0", b"RIFF", file[:12], rng.randbytes(rng.randint(1, 300))))


def _chunk(kind: bytes, content: bytes) -> bytes:
    size, checksum = struct.pack(">I", len(content)), zlib.crc32(kind + content)
    return size + kind + content + struct.pack(">I", checksum)
