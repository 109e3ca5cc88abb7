"""Content codings of REST: gzip and deflate of bodies, undone in bounded memory and time.

An answer is compressed for those who compressed the request: who sends gzip has a slow link, and
wants the same back. With MLServer's setting `gzip_enabled` it is for all who accept gzip.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence

from ..errors import InvalidInput, TooLarge, UnsupportedCoding

GZIP = "gzip"
_ZLIB_BITS, _RAW_BITS = zlib.MAX_WBITS, -zlib.MAX_WBITS
_GZIP_BITS = 16 + zlib.MAX_WBITS
_LEVEL = 1
"""The fastest: JSON of numbers takes a fifth of the time of level 6, and 15% more bytes."""
LEAST_BYTES = 512
"""Smaller answers gain nothing."""
_FIRST_PIECE, _LARGEST_PIECE = 256, 1 << 16
"""Bytes that are given to zlib at a time. What follows the end of a member is copied, so that the
pieces of small members must be small too."""
_LARGEST_RESULT = 1 << 18
_MOST_MEMBERS = 10_000


def coding_of(header: str) -> str:
    """The one coding that a content-encoding names; empty for none.

    Raises:
        UnsupportedCoding: another one, or several.
    """
    if not header:
        return ""
    names = [each.strip().lower() for each in header.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if not names:
        return ""
    if len(names) == 1 and names[0] in (GZIP, "x-gzip"):
        return GZIP
    if names == ["deflate"]:
        return names[0]
    raise UnsupportedCoding(
        f"content-encoding '{', '.join(names)[:100]}' is not supported; accepted: gzip, deflate or "
        "identity, one of them"
    )


def accepts_gzip(header: str) -> bool:
    """Whether an accept-encoding takes gzip."""
    for each in header.lower().split(","):
        name, _, quality = each.partition(";")
        if name.strip() == GZIP:
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def inflate(data: bytes, coding: str, limit: int, stop: threading.Event) -> bytes:
    """The content of coded data; blocks, and gives other threads their turn.

    Args:
        data: The body as it came.
        coding: gzip or deflate (zlib's format, or bare).
        limit: Most bytes of the content; memory is bounded by it too.
        stop: Set when nobody wants the result any more.

    Raises:
        TooLarge: the content is larger.
        InvalidInput: the data are not of that coding, damaged, or end too early.
    """
    bits = _GZIP_BITS
    if coding != GZIP:
        bits = _ZLIB_BITS if _has_zlib_header(data) else _RAW_BITS
    content: list[bytes] = []
    view, position, members, size = memoryview(data), 0, 0, 0
    try:
        while position < len(view) and not stop.is_set():
            members += 1
            if members > _MOST_MEMBERS:
                raise InvalidInput(
                    f"the body is gzip of more than {_MOST_MEMBERS} members; accepted: at most that"
                )
            position, size = _inflate_member(view, position, bits, content, size, limit, stop)
            if bits != _GZIP_BITS and position < len(view):
                raise zlib.error(f"{len(view) - position} bytes follow its end")
            # Zeros may fill a block at the end.
            while position < len(view) and not view[position] and not stop.is_set():
                piece = bytes(view[position : position + _LARGEST_PIECE])
                position += len(piece) - len(piece.lstrip(b"\0"))
    except zlib.error as error:
        raise InvalidInput(f"the body is not {coding}, as content-encoding says: {error}") from None
    return content[0] if len(content) == 1 else b"".join(content)


def _inflate_member(
    view: memoryview,
    position: int,
    bits: int,
    content: list[bytes],
    size: int,
    limit: int,
    stop: threading.Event,
) -> tuple[int, int]:
    stream = zlib.decompressobj(bits)
    step = _FIRST_PIECE
    while not stream.eof and not stop.is_set():
        piece: bytes | memoryview = stream.unconsumed_tail
        if not piece:
            if position == len(view):
                raise zlib.error("it ends too early")
            piece = view[position : position + step]
            position += len(piece)
            step = min(2 * step, _LARGEST_PIECE)
        result = stream.decompress(piece, _LARGEST_RESULT)
        if result:
            content.append(result)
            size += len(result)
        if size > limit:
            raise TooLarge(
                f"the body is too large: {len(view)} bytes that hold more than {limit}; accepted: "
                f"at most {limit} bytes (server setting 'max_body_bytes')"
            )
    return position - len(stream.unused_data), size


def _has_zlib_header(data: bytes) -> bool:
    return len(data) >= 2 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0


def gzip(parts: Sequence[bytes | memoryview]) -> bytes:
    """The parts of an answer, as one gzip member."""
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_BITS)
    return b"".join([*(stream.compress(part) for part in parts), stream.flush()])
