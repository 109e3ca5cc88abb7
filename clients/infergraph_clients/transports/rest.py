"""`RestTransport`: V2 REST over a pool of connections."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections import deque

from .exchange import Exchange, now_ns
from .http_connection import HttpConnection
from .outcome import Outcome
from .route import Route
from .template import Template
from .transport import Question, Transport

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
        """See `Transport.open`. The host's name is looked up here, once."""
        loop = asyncio.get_running_loop()
        host, port = self._endpoint.host, self._endpoint.port
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return
        for *_, address in found:
            self._address = str(address[0])
            try:
                connection = await self._connect()
            except OSError:
                continue
            self._freed(connection)
            return

    def ask(self, question: Question, exchange: Exchange) -> None:
        """See `Transport.ask`."""
        path = {
            "ready": f"{self.route.path}/ready",
            "model": self.route.path,
            "server": f"{self._endpoint.path}/v2",
        }[question]
        self._send(self.route.head("GET", path, self.route.headers) + b"\r\n", exchange)

    def send(self, request: Template, exchange: Exchange) -> None:
        """See `Transport.send`."""
        exchange.sent = now_ns()
        exchange.id = request.id(exchange.index)
        self._send(request.request(exchange.index, exchange.id), exchange)

    def _send(self, request: bytes, exchange: Exchange) -> None:
        if exchange.sent < 0:
            exchange.sent = now_ns()
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
        """See `Transport.close`."""
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
            exchange.finish(
                Outcome.TESTER_ERROR
                if getattr(error, "errno", 0) in _OWN_LIMITS
                else Outcome.REFUSED,
                error=f"no connection to {self._endpoint.authority}: {_reason(error)}",
            )
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
