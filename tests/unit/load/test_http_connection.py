"""Answers that break off, and failures of our own callbacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from infergraph_clients.load.outcome import Outcome
from infergraph_clients.transports.exchange import Exchange, now_ns
from infergraph_clients.transports.http_connection import HttpConnection


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
