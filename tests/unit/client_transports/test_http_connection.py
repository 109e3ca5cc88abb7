"""Answers that break off, and failures of our own callbacks."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from infergraph_clients.transports import (
    Endpoint,
    Exchange,
    Outcome,
    Route,
    make_transport,
    now_ns,
    rest,
)
from infergraph_clients.transports.rest import HttpConnection


class Socket:
    """A transport that notes what is written, and whether it was ended."""

    def __init__(self) -> None:
        self.written = b""
        self.ended = False

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.ended = True

    abort = close


def connected(
    on_end: Callable[[Exchange], None] = lambda exchange: None,
) -> tuple[Any, Exchange, list[HttpConnection]]:
    """A connection that has sent a request, that request, and where it is put when it is free."""
    free: list[HttpConnection] = []
    connection: Any = HttpConnection(free.append, lambda connection: None)
    connection.connection_made(Socket())
    exchange = Exchange(0, 0, False, now_ns(), on_end)
    exchange.sent = now_ns() - 1
    connection.begin(b"request", exchange)
    return connection, exchange, free


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTT",
        b"HTTP/1.1 200 OK\r\nconte",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_an_answer_that_breaks_off_is_lost(start: bytes) -> None:
    connection, exchange, free = connected()
    connection.data_received(start)
    assert not exchange.ended
    connection.connection_lost(None)
    assert (exchange.outcome, exchange.body) == (Outcome.LOST, b"")
    assert exchange.error == "the connection was lost: the server closed it"
    assert not free


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    connection, exchange, _ = connected()
    connection.data_received(b"HTTP/1.1 200 OK\r\nserver: old\r\n\r\nall of it")
    connection.connection_lost(None)
    assert (exchange.outcome, exchange.status, exchange.body) == (Outcome.OK, 200, b"all of it")


def test_a_whole_answer_frees_the_connection() -> None:
    connection, exchange, free = connected()
    connection.data_received(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Full\r\n")
    connection.data_received(b"content-length: 2\r\n\r\nno")
    assert (exchange.outcome, exchange.status, exchange.error) == (
        Outcome.OVERLOAD,
        503,
        "HTTP 503: no",
    )
    assert free == [connection]


def test_a_failure_of_our_own_is_not_taken_for_a_bad_answer() -> None:
    def broken(exchange: Exchange) -> None:
        raise RuntimeError("of the check, for example")

    connection, _, _ = connected(broken)
    with pytest.raises(RuntimeError, match="of the check"):
        connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx")


def test_what_is_not_http_is_lost() -> None:
    connection, exchange, _ = connected()
    connection.data_received(b"SSH-2.0-OpenSSH_9.2\r\n")
    assert exchange.outcome is Outcome.LOST
    assert exchange.error.startswith("the answer is not HTTP")


EVENT_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_events_are_told_as_they_come() -> None:
    connection, exchange, free = connected()
    told: list[bytes] = []
    exchange.on_answer = told.append
    connection.data_received(EVENT_HEAD + chunk(b"data: on"))
    assert (told, exchange.answers, exchange.first_answer) == ([], 0, -1)
    connection.data_received(chunk(b"e\n"))
    connection.data_received(chunk(b"\n: a comment\n\ndata: two\r\n\r\n"))
    assert told == [b"one", b"two"]
    assert exchange.sent < exchange.first_answer
    assert (exchange.answers, len(exchange.gaps)) == (2, 1)
    assert not exchange.ended
    connection.data_received(chunk(b""))
    assert (exchange.outcome, exchange.status) == (Outcome.OK, 200)
    assert exchange.body.startswith(b"data: one")
    assert free == [connection]


@pytest.mark.parametrize(
    ("data", "outcome", "error"),
    [
        (b'{"error": "full", "status": 503}', Outcome.OVERLOAD, "HTTP 503: full"),
        (b'{"error": "broken", "status": 500}', Outcome.SERVER_ERROR, "HTTP 500: broken"),
        (b"junk", Outcome.SERVER_ERROR, "HTTP 500: junk"),
    ],
)
def test_an_event_may_be_an_error(data: bytes, outcome: Outcome, error: str) -> None:
    connection, exchange, _ = connected()
    connection.data_received(
        EVENT_HEAD + chunk(b"data: one\n\nevent: error\ndata: " + data + b"\n\n")
    )
    connection.data_received(chunk(b""))
    assert (exchange.outcome, exchange.error, exchange.answers) == (outcome, error, 1)


def test_where_raw_contents_begin_is_noted() -> None:
    connection, exchange, _ = connected()
    head = b"HTTP/1.1 200 OK\r\nInference-Header-Content-Length: 2\r\ncontent-length: 4\r\n\r\n"
    connection.data_received(head + b"{}ab")
    assert (exchange.json_size, exchange.body) == (2, b"{}ab")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_codings_are_undone(coding: str) -> None:
    body = {"gzip": gzip.compress(b"all"), "deflate": zlib.compress(b"all")}[coding]
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: %s\r\ncontent-length: %d\r\n\r\n"
    connection, exchange, _ = connected()
    connection.data_received(head % (coding.encode(), len(body)) + body)
    assert (exchange.outcome, exchange.body) == (Outcome.OK, b"all")
    connection, exchange, _ = connected()
    connection.data_received(head % (coding.encode(), 3) + b"all")
    assert exchange.outcome is Outcome.WRONG_ANSWER
    assert exchange.error.startswith("the answer is not what its content-encoding says")


async def test_a_server_that_takes_no_connection_does_not_hold_up_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rest, "READY_SECONDS", 0.01)
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listening.getsockname()
        # What a full queue has no place for is left without an answer.
        for _ in range(3):
            filling = stack.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex(address)
        transport = make_transport(Route(Endpoint.parse(f"http://127.0.0.1:{address[1]}"), "m"))
        await asyncio.wait_for(transport.open(), 60)
        await transport.close()
