"""What comes before a request's body is bounded, and what is no HTTP is an error as V2 has them."""

from __future__ import annotations

import asyncio
import json

import pytest

from infergraph.front_door import protocol
from tests.unit.front_door.conftest import Serve
from tests.unit.front_door.listening import listening

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


async def test_headers_that_are_too_long(serve: Serve) -> None:
    async with listening(serve) as at:
        status, text = await refused(at.rest, LIVE + b"x-a: ", b"a" * 200_000)

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
