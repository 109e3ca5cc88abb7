"""REST as bytes: sends them as a request's plan says, and takes apart what comes back."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

import httptools

from .shots import RestShot

PAUSE_SECONDS = 0.01
"""Between the pieces of a slow request."""
_PATIENCE_SECONDS = 0.1
"""How long it waits for an answer to bytes that are no whole request."""
_LONGEST_IDLE_SECONDS = 4.0
"""Uvicorn ends connections that are idle for 5."""


@dataclass
class Reply:
    """What came back.

    Attributes:
        status: 0 when there was no answer.
        headers: By name in lower case; of several of one name the last one.
        body: All of it, without chunks' sizes.
        problem: Why the answer is not whole; empty if it is, or if nothing came at all.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    problem: str = ""


class Connections:
    """Connections to one server; those that good framing left usable are used again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[_Connection] = []

    async def send(self, shot: RestShot) -> Reply | None:
        """The reply; None when the request goes away without waiting for it."""
        if shot.leaves_after is not None:
            connection = await self._open()
            connection.write(shot.data[: shot.leaves_after])
            connection.abort()
            return None
        if not shot.whole or shot.says_nothing:
            return await self._exchange(await self._open(), shot, keeps=False)
        kept = self._kept()
        if kept is not None:
            reply = await self._exchange(kept, shot)
            if reply.status or reply.problem:
                return reply
            # The server ended it, as it may, just when the request was sent.
        return await self._exchange(await self._open(), shot)

    async def _exchange(self, connection: _Connection, shot: RestShot, keeps: bool = True) -> Reply:
        try:
            answer = connection.expect(shot.data.startswith(b"HEAD "))
            for piece in _pieces(shot):
                connection.write(piece)
                if shot.pieces > 1:
                    await asyncio.sleep(PAUSE_SECONDS)
            if shot.whole:
                await answer
            else:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(asyncio.shield(answer), _PATIENCE_SECONDS)
            reply = connection.reply
            keeps = keeps and connection.may_be_kept
        except BaseException:
            keeps = False
            raise
        finally:
            if keeps:
                connection.idle_since = asyncio.get_running_loop().time()
                self._free.append(connection)
            else:
                connection.abort()
        return reply

    def close(self) -> None:
        for connection in self._free:
            connection.abort()
        self._free.clear()

    def _kept(self) -> _Connection | None:
        now = asyncio.get_running_loop().time()
        while self._free:
            connection = self._free.pop()
            if connection.is_open and now - connection.idle_since < _LONGEST_IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    async def _open(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, "127.0.0.1", self._port)
        return connection


def _pieces(shot: RestShot) -> list[bytes]:
    size = -(-len(shot.data) // shot.pieces)
    return [shot.data[at : at + size] for at in range(0, len(shot.data), size)]


class _Connection(asyncio.Protocol):
    """Takes one request at a time."""

    is_open = True
    idle_since = 0.0

    def __init__(self) -> None:
        self.reply = Reply()
        self._answer: asyncio.Future[Reply] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    @property
    def may_be_kept(self) -> bool:
        return self.is_open and self._keeps and not self.reply.problem

    def expect(self, head_only: bool) -> asyncio.Future[Reply]:
        self._head_only = head_only
        self._keeps = False
        self.reply = Reply()
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        return self._answer

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def abort(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            # Of a request that has its answer there is no second one.
            if self._answer is not None and not self._head_only:
                self.reply.problem = f"more came after the answer: {data[:60]!r}"
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(f"an answer that is no HTTP ({error}): {data[:60]!r}")

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if self._answer is None or self._answer.done():
            return
        # Without a length, the end of the connection is the end of the body.
        headers = self.reply.headers
        has_end = "content-length" in headers or "transfer-encoding" in headers
        broken = self.reply.status and (has_end or not headers)
        self._end("the connection ended within the answer" if broken else "")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.reply.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 100:
            self.reply.headers.clear()
            return
        self.reply.status = status
        if self._head_only:
            self._end("")

    def on_body(self, body: bytes) -> None:
        self.reply.body += body

    def on_message_complete(self) -> None:
        if self.reply.status:
            # The parser forgets it right after.
            self._keeps = self._parser.should_keep_alive()
            self._end("")

    def _end(self, problem: str) -> None:
        self.reply.problem = problem
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(self.reply)
