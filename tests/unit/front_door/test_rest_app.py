"""What REST answers beside inference: health, metadata, the repository, pages, what is refused."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import mlserver
import pytest
from mlserver import MLModel
from mlserver.errors import MLServerError
from mlserver.handlers import custom_handler
from mlserver.rest.app import create_app
from mlserver.settings import CORSSettings, Settings

from infergraph.errors import InvalidInput
from tests.unit.front_door.conftest import Serve
from tests.unit.front_door.front import Answer, Connection, Echo, Front, Mirror, ask, scope_of


async def get(front: Front, path: str, method: str = "GET", **headers: str) -> Answer:
    return await ask(front.app, method, path, **headers)


def stock_app(front: Front) -> Any:
    """MLServer's own application on the same models."""
    settings = Settings(metrics_endpoint=None, gzip_enabled=False, debug=False)
    server = front.server
    return create_app(settings, server._data_plane, server._model_repository_handlers)


def write_model(root: Path, name: str, version: str | None = None) -> None:
    folder = root / f"{name}-{version or ''}"
    folder.mkdir()
    parameters = {"version": version} if version else {}
    implementation = "tests.unit.front_door.front.Echo"
    settings = {"name": name, "implementation": implementation, "parameters": parameters}
    (folder / "model-settings.json").write_text(json.dumps(settings))


async def test_the_server_is_alive_and_ready_with_its_models(serve: Serve) -> None:
    front = await serve()
    assert (await get(front, "/v2/health/live")).status == 200
    assert (await get(front, "/v2/health/ready")).status == 400

    model = await front.load(Echo)
    assert (await get(front, "/v2/health/ready")).status == 200
    assert (await get(front, "/v2/models/echo/ready")).status == 200

    model.ready = False
    assert (await get(front, "/v2/health/ready")).status == 400
    assert (await get(front, "/v2/models/echo/ready")).status == 400
    assert (await get(front, "/v2/health/live")).status == 200


async def test_the_servers_metadata_announces_its_extensions(serve: Serve) -> None:
    front = await serve({"extensions": ["of our own", "parameters"]})

    answer = await get(front, "/v2")

    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == {
        "name": "mlserver",
        "version": mlserver.__version__,
        "extensions": [
            "binary_tensor_data",
            "classification",
            "model_repository",
            "parameters",
            "infergraph_kept_calls",
            "of our own",
        ],
    }


async def test_a_models_metadata_are_mlservers_and_list_its_versions(front: Front) -> None:
    await front.load(Echo, "many", "2")
    await front.load(Echo, "many", "10")

    assert (await get(front, "/v2/models/mirror")).json == (
        await ask(stock_app(front), "GET", "/v2/models/mirror")
    ).json
    for path in ("/v2/models/many", "/v2/models/many/versions/2"):
        answer = (await get(front, path)).json
        assert (answer["name"], answer["versions"]) == ("many", ["2", "10"])


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/absent",
        "/v2/models/absent/ready",
        "/v2/models/echo/versions/9",
        "/v2/models/echo/versions/9/ready",
        "/v2/models/absent/docs",
    ],
)
async def test_an_unknown_model_or_version_is_404(front: Front, path: str) -> None:
    answer = await get(front, path)

    assert answer.status == 404
    assert "absent" in answer.error or "echo" in answer.error


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/", 404, "no such path: /"),
        ("GET", "/v3/x", 404, "no such path: /v3/x"),
        ("GET", "/v2/", 404, "no such path: /v2/"),
        ("GET", "/v2/models", 404, "no such path: /v2/models"),
        ("POST", "/v2/models/echo/infer/", 404, "no such path: /v2/models/echo/infer/"),
        ("POST", "/openapi.json", 404, "no such path: /openapi.json"),
        (
            "GET",
            "/v2/models/echo/infer",
            405,
            "GET is not a method of /v2/models/echo/infer; accepted: POST",
        ),
        (
            "DELETE",
            "/v2/models/echo",
            405,
            "DELETE is not a method of /v2/models/echo; accepted: ",
        ),
        ("POST", "/v2/health/live", 405, "POST is not a method of /v2/health/live; accepted: "),
        ("GET", "/v2/repository/index", 405, "accepted: POST"),
        ("POST", "/v2/docs", 405, "POST is not a method of /v2/docs; accepted: GET"),
        ("BREW", "/v2", 405, "BREW is not a method of /v2"),
    ],
)
async def test_what_no_route_answers_is_an_error_object(
    front: Front, method: str, path: str, status: int, text: str
) -> None:
    answer = await get(front, path, method)

    assert answer.status == status
    assert text in answer.error
    assert answer.headers["content-type"] == "application/json"
    if status == 405:
        assert answer.headers["allow"]


