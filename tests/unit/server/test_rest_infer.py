"""The REST routes of inference, beside MLServer's own."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI
from mlserver import MLModel, ModelSettings, Settings
from mlserver.errors import MLServerError
from mlserver.handlers import DataPlane, ModelRepositoryHandlers
from mlserver.registry import MultiModelRegistry
from mlserver.rest.app import create_app
from mlserver.types import InferenceRequest, InferenceResponse, Parameters, ResponseOutput
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase
from starlette.types import Message, Scope

from infergraph.server import errors, rest_infer

Answer = tuple[int, dict[str, str], bytes]

BODY = {
    "id": "seven",
    "parameters": {"flavour": "dark"},
    "inputs": [
        {"name": "x", "datatype": "FP32", "shape": [2, 1], "data": [0.5, -1.25]},
        {"name": "t", "datatype": "BYTES", "shape": [1], "data": ["é"]},
    ],
    "outputs": [{"name": "y"}],
}


class Mirror(MLModel):
    """Says what reached it."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        if payload.id == "refuse":
            raise MLServerError("refused", 418)
        parameters = payload.parameters
        assert parameters is not None
        assert parameters.headers is not None
        seen = {
            "headers": parameters.headers,
            "inputs": [each.model_dump() for each in payload.inputs],
            "flavour": getattr(parameters, "flavour", None),
        }
        answer = ResponseOutput(name="seen", datatype="BYTES", shape=[1], data=[json.dumps(seen)])
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            parameters=Parameters(headers={"x-answer": "yes"}, content_type="str"),
            outputs=[answer],
        )


@pytest.fixture
async def data_plane() -> AsyncIterator[DataPlane]:
    models = MultiModelRegistry()
    for version in (None, "v2"):
        settings = ModelSettings(
            name="mirror",
            implementation=Mirror,
            parameters={"version": version} if version else None,  # type: ignore[arg-type]
        )
        await models.load(settings)
    data_plane = DataPlane(Settings(), models)
    yield data_plane
    # It registers its metrics with the process, and each test makes one.
    for metric in vars(data_plane).values():
        if isinstance(metric, MetricWrapperBase):
            REGISTRY.unregister(metric)


def application(data_plane: DataPlane, *, ours: bool) -> FastAPI:
    settings = Settings(metrics_endpoint=None, gzip_enabled=False)
    app = create_app(settings, data_plane, ModelRepositoryHandlers(None, None))  # type: ignore[arg-type]
    app.exception_handlers.update(
        {
            rest_infer.RequestValidationError: errors.answer_malformed_body,
            MLServerError: errors.answer_error,
        }
    )
    if ours:
        app.router.routes[:0] = rest_infer.routes(data_plane)
    return app


async def post(
    app: FastAPI, body: bytes, path: str = "/v2/models/mirror/infer", **headers: str
) -> Answer:
    incoming: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Message:
        return incoming.pop(0)

    async def send(event: Message) -> None:
        sent.append(event)

    named = {"content-type": "application/json"}
    named.update({name.replace("_", "-"): value for name, value in headers.items()})
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in named.items() if value],
    }
    await app(scope, receive, send)
    start, *rest = sent
    got = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], got, b"".join(event.get("body", b"") for event in rest)


@pytest.mark.parametrize(
    ("body", "path", "headers"),
    [
        (BODY, "/v2/models/mirror/infer", {}),
        (BODY, "/v2/models/mirror/versions/v2/infer", {}),
        (BODY, "/v2/models/mirror/generate", {}),
        (BODY, "/v2/models/mirror/versions/v2/generate", {"traceparent": "00-1"}),
        (BODY, "/v2/models/mirror/infer", {"content_type": ""}),
        (BODY, "/v2/models/mirror/infer", {"content_type": "application/vnd.v2+json"}),
        (BODY, "/v2/models/mirror/infer", {"content_type": "application/json; charset=utf-8"}),
        ({**BODY, "id": "refuse"}, "/v2/models/mirror/infer", {}),
        (BODY, "/v2/models/absent/infer", {}),
        (BODY, "/v2/models/mirror/versions/v9/infer", {}),
    ],
)
async def test_it_answers_as_mlserver_does(
    data_plane: DataPlane, body: Any, path: str, headers: dict[str, str]
) -> None:
    data = json.dumps(body).encode()

    stock = await post(application(data_plane, ours=False), data, path, **headers)
    ours = await post(application(data_plane, ours=True), data, path, **headers)

    assert ours == stock
    known = "mirror" in path and "v9" not in path
    assert ours[0] == (404 if not known else 418 if body["id"] == "refuse" else 200)


async def test_the_model_gets_the_request_and_its_headers(data_plane: DataPlane) -> None:
    app = application(data_plane, ours=True)
    status, headers, body = await post(app, json.dumps(BODY).encode(), traceparent="00-1")

    assert (status, headers["x-answer"]) == (200, "yes")
    answer = json.loads(body)
    assert answer["id"] == "seven"
    assert answer["parameters"] == {"content_type": "str"}
    seen = json.loads(answer["outputs"][0]["data"][0])
    # MLServer adds those of CloudEvents.
    headers = {k: v for k, v in seen["headers"].items() if not k.startswith("Ce-")}
    assert headers == {"content-type": "application/json", "traceparent": "00-1"}
    assert seen["inputs"] == BODY["inputs"]
    assert seen["flavour"] == "dark"


