"""uvicorn's HTTP protocol with bounds on all that is no body, and errors as V2 has them."""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 1 << 16
"""Of a request's line and headers, and of what comes between its body and the next request. It is
checked when a piece has come, of some 64 KB or less."""
HEAD_SECONDS = 30.0
"""How long a connection may take to send a request's line and headers, and to begin with them."""
REST_SECONDS = 60.0
"""How long the rest of a body may still come, once its request has been answered."""
_PHRASES = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


class _AnyLength(int):
    """What uvicorn counts an answer's bytes down from, for one of any length."""

    def __lt__(self, other: int) -> bool:
        return False

    def __sub__(self, other: int) -> _AnyLength:
        return self

    def __ne__(self, other: object) -> bool:
        return False


class Protocol(HttpToolsProtocol):
    """One connection.

    uvicorn itself keeps headers of any length, waits for them for ever, takes a body's trailers for
    headers, drops the body of a request that offers another protocol, sends chunks to clients of
    HTTP/1.0, and answers what is no HTTP with plain text, within another answer too.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._bare_bytes = 0
        self._in_head = True
        self._is_whole = True
        self._is_deaf = False
        self._running: Any = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        # uvicorn tells the last of several requests only.
        if self._is_answering():
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self._unset_keepalive_if_required()
        self._bare_bytes += len(data)
        self._feed(data)
        if self._bare_bytes > MOST_HEAD_BYTES:
            self._refuse(
                431,
                f"the request's line and headers have {self._bare_bytes} bytes or more; accepted: "
                f"at most {MOST_HEAD_BYTES}",
            )
        self._watch_what_is_left()

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
                continue
            except httptools.HttpParserError:
                self._refuse(400, "not an HTTP request: Invalid HTTP request received")
            return

    def _head_without_upgrade(self) -> bytes:
        """The line and headers of a request that offers another protocol, to be read anew.

        Java's client offers HTTP/2 so, with the body that is to be answered in any case; the parser
        takes what follows such an offer for the other protocol's.
        """
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % each for each in self.headers if each[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"\r\n".join([*lines, b"", b""])

    def _watch_what_is_left(self) -> None:
        """Bounds the wait for the rest of a request that was answered before it was whole.

        uvicorn ends its own wait for the next request when anything comes, and does not begin it
        again.
        """
        answered = self._running is not None and not self._is_answering()
        if self._in_head or not answered or self.transport.is_closing():
            return
        if not self._is_whole:
            if self._timer is None:
                self._watch(REST_SECONDS)
        elif self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    # What the parser calls

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._is_whole, self._bare_bytes = True, False, 0
        if self._timer is None:
            self._watch(HEAD_SECONDS)

    def on_header(self, name: bytes, value: bytes) -> None:
        # A trailer must not pass for a header, which a proxy would have seen: a key, a length.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            return  # It is read anew.
        super().on_headers_complete()
        self._in_head = False
        self._unwatch()

    def on_body(self, body: bytes) -> None:
        self._bare_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._in_head:
            return
        self._is_whole = True
        self._unwatch()
        super().on_message_complete()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._running = cycle
        if cycle.scope["http_version"] != "1.1":
            # Those clients know no chunks: what has no length ends with the connection.
            cycle.keep_alive = cycle.chunked_encoding = False
            cycle.expected_content_length = _AnyLength()
        super()._start_asgi_task(cycle, app)

    def _is_answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _refuse(self, status: int, text: str) -> None:
        """Ends the connection, with an answer where one may stand."""
        self._unwatch()
        if self.transport is None or self.transport.is_closing():
            return
        self._is_deaf = True
        of_the_last = not self._in_head and not self._is_whole
        if self._is_answering() and not (of_the_last and self.cycle is self._running):
            # The request before it is still to be answered, and ends the connection then.
            self._running.keep_alive = False
            return
        if not (of_the_last and self._running.response_started):
            body = orjson.dumps({"error": text})
            self.transport.write(
                b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%b" % (status, _PHRASES[status], len(body), body)
            )
        self.transport.close()

    def _watch(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._too_slow, seconds)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self, seconds: float) -> None:
        self._timer = None
        self._refuse(408, f"no whole request came in {seconds:g} s")
