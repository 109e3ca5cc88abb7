"""gRPC to a name of several addresses, which a resolver of the test's own tells."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from infergraph.errors import StageUnavailable
from infergraph.request import RequestContext
from infergraph.transports import Transport, connect
from infergraph.transports import grpc as over_grpc
from infergraph.transports.endpoint import Endpoint
from infergraph.v2 import Message, Tensor
from tests.unit.transports.peers import GrpcPeer
from tests.unit.transports.test_addresses import several

pytestmark = [
    several,
    pytest.mark.filterwarnings("ignore:The `construct` method is deprecated"),
]

NAME = "models.example"
MESSAGE = Message([Tensor.of("x", np.array([[1]], np.int32))])


class Resolver(asyncio.DatagramProtocol):
    """A DNS server that answers every question for IPv4 addresses with `known`."""

    def __init__(self) -> None:
        self.known: list[str] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        name_end = data.index(b"\0", 12) + 1
        (kind,) = struct.unpack_from(">H", data, name_end)
        found = self.known if kind == 1 else []
        answers = b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton(each)
            for each in found
        )
        head = data[:2] + struct.pack(">HHHHH", 0x8180, 1, len(found), 0, 0)
        self.transport.sendto(head + data[12 : name_end + 4] + answers, addr)


@pytest.fixture
async def resolver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Resolver]:
    loop = asyncio.get_running_loop()
    _, resolver = await loop.create_datagram_endpoint(Resolver, local_addr=("127.0.0.1", 0))

    def target_of(endpoint: Endpoint) -> str:
        target = asked(endpoint)
        assert target.startswith("dns:///")
        return target.replace("dns:///", f"dns://127.0.0.1:{resolver.port}/")

    asked = over_grpc.target_of
    monkeypatch.setattr(over_grpc, "target_of", target_of)
    yield resolver
    resolver.transport.close()


async def ask(transport: Transport, count: int) -> None:
    for _ in range(count):
        answer = await transport.infer("echo", MESSAGE, RequestContext())
        assert answer.tensors[0].data.tolist() == [[1]]


async def ask_until(transport: Transport, *peers: GrpcPeer) -> None:
    """Asks until each of the peers was."""
    while not all(each.requests for each in peers):
        with contextlib.suppress(StageUnavailable):
            await ask(transport, 1)


async def test_calls_are_spread_and_the_name_is_asked_for_again(resolver: Resolver) -> None:
    first, second, third = peers = [GrpcPeer() for _ in range(3)]
    await first.start()
    port = int(first.url.rpartition(":")[2])
    await second.start(host="127.0.0.2", port=port)
    await third.start(host="127.0.0.3", port=port)
    resolver.known = ["127.0.0.1", "127.0.0.2"]
    transport = connect(f"grpc://{NAME}:{port}")
    try:
        # A server takes part once it is connected to, which takes a moment.
        await asyncio.wait_for(ask_until(transport, first, second), 60)
        before = [len(each.requests) for each in peers]
        await ask(transport, 10)
        assert [len(each.requests) for each in peers[:2]] == [before[0] + 5, before[1] + 5]

        resolver.known = ["127.0.0.2", "127.0.0.3"]
        await first.stop()
        gone = len(first.requests)
        await asyncio.wait_for(ask_until(transport, third), 60)
        assert len(first.requests) == gone
    finally:
        await transport.close()
        for each in peers:
            await each.stop()
