"""All but bodies is bounded, what is no HTTP is an error as V2 has them, and answers stay whole."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from infergraph.front_door import protocol
from tests.unit.front_door.conftest import Serve
from tests.unit.front_door.front import settle
from tests.unit.front_door.listening import Listening, listening

LIVE = b"GET /v2/health/live HTTP/1.1\r\nhost: a\r\n"


async def refused(address: str, *pieces: bytes) -> tuple[int, str]:
    """The status and text with which a connection is closed after these bytes."""
    reader, writer = await asyncio.open_connection(*address.split(":"))
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert b"content-type: application/json" in lines
    assert b"connection: close" in lines
    (text,) = json.loads(body).values()
    return int(head.split(b" ")[1]), text


@pytest.mark.parametrize(
    "sent", [b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET\r\n\r\n"]
)
async def test_what_is_no_http(serve: Serve, sent: bytes) -> None:
    async with listening(serve) as at:
        status, text = await refused(at.rest, sent)

    assert status == 400
    assert text.startswith("not an HTTP request: ")


@pytest.mark.parametrize("server", ["rest", "metrics"])
async def test_headers_that_are_too_long(serve: Serve, server: str) -> None:
    async with listening(serve) as at:
        status, text = await refused(getattr(at, server), LIVE + b"x-a: ", b"a" * 200_000)

    assert status == 431
    assert text.endswith(f"accepted: at most {protocol.MOST_HEAD_BYTES}")


@pytest.mark.parametrize("sent", [b"", LIVE], ids=["nothing", "half"])
async def test_headers_that_do_not_come(
    serve: Serve, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)
    async with listening(serve) as at:
        status, text = await refused(at.rest, sent)

    assert (status, text) == (408, "no whole request came in 0.05 s")


async def test_long_bodies_and_several_requests_of_a_connection_are_no_heads(
    serve: Serve,
) -> None:
    body = json.dumps(
        {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": ["a" * 300_000]}]}
    ).encode()
    head = (
        b"POST /v2/models/echo/infer HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n" % len(body)
    )
    async with listening(serve) as at:
        reader, writer = await asyncio.open_connection(*at.rest.split(":"))
        for _ in range(3):
            writer.write(head + body)
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            assert answer.startswith(b"HTTP/1.1 200")
            fields = dict(line.split(b": ") for line in answer.lower().split(b"\r\n")[1:-2])
            content = await reader.readexactly(int(fields[b"content-length"]))
            assert len(json.loads(content)["outputs"][0]["data"][0]) == 300_000
        writer.close()


INFER = b"POST /v2/models/echo/infer HTTP/1.1\r\nhost: a\r\n"
BODY = json.dumps(
    {"inputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [7]}]}
).encode()
LENGTH = b"content-length: %d\r\n\r\n" % len(BODY)
WHOLE = INFER + LENGTH + BODY
CHUNKED = b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(BODY), BODY)


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and content of the next answer."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    fields = dict(line.split(b": ") for line in head.lower().split(b"\r\n")[1:-2])
    return int(head[9:12]), await reader.readexactly(int(fields[b"content-length"]))


async def model_of(at: Listening) -> Any:
    """The `Echo` of a server; not always of this module's class, which MLServer may load anew."""
    return await at.front.server._model_registry.get_model("echo")


async def test_trailers_are_no_headers(serve: Serve) -> None:
    key = "k" * 16
    async with listening(serve, inference_keys=[key]) as at:
        reader, writer = await asyncio.open_connection(*at.rest.split(":"))
        for trailer, expected in ((b"", 401), (b"x-api-key: %b\r\n" % key.encode(), 401)):
            writer.write(INFER + CHUNKED + b"0\r\n" + trailer + b"\r\n")
            status, _ = await answer_of(reader)
            assert status == expected
        writer.write(INFER + b"x-api-key: %b\r\n" % key.encode() + CHUNKED + b"0\r\nx-a: b\r\n\r\n")
        status, _ = await answer_of(reader)
        writer.close()

    assert status == 200


@pytest.mark.parametrize(
    "begun", [b"0\r\nx-a: ", b"0\r\n", b"5;a="], ids=["value", "name", "chunk"]
)
async def test_what_follows_a_body_is_bounded(serve: Serve, begun: bytes) -> None:
    async with listening(serve) as at:
        status, text = await refused(at.rest, INFER + CHUNKED, begun, b"a" * 200_000)

    assert status == 431
    assert text.endswith(f"accepted: at most {protocol.MOST_HEAD_BYTES}")


