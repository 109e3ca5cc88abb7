"""HTTP/1.1 at the least cost for the client: bytes go out as they are, and answers are not parsed.

A general client takes longer for a small request than a fast server does.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LONGEST_IDLE = 4.0
"""Seconds. Uvicorn ends connections that are idle for 5."""
_HEAD_END = b"\r\n\r\n"
Answer = tuple[int, list[bytes]]
"""A status, and the body in the pieces in which it came."""


def post(path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A whole POST request with its `Content-Length`."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class HttpConnections:
    """As many connections to one loopback port as there are requests at the same time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[_Connection] = []

    async def send(self, request: bytes) -> Answer:
        """Sends one request and waits for the whole answer.

        Raises ConnectionError when the connection ends before, and ValueError for an answer that
        does not say its length.
        """
        connection = await self._connection()
        answer = await connection.send(request)
        connection.idle_since = asyncio.get_running_loop().time()
        self._free.append(connection)
        return answer

    async def _connection(self) -> _Connection:
        loop = asyncio.get_running_loop()
        while self._free:
            connection = self._free.pop()
            if connection.is_open and loop.time() - connection.idle_since < _LONGEST_IDLE:
                return connection
            connection.close()
        _, connection = await loop.create_connection(_Connection, "127.0.0.1", self._port)
        return connection

    def close(self) -> None:
        for connection in self._free:
            connection.close()
        self._free.clear()


class _Connection(asyncio.Protocol):
    """Takes one request at a time."""

    is_open = True
    idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, request: bytes) -> asyncio.Future[Answer]:
        self._head = b""
        self._body: list[bytes] = []
        self._left = -1
        self._answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            self._head += data
            end = self._head.find(_HEAD_END)
            if end < 0:
                return
            length = _LENGTH.search(self._head, 0, end)
            if length is None:
                self._fail(ValueError(f"an answer without its length: {self._head[:300]!r}"))
                return
            data = self._head[end + len(_HEAD_END) :]
            self._left = int(length[1])
        self._body.append(data)
        self._left -= len(data)
        if self._left <= 0 and not self._answer.done():
            self._answer.set_result((int(self._head[9:12]), self._body))

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if hasattr(self, "_answer"):
            self._fail(ConnectionError(f"the server ended the connection: {error}"))

    def _fail(self, error: Exception) -> None:
        self._transport.close()
        if not self._answer.done():
            self._answer.set_exception(error)
