"""The line that each request leaves."""

from __future__ import annotations

import json
import logging
from typing import Any

import grpc
import pytest

from infergraph.errors import Overloaded
from infergraph.front_door.access_log import AccessLog, logger
from infergraph.v2 import Message
from infergraph.v2.grpc import encode_request
from tests.unit.front_door.conftest import Serve
from tests.unit.front_door.front import BODY, Echo, Front, ask


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    """The lines logged so far."""
    caplog.set_level(logging.INFO, logger.name)
    return lambda: [each.getMessage() for each in caplog.records if each.name == logger.name]


@pytest.fixture
async def logging_front(serve: Serve, lines: Any) -> Front:
    front = await serve(access_log="json")
    logger.setLevel(logging.INFO)
    await front.load(Echo)
    return front


def test_a_line_of_text(lines: Any) -> None:
    AccessLog("text").request("rest", "POST /v2/models/a/infer", "a", 200, 0.0123456, "seven")

    assert lines() == [
        'protocol=rest method="POST /v2/models/a/infer" model="a" status=200 duration_ms=12.346 '
        'id="seven"'
    ]


def test_a_line_of_json_has_no_empty_fields(lines: Any) -> None:
    AccessLog("json").request("grpc", "ModelInfer", "", "INTERNAL", 1.0, error="it failed")

    assert [json.loads(line) for line in lines()] == [
        {
            "protocol": "grpc",
            "method": "ModelInfer",
            "status": "INTERNAL",
            "duration_ms": 1000.0,
            "error": "it failed",
        }
    ]


@pytest.mark.parametrize("style", ["text", "json"])
def test_no_text_of_a_caller_makes_a_line_of_its_own(lines: Any, style: Any) -> None:
    odd = '"a" b=c\nprotocol=rest \x1b[31m \ud800'

    AccessLog(style).request("rest", f"GET /{odd}", odd, 404, 0.0, odd, odd)

    (line,) = lines()
    assert "\n" not in line
    assert "\x1b" not in line
    line.encode()


@pytest.mark.parametrize("style", ["text", "json"])
def test_long_texts_are_cut(lines: Any, style: Any) -> None:
    AccessLog(style).request(*["a" * 10_000] * 3, 200, 0.0, "b" * 10_000, "c" * 10_000)

    assert len(lines()[0]) < 11_500


def test_off_is_off(lines: Any) -> None:
    log = AccessLog("off")
    log.request("rest", "GET /", "", 200, 0.0)

    assert not log.is_on
    assert lines() == []


async def test_each_request_leaves_one_line(logging_front: Front, lines: Any) -> None:
    front = logging_front
    model = await front.load(Echo)
    await front.post("echo")
    await front.post("absent%20%C3%A9")
    await front.post("echo", b"{")
    await front.post("echo", BODY, "infer_stream")
    await ask(front.app, "GET", "/v2/models/echo")
    await ask(front.app, "POST", "/v2/repository/models/absent/load")
    await ask(front.app, "GET", "/nowhere")
    await ask(front.app, "DELETE", "/v2/models/echo")
    await ask(front.app, "GET", "/v2/docs")
    model.error = Overloaded("queue full")
    await front.post("echo", {**BODY, "parameters": {"parts": 1}}, "infer_stream")

    found = [json.loads(line) for line in lines()]
    assert all(each.pop("duration_ms") >= 0 and each.pop("protocol") == "rest" for each in found)
    assert found[0] == {
        "method": "POST /v2/models/echo/infer",
        "model": "echo",
        "status": 200,
        "id": "seven",
    }
    assert found[1] == {
        "method": "POST /v2/models/absent é/infer",
        "model": "absent é",
        "status": 404,
        "error": "model 'absent é' is not loaded",
    }
    assert (found[2]["status"], "not JSON" in found[2]["error"]) == (422, True)
    assert (found[3]["method"], found[3]["id"]) == ("POST /v2/models/echo/infer_stream", "seven")
    assert found[4] == {"method": "GET /v2/models/echo", "model": "echo", "status": 200}
    assert (found[5]["model"], found[5]["status"]) == ("absent", 404)
    assert found[6] == {"method": "GET /nowhere", "status": 404}
    assert found[7] == {"method": "DELETE /v2/models/echo", "status": 405}
    assert found[8] == {"method": "GET /v2/docs", "status": 200}
    # The status was sent by then.
    assert (found[9]["status"], found[9]["error"]) == (200, "queue full")
    assert len(found) == 10


async def test_each_call_leaves_one_line(logging_front: Front, lines: Any) -> None:
    front = logging_front
    async with front.grpc() as client:
        await client.infer(encode_request("echo", "", Message([], "seven"), {}))
        with pytest.raises(grpc.aio.AioRpcError):
            await client.infer(encode_request("absent", "", Message([]), {}))
        with pytest.raises(grpc.aio.AioRpcError):
            await client.infer(b"\xff\xff")
        await client.call("ServerMetadata")
        stream = client.stream()
        await stream.write(encode_request("echo", "", Message([], "eight"), {}))
        await stream.done_writing()
        assert [each async for each in stream]

    found = [json.loads(line) for line in lines()]
    assert all(each.pop("duration_ms") >= 0 and each.pop("protocol") == "grpc" for each in found)
    assert found[0] == {"method": "ModelInfer", "model": "echo", "status": "OK", "id": "seven"}
    assert found[1] == {
        "method": "ModelInfer",
        "model": "absent",
        "status": "NOT_FOUND",
        "error": "model 'absent' is not loaded",
    }
    assert found[2]["status"] == "INVALID_ARGUMENT"
    assert found[3] == {"method": "ServerMetadata", "status": "OK"}
    assert found[4] == {
        "method": "ModelStreamInfer",
        "model": "echo",
        "status": "OK",
        "id": "eight",
    }


async def test_probes_leave_none(logging_front: Front, lines: Any) -> None:
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/echo/ready"):
        await ask(logging_front.app, "GET", path)
    async with logging_front.grpc() as client:
        for method in ("ServerLive", "ServerReady"):
            await client.call(method)

    assert lines() == []
