from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from infergraph.transports import Transport, connect
from tests.unit.transports.peers import GrpcPeer, RestPeer


@pytest.fixture
async def grpc_peer() -> AsyncIterator[GrpcPeer]:
    peer = GrpcPeer()
    await peer.start()
    yield peer
    await peer.stop()


@pytest.fixture
async def rest_peer() -> AsyncIterator[RestPeer]:
    peer = RestPeer()
    await peer.start()
    yield peer
    await peer.stop()


@pytest.fixture
async def over_grpc(grpc_peer: GrpcPeer) -> AsyncIterator[Transport]:
    transport = connect(grpc_peer.url)
    yield transport
    await transport.close()


@pytest.fixture
async def over_binary_rest(rest_peer: RestPeer) -> AsyncIterator[Transport]:
    rest_peer.extensions = ["binary_tensor_data"]
    transport = connect(rest_peer.url)
    yield transport
    await transport.close()


@pytest.fixture
async def over_rest(rest_peer: RestPeer) -> AsyncIterator[Transport]:
    transport = connect(rest_peer.url)
    yield transport
    await transport.close()
