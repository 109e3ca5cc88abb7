from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import uvicorn
from mlserver.grpc.server import GRPCServer
from mlserver.rest.server import _NoSignalServer

from infergraph.server import drain, install
from infergraph.server.shutdown import grace_seconds

install()


@pytest.mark.parametrize(("value", "seconds"), [("0", 0.0), ("3", 3.0), ("12.5", 12.5)])
def test_grace_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str, seconds: float
) -> None:
    monkeypatch.setenv("INFERGRAPH_GRACE_SECONDS", value)

    assert grace_seconds() == seconds


def test_grace_by_default() -> None:
    assert grace_seconds() == 25.0


@pytest.mark.parametrize("value", ["soon", "", "-1", "nan", "inf"])
def test_grace_that_is_no_time_falls_back_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    monkeypatch.setenv("INFERGRAPH_GRACE_SECONDS", value)

    assert grace_seconds() == 25.0
    assert caplog.messages == [
        f"INFERGRAPH_GRACE_SECONDS={value!r} is not a number of seconds from 0; using 25"
    ]


class FakeGrpc:
    def __init__(self) -> None:
        self.graces: list[float] = []

    async def stop(self, grace: float) -> None:
        self.graces.append(grace)


async def test_the_grpc_server_stops_with_grace_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "infergraph")
    monkeypatch.setenv("INFERGRAPH_GRACE_SECONDS", "7")
    server: Any = GRPCServer.__new__(GRPCServer)
    server._server = FakeGrpc()

    await server.stop(sig=15)
    await server.stop()

    assert server._server.graces == pytest.approx([7.0, 7.0], abs=1.0)
    assert max(server._server.graces) <= 7.0
    assert caplog.messages == ["gRPC: waiting up to 7 s for calls in flight"]


async def test_no_call_stops_the_grpc_server_before_its_pipelines_are_answered() -> None:
    server: Any = GRPCServer.__new__(GRPCServer)
    server._server = FakeGrpc()

    with drain().in_flight("pipeline 'p'"):
        calls = [asyncio.create_task(server.stop(sig=15)) for _ in range(2)]
        for _ in range(5):
            await asyncio.sleep(0)
        assert server._server.graces == []
    await asyncio.gather(*calls)

    assert len(server._server.graces) == 2


async def test_the_rest_server_waits_for_what_is_left_of_the_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float | None] = []

    async def shutdown(self: uvicorn.Server, sockets: object = None) -> None:
        waits.append(self.config.timeout_graceful_shutdown)

    monkeypatch.setenv("INFERGRAPH_GRACE_SECONDS", "7")
    monkeypatch.setattr(uvicorn.Server, "shutdown", shutdown)
    server = _NoSignalServer(uvicorn.Config("no:app"))

    await server.shutdown()
    assert drain().begin()
    await server.shutdown()

    assert waits[0] == 7.0
    assert waits[1] is not None
    assert 0 <= waits[1] < 7.0
