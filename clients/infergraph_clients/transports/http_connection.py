"""`HttpConnection`: one HTTP/1.1 connection that carries one request at a time.

On asyncio's protocols and llhttp's parser (httptools), with requests that are complete bytes: it
sends several times the rate of a general client, and sees the first byte of each answer.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import cast

import httptools

from ..load.v2.json_codec import error_text
from .exchange import Exchange, now_ns
from .outcome import Outcome
from .status import of_status


class HttpConnection(asyncio.Protocol):
    """A connection.

    Args:
        on_free: Called when the connection can take another request.
        on_gone: Called when it has ended.

    Attributes:
        idle_since: When it became free, in nanoseconds.
    """

    def __init__(
        self,
        on_free: Callable[[HttpConnection], None],
        on_gone: Callable[[HttpConnection], None],
    ) -> None:
        self._on_free = on_free
        self._on_gone = on_gone
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._gzipped = False
        self._has_length = False
        self._ends_with_connection = False
        self._body: list[bytes] = []
        self.idle_since = 0

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def begin(self, request: bytes, exchange: Exchange) -> None:
        """Sends a request."""
        assert self._transport is not None
        self._exchange = exchange
        exchange.abandon = self.abort
        self._transport.write(request)

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is not None and exchange.first_byte < 0:
            exchange.first_byte = now_ns()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            # One of our own callbacks failed, which says nothing of the answer.
            raise error.__context__ or error from None
        except httptools.HttpParserError as error:
            self._end(Outcome.LOST, error=f"the answer is not HTTP: {error}")
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ends_with_connection and exc is None:
            self.on_message_complete()
        elif self._exchange is not None:
            reason = str(exc) if exc else "the server closed it"
            self._end(Outcome.LOST, error=f"the connection was lost: {reason}")
        self._on_gone(self)

    # httptools' callbacks

    def on_message_begin(self) -> None:
        self._gzipped = False
        self._has_length = False
        self._body = []

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-encoding":
            self._gzipped = value.lower() == b"gzip"
        elif name in (b"content-length", b"transfer-encoding"):
            self._has_length = True

    def on_headers_complete(self) -> None:
        # Not before: a head that breaks off is no answer.
        self._ends_with_connection = not self._has_length

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._ends_with_connection = False
        status = self._parser.get_status_code()
        if status < 200:
            return
        if self._exchange is None:
            self.abort()
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        keeps = self._parser.should_keep_alive()
        if self._gzipped:
            try:
                body = zlib.decompress(body, zlib.MAX_WBITS | 16)
            except zlib.error as error:
                self._end(Outcome.WRONG_ANSWER, status, error=f"the answer is not gzip: {error}")
                self.abort()
                return
        outcome = of_status(status)
        problem = "" if outcome is Outcome.OK else f"HTTP {status}: {error_text(body)}"
        self._end(outcome, status, body, problem)
        if keeps and self.is_open:
            self.idle_since = now_ns()
            self._on_free(self)
        elif self._transport is not None:
            self._transport.close()

    def _end(self, outcome: Outcome, status: int = -1, body: bytes = b"", error: str = "") -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.finish(outcome, status, body, error)
