"""`HttpClient`: HTTP/1.1 to one host, at a fraction of what a general client costs.

A hop is a small request every millisecond to a server that is known: no redirects, cookies,
proxies or content codings, but persistent connections, deadlines and cancellation. What aiohttp
spends on the former is several times what the hop's own work takes.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httptools

from ..v2.rest_tensors import Body
from .addresses import Addresses
from .endpoint import Endpoint

# Uvicorn closes a connection that was idle for 5 seconds; one that is reused later would be lost.
_IDLE_SECONDS = 4.0
_LONGEST_SECONDS = 30.0
"""After so long a connection to a name is opened anew, so that new servers get their share."""
_TRY_SECONDS = 1.0
"""How long one of several addresses may take to accept a connection."""
_JOINED_BYTES = 1 << 14


class CannotConnect(ConnectionError):
    """There is no connection to the server."""


class ConnectionBroke(ConnectionError):
    """The server ended the connection within an answer, or sent what is no HTTP."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer.

    Attributes:
        status: Its HTTP status.
        headers: By names in lower case; of several of one name the last.
        body: All of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Connections to the servers of one host, each used by one request at a time.

    Where its name has several addresses, connections are spread over them and used in turn. One
    that takes no connection is left out for a while; see `Addresses`.

    Args:
        endpoint: An http or https endpoint.
        connect_seconds: Longest wait for a connection.
    """

    def __init__(self, endpoint: Endpoint, connect_seconds: float) -> None:
        parts = urlsplit(f"//{endpoint.authority}")
        self._host, self._port = parts.hostname or "", parts.port or 0
        self._addresses = Addresses(self._host, self._port)
        self._tls = ssl.create_default_context() if endpoint.is_secure else None
        self._authority = endpoint.authority
        self._connect_seconds = connect_seconds
        self._idle: deque[_Connection] = deque()
        self._closed = False

    async def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        parts: Sequence[Body],
        seconds: float | None,
    ) -> HttpResponse:
        """Sends a request, and gives its answer. Cancelling it ends the connection.

        Args:
            method: GET or POST.
            path: Quoted, from its first slash.
            headers: Names and values that HTTP can carry; those of the connection are added.
            parts: The body.
            seconds: Longest wait for the whole answer, or None.

        Raises:
            asyncio.TimeoutError: the answer did not come in time.
            CannotConnect: there is no connection, or was none in `connect_seconds`.
            ConnectionBroke: it ended within the answer.
        """
        loop = asyncio.get_running_loop()
        end = None if seconds is None else loop.time() + seconds
        data = self._encode(method, path, headers, parts)
        while True:
            connection = self._take_idle(loop)
            reused = connection is not None
            if connection is None:
                connection = await self._connect(loop, end)
            left = None if end is None else end - loop.time()
            try:
                return await connection.exchange(data, left)
            except ConnectionBroke:
                # The server ended it while it was idle; it has not seen the request.
                if not reused or connection.heard:
                    raise
            finally:
                if connection.reusable and not self._closed:
                    self._idle.append(connection)
                else:
                    connection.abort()

    def close(self) -> None:
        """Ends all connections that are idle, and later ones once their requests have ended."""
        self._closed = True
        for connection in self._idle:
            connection.abort()
        self._idle.clear()

    def _take_idle(self, loop: asyncio.AbstractEventLoop) -> _Connection | None:
        longest = _LONGEST_SECONDS if self._addresses.is_name else math.inf
        now = loop.time()
        while self._idle:
            # In turn, so that all servers that have connections have work.
            connection = self._idle.popleft()
            fresh = now - connection.idle_since < _IDLE_SECONDS
            if connection.is_open and fresh and now - connection.opened < longest:
                return connection
            connection.abort()
        return None

    async def _connect(self, loop: asyncio.AbstractEventLoop, end: float | None) -> _Connection:
        limit = loop.time() + self._connect_seconds
        if end is not None:
            limit = min(limit, end)
        problem = ""
        try:
            left = max(0.0, limit - loop.time())
            untried = await asyncio.wait_for(self._addresses.known(), left)
            while untried:
                address = self._addresses.choose(untried)
                untried.remove(address)
                left = max(0.0, limit - loop.time())
                seconds = min(left, _TRY_SECONDS) if untried else left
                try:
                    return await asyncio.wait_for(self._open(loop, address), seconds)
                except asyncio.TimeoutError:
                    if seconds == left:
                        raise
                    problem = f"no connection to {address} in {seconds:g} s"
                except OSError as error:
                    problem = error.strerror or str(error)
                self._addresses.failed(address)
        except asyncio.TimeoutError:
            if limit == end:
                raise
            problem = f"no connection in {self._connect_seconds:g} s"
        except OSError as error:
            problem = str(error)
        raise CannotConnect(problem)

    async def _open(self, loop: asyncio.AbstractEventLoop, address: str) -> _Connection:
        try:
            _, connection = await loop.create_connection(
                lambda: _Connection(loop),
                address,
                self._port,
                ssl=self._tls,
                server_hostname=self._host if self._tls else None,
            )
        except BaseException:
            self._addresses.closed(address)
            raise
        connection.when_lost(partial(self._addresses.closed, address))
        return connection

    def _encode(
        self, method: str, path: str, headers: Mapping[str, str], parts: Sequence[Body]
    ) -> list[Body]:
        size = sum(map(len, parts))
        lines = [f"{method} {path} HTTP/1.1", f"host: {self._authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if method == "POST":
            lines.append(f"content-length: {size}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if size <= _JOINED_BYTES:
            return [b"".join([head, *parts])]
        return [head, *parts]


class _Connection(asyncio.Protocol):
    """One connection.

    Attributes:
        is_open: Whether it can take a request.
        reusable: Whether it is open after an answer that was whole.
        heard: Whether anything came in answer to the last request.
        idle_since: When its last answer was whole, on the loop's clock.
        opened: When it was opened.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._when_lost: Callable[[], None] | None = None
        self._transport: Any = None
        self._answer: asyncio.Future[HttpResponse] | None = None
        self._parser: Any = None
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._begun = False
        self.is_open = self.reusable = self.heard = False
        self.idle_since = 0.0
        self.opened = loop.time()

    async def exchange(self, data: Sequence[Body], seconds: float | None) -> HttpResponse:
        """Sends a request and waits for its answer; see `HttpClient.request`."""
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._body = {}, []
        self._begun = self.heard = self.reusable = False
        answer: asyncio.Future[HttpResponse] = self._loop.create_future()
        self._answer = answer
        timer = None
        if seconds is not None:
            timer = self._loop.call_later(max(0.0, seconds), self._fail, asyncio.TimeoutError())
        if not self.is_open:
            raise ConnectionBroke("the connection ended")
        for part in data:
            self._transport.write(part)
        try:
            return await answer
        finally:
            self._answer = None
            if timer is not None:
                timer.cancel()

    def when_lost(self, call: Callable[[], None]) -> None:
        """Calls it once the connection has ended, however that came."""
        if self.is_open:
            self._when_lost = call
        else:
            call()

    def abort(self) -> None:
        """Ends the connection."""
        self.is_open = self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        self.heard = True
        if self._answer is None:
            # Nothing was asked: whatever it is, it is no answer to the next request.
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ConnectionBroke(f"no HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._when_lost is not None:
            self._when_lost()
        self.is_open = self.reusable = False
        if self._begun_to_the_end():
            self._finish()
        self._fail(ConnectionBroke(str(exc or "the connection ended")))

    # What the parser calls

    def on_message_begin(self) -> None:
        if self._answer is None or self._answer.done():
            # A second answer to one request: the next request must not get it.
            self.is_open = self.reusable = False
            self._headers, self._body = {}, []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._begun = True

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:
            self._headers.clear()
            self._begun = False
            return
        if self._answer is not None and not self._answer.done():
            self.reusable = self.is_open and self._parser.should_keep_alive()
            self._finish()

    def _begun_to_the_end(self) -> bool:
        """Whether an answer has come whose length nothing tells but the connection's end."""
        if not self._begun:
            return False
        chunked = "chunked" in self._headers.get("transfer-encoding", "").lower()
        return not chunked and "content-length" not in self._headers

    def _finish(self) -> None:
        self.idle_since = self._loop.time()
        if self._answer is not None and not self._answer.done():
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            status = self._parser.get_status_code()
            self._answer.set_result(HttpResponse(status, self._headers, body))

    def _fail(self, error: BaseException) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
