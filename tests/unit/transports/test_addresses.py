"""Names of several addresses, all of them this machine's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from infergraph.transports import addresses, http_client
from infergraph.transports.addresses import Addresses
from infergraph.transports.endpoint import Endpoint
from infergraph.transports.http_client import CannotConnect, HttpClient

NAME = "models.example"
_ENDINGS = (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def _can_bind_others() -> bool:
    """Whether all of 127.0.0.0/8 is this machine, as on Linux."""
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("127.0.0.2", 0))
        return True
    return False


several = pytest.mark.skipif(not _can_bind_others(), reason="127.0.0.2 is not this machine")


class Names:
    """The resolver of the running loop: `known` is what it answers; it counts its questions."""

    def __init__(self) -> None:
        self.known: list[str] = []
        self.asked = 0
        self.answer = asyncio.Event()
        self.answer.set()

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked += 1
        known = list(self.known)
        await self.answer.wait()
        if not known:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        assert host == NAME
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in known]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    loop = asyncio.get_running_loop()
    asked = loop.getaddrinfo

    async def getaddrinfo(host: str, port: int, **given: Any) -> Any:
        return await (names.getaddrinfo if host == NAME else asked)(host, port, **given)

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    return names


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock of the running loop forward."""
    loop = asyncio.get_running_loop()
    ahead, real = 0.0, loop.time

    def move(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    monkeypatch.setattr(loop, "time", lambda: real() + ahead)
    return move


async def test_an_address_is_not_looked_up(names: Names) -> None:
    for host in ("127.0.0.1", "::1", "fe80::1%eth0"):
        place = Addresses(host, 80)
        assert not place.is_name
        assert await place.known() == [host]
    assert names.asked == 0


async def test_the_one_of_fewest_connections_comes_first(names: Names) -> None:
    names.known = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    place = Addresses(NAME, 80)
    known = await place.known()
    chosen = [place.choose(known) for _ in range(6)]
    assert Counter(chosen) == dict.fromkeys(names.known, 2)
    place.closed("10.0.0.2")
    assert place.choose(known) == "10.0.0.2"
    # One at a time they take turns, too.
    for address in chosen:
        place.closed(address)
    turns = []
    for _ in range(6):
        turns.append(place.choose(known))
        place.closed(turns[-1])
    assert Counter(turns) == dict.fromkeys(names.known, 2)


async def test_a_failed_address_is_left_out_for_a_while(names: Names, clock: Any) -> None:
    names.known = ["10.0.0.1", "10.0.0.2"]
    place = Addresses(NAME, 80)
    known = await place.known()
    place.failed("10.0.0.1")
    assert [place.choose(known) for _ in range(3)] == ["10.0.0.2"] * 3
    assert place.choose(["10.0.0.1"]) == "10.0.0.1"
    place.closed("10.0.0.1")
    clock(addresses.LEFT_OUT_SECONDS)
    assert [place.choose(known) for _ in range(3)] == ["10.0.0.1"] * 3


async def test_the_resolver_is_asked_again_and_nobody_waits(names: Names, clock: Any) -> None:
    names.known = ["10.0.0.1"]
    place = Addresses(NAME, 80)
    assert await place.known() == ["10.0.0.1"]
    assert await place.known() == ["10.0.0.1"]
    assert names.asked == 1

    names.known = ["10.0.0.2"]
    names.answer.clear()
    clock(addresses.FRESH_SECONDS)
    assert await place.known() == ["10.0.0.1"]
    names.answer.set()
    asking = place._asking
    assert asking is not None
    await asking
    assert await place.known() == ["10.0.0.2"]

    # A resolver that is away changes nothing.
    names.known = []
    clock(addresses.FRESH_SECONDS)
    await place.known()
    asking = place._asking
    assert asking is not None
    await asking
    assert names.asked == 3
    assert await place.known() == ["10.0.0.2"]


async def test_a_name_that_nobody_knows(names: Names) -> None:
    client = HttpClient(Endpoint.parse(f"http://{NAME}:80"), 10)
    with pytest.raises(
        CannotConnect, match=r"its name 'models\.example' cannot be resolved: no such"
    ):
        await client.request("GET", "/", {}, (), None)
    client.close()

    # As long as nothing is known it is asked for each connection.
    place = Addresses(NAME, 80)
    with pytest.raises(OSError, match="no such name"):
        await place.known()
    names.known = ["10.0.0.1"]
    assert await place.known() == ["10.0.0.1"]


class Replica:
    """A server on one of the addresses; it counts its requests and connections."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.requests = self.connections = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, port: int) -> int:
        self._server = await asyncio.start_server(self._serve, self.address, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with contextlib.suppress(*_ENDINGS):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                writer.write(OK)
        writer.close()


@pytest.fixture
async def replicas() -> AsyncIterator[tuple[list[Replica], int]]:
    """Three servers of one port."""
    port = 0
    servers = [Replica(f"127.0.0.{number}") for number in (1, 2, 3)]
    for server in servers:
        port = await server.start(port)
    yield servers, port
    for server in servers:
        await server.stop()


async def together(client: HttpClient, count: int) -> None:
    calls = (client.request("GET", "/", {}, (), 60) for _ in range(count))
    assert {answer.body for answer in await asyncio.gather(*calls)} == {b"ok"}


@several
async def test_requests_are_spread_over_the_servers_of_a_name(
    names: Names, replicas: tuple[list[Replica], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "_IDLE_SECONDS", 1e9)  # however slow this machine is
    servers, port = replicas
    names.known = [each.address for each in servers]
    client = HttpClient(Endpoint.parse(f"http://{NAME}:{port}"), 10)
    await together(client, 3)
    for _ in range(9):
        await together(client, 1)
    assert [each.requests for each in servers] == [4, 4, 4]
    assert [each.connections for each in servers] == [1, 1, 1]
    client.close()


@several
async def test_a_server_that_is_gone_costs_no_request_and_one_that_comes_gets_its_share(
    names: Names,
    replicas: tuple[list[Replica], int],
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    servers, port = replicas
    names.known = [each.address for each in servers[:2]]
    client = HttpClient(Endpoint.parse(f"http://{NAME}:{port}"), 10)
    tried: list[str] = []
    connect = client._open

    async def noting(loop: asyncio.AbstractEventLoop, address: str) -> Any:
        tried.append(address)
        return await connect(loop, address)

    monkeypatch.setattr(client, "_open", noting)
    await servers[0].stop()
    await together(client, 4)
    assert [each.requests for each in servers] == [0, 4, 0]
    assert servers[0].address in tried
    # It is left out for a while: new connections do not try it first.
    tried.clear()
    clock(http_client._IDLE_SECONDS)
    await together(client, 2)
    assert tried == [servers[1].address] * 2

    names.known = [each.address for each in servers[1:]]
    clock(http_client._LONGEST_SECONDS)
    # This one asks the resolver again; the next knows its answer.
    await together(client, 1)
    clock(http_client._LONGEST_SECONDS)
    await together(client, 2)
    assert servers[2].requests > 0
    assert servers[0].requests == 0
    client.close()