async def test_a_compressed_body(data_plane: DataPlane) -> None:
    app = application(data_plane, ours=True)
    packed = gzip.compress(json.dumps(BODY).encode())

    status, _, body = await post(app, packed, content_encoding="gzip")

    assert (status, json.loads(body)["id"]) == (200, "seven")


@pytest.mark.parametrize(
    ("accepted", "sent_gzip", "compressed"),
    [
        ("gzip", True, True),
        ("deflate, GZIP;q=0.5", True, True),
        ("gzip;q=0", True, False),
        ("br", True, False),
        ("", True, False),
        ("gzip", False, False),
    ],
)
async def test_gzip_is_answered_with_gzip_where_it_is_taken(
    data_plane: DataPlane, accepted: str, sent_gzip: bool, compressed: bool
) -> None:
    app = application(data_plane, ours=True)
    body = json.dumps({**BODY, "parameters": {"flavour": "dark" * 200}}).encode()
    sent = gzip.compress(body) if sent_gzip else body
    coding = "gzip" if sent_gzip else ""

    status, headers, answer = await post(
        app, sent, content_encoding=coding, accept_encoding=accepted
    )

    assert status == 200
    assert (headers.get("content-encoding") == "gzip") is compressed
    assert ("vary" in headers) is compressed
    assert int(headers["content-length"]) == len(answer)
    plain = json.loads(gzip.decompress(answer) if compressed else answer)
    assert json.loads(plain["outputs"][0]["data"][0])["flavour"] == "dark" * 200


LIMIT = 2_000


@pytest.mark.parametrize(
    ("body", "coding", "found"),
    [
        (b" " * (LIMIT + 1), "", "more"),
        (gzip.compress(b" " * (LIMIT + 1)), "gzip", " bytes of gzip that hold more"),
        (gzip.compress(bytes(10**6)), "GZIP", " bytes of gzip that hold more"),
        (gzip.compress(b" " * LIMIT) * 2, "gzip", " bytes of gzip that hold more"),
    ],
)
async def test_a_body_that_is_too_large(
    data_plane: DataPlane,
    body: bytes,
    coding: str,
    found: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INFERGRAPH_MAX_BODY_BYTES", str(LIMIT))

    status, _, answer = await post(
        application(data_plane, ours=True), body, content_encoding=coding
    )

    assert status == 413
    text = json.loads(answer)["error"]
    assert found in text
    assert f"accepted: at most {LIMIT} bytes" in text


async def test_a_body_of_just_the_limit(
    data_plane: DataPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps(BODY).encode().ljust(LIMIT)
    monkeypatch.setenv("INFERGRAPH_MAX_BODY_BYTES", str(LIMIT))
    app = application(data_plane, ours=True)

    plain = await post(app, body)
    packed = await post(app, gzip.compress(body), content_encoding="gzip")

    assert plain[0] == packed[0] == 200


async def test_a_body_that_announces_too_much_is_not_read(
    data_plane: DataPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERGRAPH_MAX_BODY_BYTES", str(LIMIT))
    app = application(data_plane, ours=True)

    status, _, answer = await post(app, json.dumps(BODY).encode(), content_length=str(LIMIT + 1))

    assert status == 413
    assert "too large: 2001 bytes" in json.loads(answer)["error"]


PREFIX = "the body is not a V2 inference request: "


@pytest.mark.parametrize(
    ("body", "headers", "status", "text"),
    [
        (b"{", {}, 422, PREFIX + "not JSON: "),
        (b"", {}, 422, PREFIX + "Input should be a valid dictionary"),
        (b"[]", {}, 422, PREFIX + "Input should be a valid dictionary"),
        (b"{}", {}, 422, PREFIX + "inputs: Field required"),
        (
            b'{"inputs": [{"name": "x", "datatype": "FP31", "shape": [1], "data": [1]}]}',
            {},
            422,
            PREFIX + "inputs.0.datatype: tensor 'x': Input should be 'BOOL', 'UINT8'",
        ),
        (
            b'{"inputs": [{"datatype": "FP32", "shape": [1], "data": [1]}]}',
            {},
            422,
            PREFIX + "inputs.0.name: Field required",
        ),
        (
            json.dumps(BODY).encode(),
            {"content_type": "text/plain"},
            422,
            PREFIX + "Input should be a valid dictionary",
        ),
        (b"plain", {"content_encoding": "gzip"}, 400, "the body is not gzip, as content-encoding"),
        (
            gzip.compress(b"{}")[:-3],
            {"content_encoding": "gzip"},
            400,
            "the body is not gzip, as content-encoding says: it ends too early",
        ),
    ],
)
async def test_what_is_no_request(
    data_plane: DataPlane, body: bytes, headers: dict[str, str], status: int, text: str
) -> None:
    got, _, answer = await post(application(data_plane, ours=True), body, **headers)

    assert got == status
    assert json.loads(answer)["error"].startswith(text)
    if headers.get("content_type") == "text/plain":
        assert json.loads(answer)["error"].endswith("must be application/json")
