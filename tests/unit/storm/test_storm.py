"""The storm's requests, and what it says of a server that is not well."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.storm.connection import Connections, Reply
from tests.storm.judge import Fault
from tests.storm.rest_shots import request
from tests.storm.shots import GrpcShot, RestShot
from tests.storm.storm import Outcome, kind_of, shot_of

Answer = Callable[[bytes], Awaitable[int]]
"""Starts a server that answers each request with these bytes, and ends the connection."""


def test_a_seed_and_an_index_make_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    first = [shot_of(3, index) for index in range(2_000)]
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert [shot_of(3, index) for index in range(2_000)] == first
    assert [shot_of(3, index) for index in range(20)] != [shot_of(4, index) for index in range(20)]


def test_requests_are_of_every_kind() -> None:
    shots = [shot_of(0, index) for index in range(6_000)]
    assert len({kind_of(shot) for shot in shots}) == 37
    assert any(isinstance(shot, GrpcShot) and shot.streams for shot in shots)
    assert any(isinstance(shot, RestShot) and shot.leaves_after for shot in shots)


def test_of_each_kind_of_fault_the_shortest_request_is_kept() -> None:
    outcome = Outcome()
    for index, data in enumerate((b"long one", b"short", b"longer still")):
        outcome.found(Fault("status 500", f"detail {index}"), index, RestShot("odd", data))
    outcome.found(Fault("status 501"), 9, RestShot("odd", b"x"))
    first, second = outcome.findings.values()
    assert (first.count, first.index, first.shown) == (3, 1, "b'short'")
    assert first.fault.detail == "detail 1"
    assert (second.count, second.index) == (1, 9)


@pytest.fixture
async def answer() -> AsyncIterator[Answer]:
    servers = []

    async def start(data: bytes) -> int:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(data)
            await writer.drain()
            writer.close()

        servers.append(await asyncio.start_server(handle, "127.0.0.1", 0))
        port: int = servers[-1].sockets[0].getsockname()[1]
        return port

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


ERROR = json.dumps({"error": "no"}).encode()


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (
            b"HTTP/1.1 404 x\r\nContent-Length: 15\r\n\r\n" + ERROR,
            Reply(404, {"content-length": "15"}, ERROR),
        ),
        (
            b"HTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n" + ERROR + b"\r\n0\r\n\r\n",
            Reply(404, {"transfer-encoding": "chunked"}, ERROR),
        ),
        (b"HTTP/1.1 404 x\r\nA: b\r\n\r\n" + ERROR, Reply(404, {"a": "b"}, ERROR)),
        (
            b"HTTP/1.1 404 x\r\nContent-Length: 99\r\n\r\n" + ERROR,
            Reply(404, {"content-length": "99"}, ERROR, "the connection ended within the answer"),
        ),
        (b"", Reply()),
    ],
    ids=["length", "chunks", "to the end", "cut short", "nothing"],
)
async def test_replies_are_taken_apart(answer: Answer, data: bytes, reply: Reply) -> None:
    port = await answer(data)
    connections = Connections(port)
    shot = RestShot("odd", request("/", b"", method="GET"))
    assert await connections.send(shot) == reply
    connections.close()


async def test_what_is_no_http_is_told(answer: Answer) -> None:
    connections = Connections(await answer(b"what?\r\n\r\n"))
    reply = await connections.send(RestShot("odd", request("/", b"", method="GET")))
    assert reply is not None
    assert reply.problem.startswith("an answer that is no HTTP")
    connections.close()


async def test_a_connection_that_was_kept_too_long_costs_no_answer() -> None:
    asked: list[int] = []
    handlers: list[asyncio.Task[Any] | None] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Says that it keeps the connection, and ends it at the second request."""
        handlers.append(asyncio.current_task())
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError):
            for count in range(2):
                await reader.readuntil(b"\r\n\r\n")
                asked.append(count)
                if count == 0:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    connections = Connections(server.sockets[0].getsockname()[1])
    shot = RestShot("good", request("/", b"", method="GET"))
    for _ in range(2):
        reply = await connections.send(shot)
        assert reply is not None
        assert reply.body == b"ok"
    assert asked == [0, 1, 0]
    connections.close()
    await asyncio.gather(*filter(None, handlers))
    server.close()
    await server.wait_closed()
