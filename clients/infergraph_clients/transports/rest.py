"""`RestTransport`: V2 REST over a pool of HTTP/1.1 connections, one request at a time on each.

On asyncio's protocols and llhttp's parser (httptools), with requests that are complete bytes: it
sends several times the rate of a general client, and sees the first byte of each answer.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import zlib
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools
import orjson

from .codec import Template, events
from .exchange import Exchange, now_ns
from .outcome import Outcome, of_status
from .route import Route
from .transport import READY_SECONDS, Question, Transport

_CODINGS = {b"gzip": zlib.MAX_WBITS | 16, b"deflate": zlib.MAX_WBITS}
_JSON_SIZE = b"inference-header-content-length"
_LONGEST_IDLE_NS = 4_000_000_000
"""Uvicorn ends connections that are idle for 5 s; one that it is about to end is not used again."""
_OWN_LIMITS = (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM)


class RestTransport(Transport):
    """Opens a connection whenever none is free, up to a limit; then requests wait their turn."""

    def __init__(self, route: Route) -> None:
        super().__init__(route)
        self._endpoint = route.endpoint
        self._limit = route.connections
        self._tls = route.tls.context() if route.endpoint.is_secure else None
        self._address = route.endpoint.host
        self._free: list[HttpConnection] = []
        self._all: set[HttpConnection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[tuple[bytes, Exchange]] = deque()

    async def open(self) -> None:
        # The host's name is looked up here, once.
        loop = asyncio.get_running_loop()
        host, port = self._endpoint.host, self._endpoint.port
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return
        for *_, address in found:
            self._address = str(address[0])
            try:
                # The system itself waits for minutes.
                connection = await asyncio.wait_for(self._connect(), READY_SECONDS)
            except (OSError, asyncio.TimeoutError):
                continue
            self._freed(connection)
            return

    def ask(self, question: Question, exchange: Exchange) -> None:
        exchange.sent = now_ns()
        model, server = self.route.path, f"{self._endpoint.path}/v2"
        path = {"ready": f"{model}/ready", "model": model, "server": server}[question]
        self._send(self.route.head("GET", path, self.route.headers) + b"\r\n", exchange)

    def send(self, request: Template, exchange: Exchange) -> None:
        exchange.sent = now_ns()
        exchange.id = request.id(exchange.index)
        self._send(request.request(exchange.index, exchange.id), exchange)

    def _send(self, request: bytes, exchange: Exchange) -> None:
        while self._free:
            connection = self._free.pop()
            if connection.is_open and exchange.sent - connection.idle_since < _LONGEST_IDLE_NS:
                connection.begin(request, exchange)
                return
            connection.abort()
        if self._limit is not None and len(self._all) + len(self._opening) >= self._limit:
            self._waiting.append((request, exchange))
            return
        self._open_for(request, exchange)

    async def close(self) -> None:
        for task in list(self._opening):
            task.cancel()
        for connection in list(self._all):
            connection.abort()
        await asyncio.sleep(0)

    async def _connect(self) -> HttpConnection:
        making = asyncio.get_running_loop().create_connection(
            lambda: HttpConnection(self._freed, self._gone),
            self._address,
            self._endpoint.port,
            ssl=self._tls,
            server_hostname=self._endpoint.host if self._tls else None,
        )
        if self.route.connect_s is not None:
            making = asyncio.wait_for(making, self.route.connect_s)
        _, connection = await making
        self._all.add(connection)
        return connection

    async def _connect_and_begin(self, request: bytes, exchange: Exchange) -> None:
        try:
            connection = await self._connect()
        except (OSError, asyncio.TimeoutError) as error:
            own = getattr(error, "errno", 0) in _OWN_LIMITS
            problem = f"no connection to {self._endpoint.authority}: {_reason(error)}"
            exchange.finish(Outcome.TESTER_ERROR if own else Outcome.REFUSED, error=problem)
            self._open_for_waiting()
            return
        except asyncio.CancelledError:
            self._open_for_waiting()
            raise
        if exchange.ended:
            self._freed(connection)
        else:
            connection.begin(request, exchange)

    def _next_waiting(self) -> tuple[bytes, Exchange] | None:
        while self._waiting:
            request, exchange = self._waiting.popleft()
            if not exchange.ended:
                return request, exchange
        return None

    def _freed(self, connection: HttpConnection) -> None:
        waiting = self._next_waiting()
        if waiting is not None:
            connection.begin(*waiting)
        else:
            connection.idle_since = now_ns()
            self._free.append(connection)

    def _gone(self, connection: HttpConnection) -> None:
        self._all.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        self._open_for_waiting()

    def _open_for_waiting(self) -> None:
        waiting = self._next_waiting()
        if waiting is not None:
            self._open_for(*waiting)

    def _open_for(self, request: bytes, exchange: Exchange) -> None:
        task = asyncio.get_running_loop().create_task(self._connect_and_begin(request, exchange))
        exchange.abandon = task.cancel
        # The loop itself holds tasks only weakly.
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)


def _reason(error: OSError | asyncio.TimeoutError) -> str:
    # asyncio's own text of a refusal does not say that it was one.
    number = getattr(error, "errno", None)
    if isinstance(error, ssl.SSLError) or not number or number < 0:
        return str(error) or "the time to connect is over"
    return os.strerror(number)


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
        self._coding: int | None = None
        self._has_length = False
        self._ends_with_connection = False
        self._events: bytes | None = None
        self._failure: tuple[int, str] | None = None
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
        self._coding = None
        self._has_length = False
        self._events = None
        self._failure = None
        self._body = []

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-encoding":
            self._coding = _CODINGS.get(value.lower())
        elif name == b"content-type":
            # What it holds of a whole event yet.
            self._events = b"" if value.lower().startswith(b"text/event-stream") else None
        elif name == _JSON_SIZE and self._exchange is not None:
            self._exchange.json_size = int(value) if value.isdigit() else None
        elif name in (b"content-length", b"transfer-encoding"):
            self._has_length = True

    def on_headers_complete(self) -> None:
        # Not before: a head that breaks off is no answer.
        self._ends_with_connection = not self._has_length

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        if self._events is not None:
            self._take_events(self._events + body)

    def _take_events(self, text: bytes) -> None:
        text = text.replace(b"\r\n", b"\n")
        whole, end, self._events = text.rpartition(b"\n\n")
        exchange = self._exchange
        if not end or exchange is None:
            return
        for kind, data in events(whole):
            if kind == "error":
                self._failure = _event_failure(data)
            else:
                exchange.answered(data)

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
        if self._coding is not None:
            try:
                body = zlib.decompress(body, self._coding)
            except zlib.error as error:
                problem = f"the answer is not what its content-encoding says: {error}"
                self._end(Outcome.WRONG_ANSWER, status, error=problem)
                self.abort()
                return
        outcome = of_status(status)
        problem = "" if outcome is Outcome.OK else f"HTTP {status}: {error_text(body)}"
        if self._failure is not None:
            status, text = self._failure
            outcome, problem = of_status(status), f"HTTP {status}: {text}"
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


def error_text(body: bytes) -> str:
    """What the body of an error says."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if isinstance(document, dict):
        for key in ("error", "detail"):
            if document.get(key):
                return str(document[key])
    return body[:2000].decode(errors="replace")


def _event_failure(data: bytes) -> tuple[int, str]:
    """Status and text of an event `error`, which ends a stream that had begun well."""
    try:
        status = orjson.loads(data).get("status")
    except (orjson.JSONDecodeError, AttributeError):
        status = None
    return (status if isinstance(status, int) and status >= 400 else 500), error_text(data)