async def test_a_long_odd_path_is_not_repeated_in_full(front: Front) -> None:
    answer = await get(front, "/" + "%ff%0a" * 5_000)

    assert answer.status == 404
    assert len(answer.body) < 2_000


async def test_head_answers_as_get_does(front: Front) -> None:
    assert (await get(front, "/v2/health/live", "HEAD")).status == 200
    assert (await get(front, "/v2/models/absent", "HEAD")).status == 404


# The repository


async def index(front: Front, body: bytes | dict[str, Any] = b"") -> Any:
    answer = await ask(front.app, "POST", "/v2/repository/index", body)
    assert answer.status == 200
    return {(each["name"], each.get("version")): each["state"] for each in answer.json}


async def change(front: Front, name: str, what: str, body: bytes = b"") -> Answer:
    return await ask(front.app, "POST", f"/v2/repository/models/{name}/{what}", body)


async def test_the_repository_loads_lists_and_unloads(serve: Serve, tmp_path: Path) -> None:
    write_model(tmp_path, "one")
    write_model(tmp_path, "two", "1")
    write_model(tmp_path, "two", "2")
    front = await serve()

    assert await index(front) == {
        ("one", None): "UNAVAILABLE",
        ("two", "1"): "UNAVAILABLE",
        ("two", "2"): "UNAVAILABLE",
    }
    assert (await change(front, "two", "load", b'{"parameters": {}}')).status == 200
    assert await index(front, {"ready": True}) == {("two", "1"): "READY", ("two", "2"): "READY"}
    assert (await index(front, {"ready": False}))["one", None] == "UNAVAILABLE"
    assert (await front.post("two")).json["model_version"] == "2"
    assert (await change(front, "two", "unload")).status == 200
    assert await index(front, {"ready": True}) == {}
    assert (await front.post("two")).status == 404


@pytest.mark.parametrize("what", ["load", "unload"])
@pytest.mark.parametrize("name", ["absent", "%C3%A9 %2e", "..%2e"])
async def test_what_the_repository_does_not_have(front: Front, what: str, name: str) -> None:
    answer = await change(front, name, what)

    assert answer.status == 404
    assert answer.error.startswith("model '")


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"ready": "maybe"}', b"\xff"])
async def test_an_index_request_that_is_none(front: Front, body: bytes) -> None:
    answer = await ask(front.app, "POST", "/v2/repository/index", body)

    assert answer.status == 422
    assert answer.error == (
        'the body is not a V2 index request; accepted: {"ready": true or false}, or none'
    )


# What MLServer and models add


@pytest.mark.parametrize(
    "path",
    [
        "/v2/docs",
        "/v2/docs/dataplane.json",
        "/v2/models/echo/docs",
        "/v2/models/echo/docs/dataplane.json",
        "/v2/models/many/versions/2/docs",
        "/v2/models/many/versions/2/docs/dataplane.json",
    ],
)
async def test_mlservers_pages_are_as_they_were(front: Front, path: str) -> None:
    await front.load(Echo, "many", "2")

    stock = await ask(stock_app(front), "GET", path)
    ours = await get(front, path)

    assert (ours.status, ours.body) == (200, stock.body)
    assert ours.headers == stock.headers


