"""Keys: which opens what, over REST, gRPC and for the metrics."""

from __future__ import annotations

import logging
from typing import Any

import grpc
import pytest
from prometheus_client import generate_latest

from infergraph.errors import Forbidden, InfergraphError, Unauthenticated
from infergraph.front_door.access import Access, Area
from infergraph.front_door.settings import FrontDoorSettings
from infergraph.v2 import Message
from infergraph.v2.grpc import encode_request
from infergraph.v2.schema import REPOSITORY_SERVICE
from tests.unit.front_door.conftest import Serve
from tests.unit.front_door.front import Connection, Echo, Front, ask, scope_of

INFERENCE, CONTROL, METRICS = "inference-key-123", "control-key-12345", "metrics-key-12345"
OTHER = "another-key-123456"
KEYS = {
    "inference_keys": [INFERENCE, OTHER],
    "control_keys": [CONTROL],
    "metrics_keys": [METRICS],
}


@pytest.fixture
def access() -> Access:
    return Access(FrontDoorSettings(**KEYS))


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {INFERENCE}"},
        {"authorization": f"bearer   {INFERENCE} "},
        {"authorization": f"BEARER {OTHER}"},
        {"x-api-key": INFERENCE},
        {"x-api-key": INFERENCE, "authorization": "Basic abc"},
        {"x-api-key": "wrong", "authorization": f"Bearer {INFERENCE}"},
    ],
)
def test_a_key_opens_its_area(access: Access, headers: dict[str, str]) -> None:
    assert access.check(Area.INFERENCE, headers)


@pytest.mark.parametrize(
    ("headers", "kind", "text"),
    [
        ({}, Unauthenticated, "inference needs a key; accepted: the header 'Authorization: Bearer"),
        ({"authorization": f"Basic {INFERENCE}"}, Unauthenticated, "inference needs a key"),
        ({"authorization": "Bearer "}, Unauthenticated, "inference needs a key"),
        ({"x-api-key": "wrong"}, Unauthenticated, "the key is not known"),
        ({"x-api-key": INFERENCE + " "}, Unauthenticated, "the key is not known"),
        ({"x-api-key": INFERENCE[:-1]}, Unauthenticated, "the key is not known"),
        ({"x-api-key": "é\udcff" * 9}, Unauthenticated, "the key is not known"),
        ({"x-api-key": CONTROL}, Forbidden, "this key does not open inference"),
        ({"x-api-key": METRICS}, Forbidden, "this key does not open inference"),
    ],
)
def test_what_does_not_open(
    access: Access, headers: dict[str, str], kind: type[InfergraphError], text: str
) -> None:
    with pytest.raises(kind, match=text) as caught:
        access.check(Area.INFERENCE, headers)
    assert type(caught.value) is kind
    assert not any(key in str(caught.value) for key in (INFERENCE, CONTROL, METRICS))


def test_callers_are_told_apart_without_their_keys(access: Access) -> None:
    one, other = (access.check(Area.INFERENCE, {"x-api-key": key}) for key in (INFERENCE, OTHER))

    assert one != other
    assert INFERENCE not in one
    assert one == access.check(Area.INFERENCE, {"authorization": f"Bearer {INFERENCE}"})


def test_an_area_without_keys_is_open() -> None:
    access = Access(FrontDoorSettings(control_keys=[CONTROL]))

    assert access.check(Area.INFERENCE, {}) == ""
    assert access.check(Area.METRICS, {"x-api-key": "whatever"}) == ""
    with pytest.raises(Unauthenticated, match="control of the model repository needs a key"):
        access.check(Area.CONTROL, {})


# Over REST


REST: list[tuple[str, str, str]] = [
    ("POST", "/v2/models/echo/infer", INFERENCE),
    ("POST", "/v2/models/echo/generate", INFERENCE),
    ("POST", "/v2/models/echo/infer_stream", INFERENCE),
    ("GET", "/v2", INFERENCE),
    ("GET", "/v2/models/echo", INFERENCE),
    ("POST", "/v2/repository/index", CONTROL),
    ("POST", "/v2/repository/models/absent/load", CONTROL),
    ("POST", "/v2/repository/models/absent/unload", CONTROL),
]


@pytest.fixture
async def locked(serve: Serve) -> Front:
    front = await serve(**KEYS)
    await front.load(Echo)
    return front


@pytest.mark.parametrize(("method", "path", "key"), REST)
async def test_each_route_has_its_area(locked: Front, method: str, path: str, key: str) -> None:
    body = {"inputs": []} if "models/echo" in path else b""
    for given, status in ((None, 401), ("wrong", 401), (METRICS, 403)):
        connection = Connection()
        headers = {"x_api_key": given} if given else {}
        await locked.app(scope_of(method, path, headers), connection.receive, connection.send)
        assert connection.answer.status == status
        assert connection.reads == 0
        assert connection.answer.headers.get("www-authenticate") == (
            "Bearer" if status == 401 else None
        )
        assert connection.answer.error

    opened = await ask(locked.app, method, path, body, authorization=f"Bearer {key}")
    assert opened.status == (404 if "absent" in path else 200)


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/v2/models/echo/ready"])
async def test_probes_are_open(locked: Front, path: str) -> None:
    assert (await ask(locked.app, "GET", path)).status == 200


