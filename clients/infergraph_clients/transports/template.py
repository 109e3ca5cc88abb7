"""`Template`: a request that is encoded once and sent often, each time with an id of its own."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from typing import Literal

ID_BYTES = 33
PLACEHOLDER = b"@" * ID_BYTES
"""Stands where the id goes; all ids are as long."""
_TRACE_PLACEHOLDER = b"@" * 55
Coding = Literal["gzip", "deflate"]
CODINGS: tuple[Coding, ...] = ("gzip", "deflate")
_LEVEL = 6
_ALL_BITS = 2**64 - 1


@dataclass(frozen=True)
class Template:
    """The bytes of a request around its id.

    Attributes:
        run: 16 hexadecimal digits that begin all ids, and the trace ids of W3C's `traceparent`.
        head: What comes before the body: of REST the head of HTTP, with `traceparent` or without.
        parts: The body before and after the id; one part where the id is fixed.
        coded: Compressed forms of the parts, where the body is compressed.
        coding: How.
    """

    run: str
    head: bytes
    parts: tuple[bytes, ...]
    coded: tuple[bytes, ...] = ()
    coding: Coding | None = None
    _start: bytes = b""
    """Head and body before the id, where nothing else differs between requests."""
    _id_start: bytes = b""

    @classmethod
    def of(cls, run: str, head: bytes, body: bytes, coding: Coding | None = None) -> Template:
        """The template of a body that holds `PLACEHOLDER` once, where its id goes, or not at all.

        Args:
            run: See the attribute.
            head: Without the line of its length, if it is HTTP's; empty for gRPC.
            body: The body.
            coding: How the body is compressed. The id is stored as it is, in a block of its own,
                so that all else is compressed once.
        """
        before, placeholder, after = body.partition(PLACEHOLDER)
        parts = (before, after) if placeholder else (body,)
        coded: tuple[bytes, ...] = ()
        if coding is not None:
            coded = tuple(
                _deflated(part, last=place == len(parts) - 1) for place, part in enumerate(parts)
            )
        template = cls(run, b"", parts, coded, coding)
        if head:
            size = len(template.body(PLACEHOLDER))
            head = b"%sContent-Length: %d\r\n\r\n" % (head, size)
        fixed = coding is None and placeholder and _TRACE_PLACEHOLDER not in head
        return replace(
            template,
            head=head,
            _start=head + before if fixed else b"",
            _id_start=f"{run}-".encode() if placeholder else b"",
        )

    def id(self, index: int) -> bytes:
        """The id of the request of an index, the same for no other request."""
        start = self._id_start
        return b"%b%016x" % (start, index & _ALL_BITS) if start else b""

    def traceparent(self, index: int) -> str:
        """W3C's `traceparent` of a request: its id is the trace's."""
        return f"00-{self.run}{index & _ALL_BITS:016x}-{(index + 1) & _ALL_BITS or 1:016x}-01"

    def request(self, index: int, request_id: bytes) -> bytes:
        """All bytes of the request."""
        if self._start:
            return self._start + request_id + self.parts[1]
        head = self.head.replace(_TRACE_PLACEHOLDER, self.traceparent(index).encode(), 1)
        return head + self.body(request_id)

    def body(self, request_id: bytes) -> bytes:
        """The body with an id."""
        if self.coding is None:
            return request_id.join(self.parts)
        checked = request_id.join(self.parts)
        # A block that is stored: not the last one, its length, and its complement.
        block = struct.pack("<BHH", 0, len(request_id), 0xFFFF - len(request_id)) + request_id
        stream = block.join(self.coded)
        if self.coding == "gzip":
            end = struct.pack("<II", zlib.crc32(checked), len(checked) & 0xFFFFFFFF)
            return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + stream + end
        return b"\x78\x9c" + stream + struct.pack(">I", zlib.adler32(checked))


TRACEPARENT = {"traceparent": _TRACE_PLACEHOLDER.decode()}
"""The header, in a head that is made of it."""


def _deflated(part: bytes, last: bool) -> bytes:
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    text = compressor.compress(part)
    return text + compressor.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)
