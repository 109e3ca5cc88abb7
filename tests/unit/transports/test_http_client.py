from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from infergraph.transports.endpoint import Endpoint
from infergraph.transports.http_client import (
    CannotConnect,
    ConnectionBroke,
    HttpClient,
    HttpResponse,
)

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Kind: plain\r\n\r\nok"


class Server:
    """A server of raw bytes: `answer` is called with each request, in turn for a connection."""

    def __init__(self) -> None:
        self.answer: Answer = plain
        self.requests: list[bytes] = []
        self.connections = 0
        self.ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None] | None] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in filter(None, self._tasks):
            task.cancel()
        await asyncio.gather(*filter(None, self._tasks), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.add(asyncio.current_task())
        broken = (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError)
        with contextlib.closing(writer), contextlib.suppress(*broken):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                size = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.lower().split(b"\r\n")
                        if line.startswith(b"content-length")
                    ),
                    0,
                )
                self.requests.append(head + await reader.readexactly(size))
                await self.answer(self.requests[-1], writer)
        self.ended.set()


async def plain(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


def writing(*pieces: bytes, close: bool = False) -> Answer:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if close:
            writer.close()

    return answer


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[HttpClient]:
    client = HttpClient(Endpoint.parse(f"http://127.0.0.1:{server.port}"), 10)
    yield client
    client.close()


async def post(client: HttpClient, *parts: bytes, seconds: float | None = 60) -> HttpResponse:
    return await client.request("POST", "/p", {"X-Name": "v"}, parts, seconds)


async def test_a_request_and_its_answer(server: Server, client: HttpClient) -> None:
    response = await post(client, b"ab", memoryview(b"cd"))  # type: ignore[arg-type]

    assert (response.status, response.body) == (200, b"ok")
    assert response.headers["x-kind"] == "plain"
    assert server.requests == [
        b"POST /p HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nX-Name: v\r\ncontent-length: 4\r\n\r\nabcd"
        % server.port
    ]


async def test_a_large_body_and_a_large_answer(server: Server, client: HttpClient) -> None:
    body = bytes(range(256)) * 20_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    server.answer = writing(
        head, *(body[start : start + 99_999] for start in range(0, len(body), 99_999))
    )

    response = await post(client, body)

    assert response.body == body
    assert server.requests[0].endswith(body)


async def test_a_connection_serves_requests_in_turn_and_several_at_once(
    server: Server, client: HttpClient
) -> None:
    for _ in range(5):
        await post(client)
    assert server.connections == 1

    entered, leave = asyncio.Semaphore(0), asyncio.Event()

    async def wait(request: bytes, writer: asyncio.StreamWriter) -> None:
        entered.release()
        await leave.wait()
        writer.write(OK)

    server.answer = wait
    together = [asyncio.create_task(post(client)) for _ in range(3)]
    for _ in together:
        await entered.acquire()
    leave.set()
    assert [(await task).body for task in together] == [b"ok"] * 3
    assert server.connections == 3


@pytest.mark.parametrize(
    ("pieces", "close", "body"),
    [
        (
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", b"0\r\n\r\n"],
            False,
            b"ok",
        ),
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"o", b"k"], True, b"ok"),
        ([b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n", b"ok"], True, b"ok"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", OK], False, b"ok"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], False, b""),
    ],
    ids=["chunks", "to the end", "HTTP/1.0", "continue", "no body"],
)
async def test_forms_of_answers(
    server: Server, client: HttpClient, pieces: list[bytes], close: bool, body: bytes
) -> None:
    server.answer = writing(*pieces, close=close)
    for _ in range(2):
        response = await post(client)
        assert (response.status, response.body) == (200, body)
    assert server.connections == (2 if close else 1)


@pytest.mark.parametrize(
    "pieces",
    [[], [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"], [b"HTTP/1.1 200 OK\r\nContent-"]],
    ids=["nothing", "within the body", "within the headers"],
)
async def test_an_answer_that_breaks_off(
    server: Server, client: HttpClient, pieces: list[bytes]
) -> None:
    server.answer = writing(*pieces, close=True)
    with pytest.raises(ConnectionBroke):
        await post(client)
    server.answer = plain
    assert (await post(client)).body == b"ok"


async def test_what_is_no_http(server: Server, client: HttpClient) -> None:
    server.answer = writing(b"what?\r\n\r\n")
    with pytest.raises(ConnectionBroke, match="no HTTP"):
        await post(client)
    await asyncio.wait_for(server.ended.wait(), 60)


async def test_a_connection_that_the_server_ended_while_it_was_idle_costs_no_request(
    server: Server, client: HttpClient
) -> None:
    seen = 0

    async def once(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        seen += 1
        if seen == 2:
            writer.close()
        else:
            writer.write(OK)

    server.answer = once
    assert (await post(client)).body == b"ok"
    assert (await post(client)).body == b"ok"
    assert server.connections == 2


async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one(
    server: Server, client: HttpClient
) -> None:
    server.answer = writing(OK, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
    assert (await post(client)).body == b"ok"
    await asyncio.wait_for(server.ended.wait(), 60)
    server.answer = plain
    assert (await post(client)).body == b"ok"


async def test_time_and_cancellation_end_the_connection(server: Server, client: HttpClient) -> None:
    entered = asyncio.Event()

    async def never(request: bytes, writer: asyncio.StreamWriter) -> None:
        entered.set()
        await asyncio.Event().wait()

    server.answer = never
    with pytest.raises(asyncio.TimeoutError):
        await post(client, seconds=0.05)

    entered.clear()
    task = asyncio.create_task(post(client))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.answer = plain
    assert (await post(client)).body == b"ok"
    assert server.connections == 3


async def test_no_server(unused_tcp_port: int) -> None:
    client = HttpClient(Endpoint.parse(f"http://127.0.0.1:{unused_tcp_port}"), 10)
    with pytest.raises(CannotConnect, match=r"refused|Connect call failed"):
        await post(client)
    client.close()
