"""`RestTransport`: V2 REST over a pool of connections."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections import deque
from collections.abc import Mapping
from urllib.parse import quote

from .endpoint import Endpoint
from .exchange import Exchange, now_ns
from .http_connection import HttpConnection
from .outcome import Outcome

_LONGEST_IDLE_NS = 4_000_000_000
"""Uvicorn ends connections that are idle for 5 s; one that it is about to end is not used again."""
_OWN_LIMITS = (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM)


class RestTransport:
    """Opens a connection whenever none is free, up to a limit; then requests wait their turn."""

    def __init__(self, endpoint: Endpoint, model_path: str, connections: int | None) -> None:
        self._endpoint = endpoint
        self._model_path = model_path
        self._limit = connections
        self._tls = ssl.create_default_context() if endpoint.is_secure else None
        self._address = endpoint.host
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

    async def is_ready(self) -> bool | None:
        """See `Transport.is_ready`."""
        ended: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        exchange = Exchange(0, 0, False, now_ns(), ended.set_result)
        path = f"{self._model_path}/ready"
        self.send(http_head("GET", path, self._endpoint, {}) + b"\r\n", exchange)
        await ended
        if exchange.outcome in (Outcome.REFUSED, Outcome.LOST):
            raise ConnectionError(exchange.error)
        # MLServer says 400 of a model that it is still loading, as Triton does of an unknown one.
        if exchange.status == 404:
            return None
        return exchange.outcome is Outcome.OK

    def send(self, request: bytes, exchange: Exchange) -> None:
        """See `Transport.send`."""
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
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: HttpConnection(self._freed, self._gone),
            self._address,
            self._endpoint.port,
            ssl=self._tls,
            server_hostname=self._endpoint.host if self._tls else None,
        )
        self._all.add(connection)
        return connection

    async def _connect_and_begin(self, request: bytes, exchange: Exchange) -> None:
        try:
            connection = await self._connect()
        except OSError as error:
            exchange.finish(
                Outcome.TESTER_ERROR if error.errno in _OWN_LIMITS else Outcome.REFUSED,
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


def model_path(endpoint: Endpoint, model: str, version: str | None) -> str:
    """The path of a model below a server's root."""
    path = f"{endpoint.path}/v2/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{quote(version, safe='')}"


def http_head(method: str, path: str, endpoint: Endpoint, headers: Mapping[str, str]) -> bytes:
    """The head of a request, all but the empty line at its end."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {endpoint.authority}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


def _reason(error: OSError) -> str:
    # asyncio's own text of a refusal does not say that it was one.
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
