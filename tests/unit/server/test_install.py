from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import mlserver
import pytest
from fastapi import FastAPI
from mlserver import MLModel, ModelSettings, Settings
from mlserver.grpc.server import GRPCServer
from mlserver.rest.server import RESTServer
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from infergraph.errors import ConfigurationError
from infergraph.server import SUPPORTED_MLSERVER, install, shutdown
from infergraph.server.disconnect import CancelOnDisconnect

install()


def test_the_supported_version_is_the_one_that_is_pinned() -> None:
    assert mlserver.__version__ == SUPPORTED_MLSERVER


def test_another_version_is_refused_and_left_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlserver, "__version__", "1.8.0")
    before = (RESTServer.add_custom_handlers, GRPCServer.stop)

    with pytest.raises(ConfigurationError) as caught:
        install.__wrapped__()

    assert str(caught.value) == (
        "mlserver 1.8.0 is installed; accepted: 1.7.1, "
        "because Infergraph replaces internal functions of it"
    )
    assert (RESTServer.add_custom_handlers, GRPCServer.stop) == before


def test_installing_again_changes_nothing() -> None:
    before = (RESTServer.add_custom_handlers, GRPCServer.stop)

    install()

    assert (RESTServer.add_custom_handlers, GRPCServer.stop) == before
    assert GRPCServer.stop is shutdown.stop_grpc_server
    assert not hasattr(RESTServer.add_custom_handlers.__wrapped__, "__wrapped__")  # type: ignore[attr-defined]


class Plain(MLModel):
    pass


class Attached(MLModel):
    server: Settings | None = None

    def attach_server(self, settings: Settings) -> None:
        self.server = settings


class CountingDataPlane:
    """Answers with the number of inputs."""

    async def infer(
        self, payload: InferenceRequest, name: str, version: str | None = None
    ) -> InferenceResponse:
        count = ResponseOutput(name="n", shape=[1], datatype="INT64", data=[len(payload.inputs)])
        return InferenceResponse(model_name=name, outputs=[count])


@pytest.fixture
def server() -> RESTServer:
    server = RESTServer.__new__(RESTServer)
    server._settings = Settings(http_port=1234)
    server._app = FastAPI()
    server._data_plane = CountingDataPlane()  # type: ignore[assignment]
    return server


@pytest.fixture(autouse=True)
def our_logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("infergraph")
    before = (logger.level, list(logger.handlers), logger.propagate)
    yield logger
    logger.setLevel(before[0])
    logger.handlers[:], logger.propagate = before[1:]


async def post(app: Any, body: bytes) -> tuple[int, Any]:
    events = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Any:
        return events.pop(0)

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/v2/models/asr/infer",
        "raw_path": b"/v2/models/asr/infer",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    await app(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


def model(kind: type[MLModel]) -> MLModel:
    return kind(ModelSettings(name="asr", implementation=kind))


async def test_a_model_that_asks_for_it_is_told_the_servers_settings(server: RESTServer) -> None:
    attached = model(Attached)

    assert await server.add_custom_handlers(attached) is attached

    assert isinstance(attached, Attached)
    assert attached.server is server._settings


async def test_requests_are_watched_once_however_many_models_load(server: RESTServer) -> None:
    await server.add_custom_handlers(model(Plain))
    watched = server._app.middleware_stack
    await server.add_custom_handlers(model(Plain))

    assert isinstance(watched, CancelOnDisconnect)
    assert server._app.middleware_stack is watched


async def test_the_application_still_answers(server: RESTServer) -> None:
    await server.add_custom_handlers(model(Plain))

    status, body = await post(server._app, b'{"inputs": []}')

    assert (status, body["model_name"], body["outputs"][0]["data"]) == (200, "asr", [0])


async def test_a_malformed_body_is_not_echoed(server: RESTServer) -> None:
    await server.add_custom_handlers(model(Plain))

    status, body = await post(server._app, b'{"inputs": [{"name": "x", "data": ["secret"]}]}')

    assert status == 422
    assert body["error"].startswith("the body is not a V2 inference request: inputs.0.")
    assert "secret" not in json.dumps(body)


async def test_custom_handlers_are_still_added(server: RESTServer) -> None:
    class Custom(MLModel):
        @mlserver.handlers.custom_handler(rest_path="/custom")  # type: ignore[attr-defined]
        async def custom(self) -> str:
            return "ok"

    await server.add_custom_handlers(model(Custom))

    assert "/custom" in [getattr(route, "path", None) for route in server._app.routes]


async def test_our_log_goes_where_mlservers_does(
    server: RESTServer, our_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = logging.getLogger("mlserver")
    handler = logging.NullHandler()
    monkeypatch.setattr(theirs, "handlers", [handler])
    monkeypatch.setattr(theirs, "level", logging.WARNING)

    await server.add_custom_handlers(model(Plain))

    assert our_logger.level == logging.WARNING
    assert our_logger.handlers.count(handler) == 1
    assert our_logger.propagate is False
