from __future__ import annotations

import asyncio

import numpy as np
import pytest

from infergraph.errors import ConfigurationError
from infergraph.request import RequestContext
from infergraph.transports import Endpoint, connect, pool
from infergraph.v2 import Message, Tensor
from tests.unit.transports.peers import GrpcPeer, RestPeer

pytestmark = pytest.mark.filterwarnings("ignore:The `construct` method is deprecated")

MESSAGE = Message([Tensor.of("x", np.array([[1]], np.int32))])


@pytest.mark.parametrize("kind", ["grpc", "rest"])
async def test_users_of_an_endpoint_share_its_connection(
    kind: str, grpc_peer: GrpcPeer, rest_peer: RestPeer
) -> None:
    url = grpc_peer.url if kind == "grpc" else rest_peer.url
    first, second = connect(url), connect(url + "/")
    assert first.kind == second.kind == kind
    assert first.endpoint == second.endpoint == url
    assert first._transport is second._transport  # type: ignore[attr-defined]

    await first.close()
    await first.close()
    answer = await second.infer("echo", MESSAGE, RequestContext())
    assert answer.tensors[0].data.tolist() == [[1]]

    await second.close()
    third = connect(url)
    assert third._transport is not second._transport  # type: ignore[attr-defined]
    await third.close()


async def test_closing_lets_calls_in_flight_finish(
    rest_peer: RestPeer, grpc_peer: GrpcPeer
) -> None:
    for peer in (rest_peer, grpc_peer):
        called, go_on = asyncio.Event(), asyncio.Event()
        answer_with = peer.handler

        async def handler(*args, answer_with=answer_with, called=called, go_on=go_on):  # type: ignore[no-untyped-def]
            called.set()
            await go_on.wait()
            return await answer_with(*args)

        peer.handler = handler
        transport = connect(peer.url)
        call = asyncio.create_task(transport.infer("echo", MESSAGE, RequestContext()))
        await called.wait()
        closing = asyncio.create_task(transport.close())
        await asyncio.sleep(0)
        go_on.set()
        assert (await call).tensors[0].data.tolist() == [[1]]
        await closing


async def test_connections_are_kept_per_event_loop() -> None:
    here = connect("grpc://127.0.0.1:1")

    async def elsewhere() -> bool:
        there = connect("grpc://127.0.0.1:1")
        different = there._transport is not here._transport  # type: ignore[attr-defined]
        await there.close()
        return different

    assert await asyncio.to_thread(asyncio.run, elsewhere())
    await here.close()


async def test_nothing_is_left_when_all_are_closed() -> None:
    loop = asyncio.get_running_loop()
    transports = [connect("grpc://127.0.0.1:1"), connect("http://127.0.0.1:1")]
    assert len(pool._pools[loop]) == 2
    for transport in transports:
        await transport.close()
    assert pool._pools[loop] == {}


async def test_what_is_no_endpoint_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="endpoint 'localhost'"):
        connect("localhost")


async def test_the_environment_s_proxy_is_not_used(
    monkeypatch: pytest.MonkeyPatch, grpc_peer: GrpcPeer, rest_peer: RestPeer
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for peer in (grpc_peer, rest_peer):
        transport = connect(peer.url)
        answer = await transport.infer("echo", MESSAGE, RequestContext())
        assert answer.tensors[0].data.tolist() == [[1]]
        await transport.close()


async def test_an_endpoint_s_headers_go_with_every_call(
    grpc_peer: GrpcPeer, rest_peer: RestPeer
) -> None:
    for peer in (grpc_peer, rest_peer):
        headers = {"seldon-model": "resnet.pipeline", "x-mesh": "1"}
        first, second = connect(Endpoint.parse(peer.url, headers)), connect(peer.url)
        assert first._transport is not second._transport  # type: ignore[attr-defined]
        for transport in (first, second):
            await transport.infer("echo", MESSAGE, RequestContext())
            await transport.close()
        told, plain = peer.headers
        assert (told["seldon-model"], told["x-mesh"]) == ("resnet.pipeline", "1")
        assert plain["seldon-model"] == "echo"
        assert "x-mesh" not in plain