async def test_what_models_and_mlserver_add_needs_the_key_of_inference(locked: Front) -> None:
    for path in ("/v2/docs", "/v2/models/echo/docs"):
        assert (await ask(locked.app, "GET", path)).status == 401
        assert (await ask(locked.app, "GET", path, x_api_key=INFERENCE)).status == 200


async def test_the_model_learns_who_asks(locked: Front) -> None:
    model = await locked.load(Echo)
    for key in (INFERENCE, OTHER, INFERENCE):
        await locked.post("echo", {"inputs": []}, x_api_key=key)
    async with locked.grpc() as client:
        await client.infer(encode_request("echo", "", Message([]), {}), x_api_key=OTHER)

    one, other, again, over_grpc = [context.caller for context in model.contexts]
    assert one == again != other == over_grpc
    assert not any("x-api-key" in context.headers for context in model.contexts)


# Over gRPC


UNARY: list[tuple[str, dict[str, Any], str | None]] = [
    ("ServerLive", {}, None),
    ("ServerReady", {}, None),
    ("ModelReady", {"name": "echo"}, None),
    ("ServerMetadata", {}, INFERENCE),
    ("ModelMetadata", {"name": "echo"}, INFERENCE),
    ("RepositoryIndex", {}, CONTROL),
    ("RepositoryModelLoad", {"model_name": "absent"}, CONTROL),
    ("RepositoryModelUnload", {"model_name": "absent"}, CONTROL),
]


async def code_of(call: Any) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize(("method", "fields", "key"), UNARY)
async def test_each_call_has_its_area(
    locked: Front, method: str, fields: dict[str, Any], key: str | None
) -> None:
    async with locked.grpc() as client:

        async def code(given: str | None, **service: str) -> grpc.StatusCode:
            metadata = (("authorization", f"Bearer {given}"),) if given else ()
            return await code_of(client.call(method, metadata=metadata, **service, **fields))

        if key is None:
            assert await code(None) is grpc.StatusCode.OK
            return
        assert await code(None) is grpc.StatusCode.UNAUTHENTICATED
        assert await code(METRICS) is grpc.StatusCode.PERMISSION_DENIED
        absent = "absent" in fields.values()
        assert await code(key) is (grpc.StatusCode.NOT_FOUND if absent else grpc.StatusCode.OK)
        if key == CONTROL:
            assert await code(None, service=REPOSITORY_SERVICE) is grpc.StatusCode.UNAUTHENTICATED


async def test_inference_over_grpc_needs_its_key(locked: Front) -> None:
    body = encode_request("echo", "", Message([]), {})
    async with locked.grpc() as client:
        assert await code_of(client.infer(body)) is grpc.StatusCode.UNAUTHENTICATED
        assert await code_of(client.infer(body, x_api_key=CONTROL)) is (
            grpc.StatusCode.PERMISSION_DENIED
        )
        assert await code_of(client.infer(body, x_api_key=INFERENCE)) is grpc.StatusCode.OK


async def test_a_stream_without_a_key_is_refused_once_it_has_written(locked: Front) -> None:
    body = encode_request("echo", "", Message([]), {})
    async with locked.grpc() as client:
        stream = client.stream()
        await stream.wait_for_connection()
        # The server has read by then that the stream was opened: both use one connection.
        for _ in range(3):
            await client.call("ServerLive")
        assert not stream.done()
        await stream.write(body)
        await stream.done_writing()
        assert await code_of(stream.read()) is grpc.StatusCode.UNAUTHENTICATED


# Metrics


async def test_metrics_need_their_key(locked: Front) -> None:
    app = locked.server._metrics_server._app  # type: ignore[union-attr]

    async def status(**headers: str) -> int:
        return (await ask(app, "GET", "/metrics", **headers)).status

    assert await status() == 401
    assert await status(x_api_key=INFERENCE) == 403
    assert await status(authorization=f"Bearer {METRICS}") == 200


async def test_metrics_are_prometheus_text(front: Front) -> None:
    app = front.server._metrics_server._app  # type: ignore[union-attr]

    answer = await ask(app, "GET", "/metrics")

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert len(answer.body) > 0.5 * len(generate_latest())
    assert b"infergraph_requests_in_flight" in answer.body


@pytest.mark.parametrize(("path", "status"), [("/", 404), ("/docs", 404), ("/metrics", 405)])
async def test_the_server_of_metrics_has_nothing_else(front: Front, path: str, status: int) -> None:
    app = front.server._metrics_server._app  # type: ignore[union-attr]

    answer = await ask(app, "POST" if status == 405 else "GET", path)

    assert answer.status == status
    assert path in answer.error


async def test_no_key_is_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    front = await serve(**KEYS, access_log="json")
    await front.load(Echo)
    for key in (INFERENCE, CONTROL, "a-wrong-key-123456"):
        await front.post("echo", {"inputs": []}, x_api_key=key)

    assert "a-wrong-key-123456" not in caplog.text
    assert INFERENCE not in caplog.text
    assert CONTROL not in caplog.text