async def test_a_body_that_is_no_http(serve: Serve) -> None:
    async with listening(serve) as at:
        status, text = await refused(at.rest, INFER + CHUNKED, b"zz\r\n")

    assert status == 400
    assert text.startswith("not an HTTP request: ")


@pytest.mark.parametrize("sent", [b"a", b"a" * 100, b"a" * 100 + b"\r\n"])
async def test_a_connection_does_not_wait_for_ever_after_a_refused_body(
    serve: Serve, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "REST_SECONDS", 0.05)
    async with listening(serve) as at:
        rest: Any = at.front.server._rest_server
        rest._server.config.timeout_keep_alive = 0.05
        reader, writer = await asyncio.open_connection(*at.rest.split(":"))
        writer.write(INFER.replace(b"echo", b"absent") + b"content-length: 100\r\n\r\n")
        assert (await answer_of(reader))[0] == 404
        writer.write(sent)

        assert await asyncio.wait_for(reader.read(), 30) == b""
        writer.close()


@pytest.mark.parametrize("apart", [False, True], ids=["at once", "apart"])
async def test_requests_that_offer_another_protocol_keep_their_bodies(
    serve: Serve, apart: bool
) -> None:
    offer = b"connection: Upgrade, HTTP2-Settings\r\nhttp2-settings: AAEAAEAA\r\nupgrade: h2c\r\n"
    async with listening(serve) as at:
        reader, writer = await asyncio.open_connection(*at.rest.split(":"))
        for head in (INFER + offer, INFER, INFER + offer):
            writer.write(head + LENGTH)
            if apart:
                await writer.drain()
                await settle()
            writer.write(BODY)
            status, content = await answer_of(reader)
            assert (status, json.loads(content)["outputs"][0]["data"]) == (200, [7])
        writer.write(LIVE + offer + b"\r\n" + LIVE + b"\r\n")
        assert [await answer_of(reader) for _ in range(2)] == [(200, b"")] * 2
        writer.close()


@pytest.mark.parametrize("path", [b"infer", b"infer_stream"])
async def test_clients_of_http_1_0_are_sent_no_chunks(serve: Serve, path: bytes) -> None:
    request = WHOLE.replace(b"/infer ", b"/%b " % path).replace(b"HTTP/1.1", b"HTTP/1.0")
    async with listening(serve) as at:
        reader, writer = await asyncio.open_connection(*at.rest.split(":"))
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()

    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in head
    assert b"transfer-encoding" not in head
    if path == b"infer":
        assert b"content-length: %d" % len(content) in head
        assert json.loads(content)["outputs"][0]["data"] == [7]
    else:
        events = content.split(b"\n\n")
        assert [json.loads(each[6:])["outputs"][0]["data"] for each in events[:-1]] == [
            [0],
            [1],
            [2],
        ]
        assert events[-1] == b""


@pytest.mark.parametrize("after", [b"nonsense\r\n\r\n", LIVE], ids=["no HTTP", "half a request"])
async def test_nothing_is_written_within_an_answer(
    serve: Serve, after: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = asyncio.Event()
    refuse = protocol.Protocol._refuse

    def noting(self: protocol.Protocol, status: int, text: str) -> None:
        refuse(self, status, text)
        refusing.set()

    monkeypatch.setattr(protocol.Protocol, "_refuse", noting)
    async with listening(serve) as at:
        model = await model_of(at)
        model.gate = asyncio.Event()
        reader, writer = await asyncio.open_connection(*at.rest.split(":"))
        writer.write(WHOLE.replace(b"/infer ", b"/infer_stream "))
        await reader.readuntil(b"data: ")
        monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)
        writer.write(after)
        await asyncio.wait_for(refusing.wait(), 30)
        model.gate.set()
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()

    assert answer.count(b"data: ") == 2
    assert answer.endswith(b"\r\n0\r\n\r\n")
    assert b"HTTP/1.1" not in answer


async def test_a_client_that_goes_with_a_request_waiting_behind_another(serve: Serve) -> None:
    async with listening(serve) as at:
        model = await model_of(at)
        model.gate = asyncio.Event()
        _, writer = await asyncio.open_connection(*at.rest.split(":"))
        writer.write(WHOLE + WHOLE)
        await model.entered.wait()

        writer.transport.abort()

        await asyncio.wait_for(model.ended.wait(), 30)
        await settle()
        assert at.front.desk.admission.in_flight == 0
