"""Metrics count what was answered, and no request adds a label."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY, generate_latest

from infergraph.v2 import Message
from infergraph.v2.grpc import encode_request
from infergraph.v2.schema import SERVICE
from tests.unit.front_door.front import BODY, Echo, Front, GrpcClient, ask, settle


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def rest(method: str, path: str, status: int) -> float:
    return value(
        "rest_server_requests_total",
        method=method,
        path=path,
        status_code=str(status),
        app_name="mlserver",
    )


async def fails(call: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await call


async def test_rest_requests_are_counted_by_their_route_and_status(front: Front) -> None:
    infer = "/v2/models/{model_name}/infer"
    cases = [
        ("POST", infer, 200),
        ("POST", infer, 404),
        ("POST", infer, 422),
        ("GET", "/v2/models/{model_name}", 200),
        ("GET", "other", 404),
        ("DELETE", "other", 405),
    ]
    before = [rest(*case) for case in cases]

    await front.post("echo")
    await front.post("mirror")
    await front.post("absent")
    await front.post("echo", b"{")
    await ask(front.app, "GET", "/v2/models/echo")
    await ask(front.app, "GET", "/nowhere")
    await ask(front.app, "DELETE", "/v2/models/echo")

    counted = [rest(*case) - old for case, old in zip(cases, before, strict=True)]
    assert counted == [2, 1, 1, 1, 1, 1]


async def test_grpc_calls_are_counted_by_their_method_and_code(front: Front) -> None:
    def count(method: str, code: str, kind: str = "UNARY") -> float:
        return value(
            "grpc_server_handled_total",
            grpc_type=kind,
            grpc_service=SERVICE,
            grpc_method=method,
            code=code,
        )

    cases = [
        ("ModelInfer", "OK"),
        ("ModelInfer", "NOT_FOUND"),
        ("ServerLive", "OK"),
        ("ModelStreamInfer", "OK", "BIDI_STREAMING"),
    ]
    before = [count(*case) for case in cases]
    async with front.grpc() as client:
        await client.infer(encode_request("echo", "", Message([]), {}))
        await fails(client.infer(encode_request("absent", "", Message([]), {})))
        await client.call("ServerLive")
        stream = client.stream()
        await stream.done_writing()
        assert [each async for each in stream] == []

    assert [count(*case) - old for case, old in zip(cases, before, strict=True)] == [1, 1, 1, 1]


async def test_a_stream_that_is_cancelled_while_it_gives_a_part_is_no_success(front: Front) -> None:
    def count(code: str) -> float:
        labels = {"grpc_type": "BIDI_STREAMING", "grpc_service": SERVICE}
        method = "ModelStreamInfer"
        return value("grpc_server_handled_total", grpc_method=method, code=code, **labels)

    before = count("OK"), count("CANCELLED")
    model = await front.load(Echo)
    async with front.grpc() as client:
        stream = client.stream()
        await stream.write(encode_request("echo", "", Message([]), {"parts": 1 << 40}))
        await stream.read()
        stream.cancel()
        await asyncio.wait_for(model.ended.wait(), 30)
        await settle()

    assert (count("OK"), count("CANCELLED")) == (before[0], before[1] + 1)


@pytest.mark.parametrize("model", ["echo", "mirror"])
async def test_mlservers_metrics_of_models_are_kept(front: Front, model: str) -> None:
    def counts() -> list[float]:
        labels = {"model": model, "version": "None"}
        return [
            value(f"model_infer_request_{name}", **labels)
            for name in ("success_total", "failure_total", "duration_count")
        ]

    assert counts() == [0, 0, 0]
    await front.post(model)
    if model == "echo":
        (await front.load(Echo)).error = ValueError("broken")
        await front.post(model)
    else:
        await front.post(model, {**BODY, "id": "fail"})

    assert counts() == [1, 1, 2]


async def ask_everything(front: Front, client: GrpcClient, odd: str) -> None:
    """One request of each kind, with a name of its own in each of its places."""
    for path in (
        f"/v2/models/{odd}/infer",
        f"/v2/models/{odd}/infer_stream",
        f"/v2/models/echo/versions/{odd}/infer",
        f"/v2/models/mirror/versions/{odd}/infer",
    ):
        await ask(front.app, "POST", path, BODY)
    for path in (f"/v2/models/{odd}", f"/v2/models/echo/versions/{odd}/ready", f"/{odd}"):
        await ask(front.app, "GET", path)
    await ask(front.app, odd.upper(), "/v2/models/echo")
    await ask(front.app, odd.upper(), f"/{odd}")
    await ask(front.app, "POST", f"/v2/repository/models/{odd}/load")
    await ask(front.app, "POST", f"/v2/repository/models/{odd}/unload")
    for model in ("echo", "mirror"):
        await front.post(model, {**BODY, "id": odd}, x_odd=odd)
        body = {"id": odd, "inputs": [{"name": odd, "datatype": odd, "shape": [1], "data": [1]}]}
        await front.post(model, body)
    await fails(client.infer(encode_request(odd, "", Message([], odd), {})))
    await fails(client.infer(encode_request("echo", odd, Message([], odd), {})))
    await fails(client.infer(encode_request("mirror", odd, Message([], odd), {})))
    await fails(client.channel.unary_unary(f"/{SERVICE}/{odd}")(b""))
    await fails(client.call("ModelReady", name=odd))
    await fails(client.call("RepositoryModelLoad", model_name=odd))


@pytest.mark.filterwarnings("ignore:The `construct` method is deprecated")
async def test_no_name_of_a_caller_adds_a_label(front: Front) -> None:
    async with front.grpc() as client:
        await ask_everything(front, client, "first")
        before = generate_latest().count(b"\n")
        for number in range(100):
            await ask_everything(front, client, f"odd{number}")
        after = generate_latest().count(b"\n")

    assert after == before
    assert b"odd7" not in generate_latest().lower()
