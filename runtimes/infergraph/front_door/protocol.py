"""uvicorn's HTTP protocol with bounds on what comes before a body, and errors as V2 has them."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 1 << 16
"""Of a request's line and headers. It is checked when a piece has come, of some 64 KB or less."""
HEAD_SECONDS = 30.0
"""How long a connection may take to send them, and to begin with them."""
_PHRASES = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


class Protocol(HttpToolsProtocol):
    """One connection.

    uvicorn itself keeps headers of any length, waits for them for ever, and answers what is no HTTP
    with plain text.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._in_head = True
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._in_head:
            super().data_received(data)
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MOST_HEAD_BYTES:
            self._refuse(
                431,
                f"the request's line and headers have {self._head_bytes} bytes or more; accepted: "
                f"at most {MOST_HEAD_BYTES}",
            )

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        if self._timer is None:
            self._watch()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._unwatch()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, f"not an HTTP request: {msg.rstrip('.')}")

    def _refuse(self, status: int, text: str) -> None:
        self._unwatch()
        if self.transport is None or self.transport.is_closing():
            return
        body = orjson.dumps({"error": text})
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b" % (status, _PHRASES[status], len(body), body)
        )
        self.transport.close()

    def _watch(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        self._refuse(408, f"no whole request came in {HEAD_SECONDS:g} s")