class Custom(MLModel):
    @custom_handler(rest_path="/custom/{number}", rest_method="POST")
    async def custom(self, number: int) -> dict[str, int]:
        errors = {0: ValueError("secret"), 1: InvalidInput("odd"), 2: MLServerError("refused", 418)}
        if number in errors:
            raise errors[number]
        return {"twice": 2 * number}

    @custom_handler(rest_path="/size")
    async def size(self, body: list[int]) -> int:
        return len(body)


async def test_a_models_own_paths_come_and_go_with_it(front: Front) -> None:
    await front.load(Custom)

    assert (await ask(front.app, "POST", "/custom/21")).json == {"twice": 42}
    assert (await ask(front.app, "POST", "/custom/many")).status == 422

    await front.server._model_registry.unload("custom")
    assert (await ask(front.app, "POST", "/custom/21")).status == 404


@pytest.mark.parametrize(("number", "status", "text"), [(1, 400, "odd"), (2, 418, "refused")])
async def test_a_models_own_path_may_refuse(
    front: Front, number: int, status: int, text: str
) -> None:
    await front.load(Custom)

    answer = await ask(front.app, "POST", f"/custom/{number}")

    assert (answer.status, answer.error) == (status, text)


async def test_what_a_models_own_path_raises_is_told_without_its_text(front: Front) -> None:
    await front.load(Custom)
    connection = Connection(b"")
    scope = scope_of("POST", "/custom/0", {})

    with pytest.raises(ValueError, match="secret"):  # which uvicorn logs
        await front.app(scope, connection.receive, connection.send)

    assert connection.answer.status == 500
    assert connection.answer.error == (
        "POST /custom/0: it failed with ValueError; the server's log has the details"
    )


async def test_a_models_own_paths_are_bounded_too(serve: Serve) -> None:
    front = await serve(max_body_bytes=100)
    await front.load(Custom)
    body = b"[" + b"1," * 60 + b"1]"

    assert (await ask(front.app, "POST", "/size", b"[1,2,3]")).json == 3
    announced = await ask(front.app, "POST", "/size", body, content_length=str(len(body)))
    assert announced.status == 413
    in_chunks = await ask(front.app, "POST", "/size", body)
    assert (in_chunks.status, in_chunks.error) == (announced.status, announced.error)
    assert len([each for each in in_chunks.events if "status" in each]) == 1
    assert front.desk.admission.bytes_held == front.desk.admission.in_flight == 0


async def test_a_models_own_path_does_not_wait_for_ever_for_a_body(serve: Serve) -> None:
    front = await serve(body_timeout_s=0.05)
    await front.load(Custom)
    connection = Connection(b"[1,", whole=False)
    request = front.app(scope_of("POST", "/size", {}), connection.receive, connection.send)

    await asyncio.wait_for(request, 30)

    assert connection.answer.status == 504
    assert connection.answer.error == (
        "the body did not come in 0.05 s (server setting 'body_timeout_s')"
    )
    assert front.desk.admission.bytes_held == front.desk.admission.in_flight == 0


async def test_cross_origin_requests(serve: Serve) -> None:
    cors = CORSSettings(allow_origins=["http://a"], allow_methods=["POST"], allow_headers=["x-a"])
    front = await serve({"cors_settings": cors})
    await front.load(Mirror)
    path = "/v2/models/mirror/infer"

    asked = await get(
        front, path, "OPTIONS", origin="http://a", access_control_request_method="POST"
    )
    refused = await get(
        front, path, "OPTIONS", origin="http://b", access_control_request_method="POST"
    )
    answered = await front.post("mirror", origin="http://a")

    assert asked.headers["access-control-allow-origin"] == "http://a"
    assert "access-control-allow-origin" not in refused.headers
    assert (answered.status, answered.headers["access-control-allow-origin"]) == (200, "http://a")
