"""Inference over REST with a model of ours: answers, forms, errors, codings, clients that go."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import zlib
from typing import Any

import numpy as np
import pytest

from infergraph.errors import (
    DeadlineExceeded,
    InfergraphError,
    InvalidInput,
    MalformedRequest,
    Overloaded,
    StageFailure,
    StageUnavailable,
)
from infergraph.front_door import disconnect
from tests.unit.front_door.conftest import Serve
from tests.unit.front_door.front import BODY, Connection, Echo, Front, settle

PATHS = [
    "/v2/models/echo/infer",
    "/v2/models/echo/generate",
    "/v2/models/many/infer",
    "/v2/models/many/versions/10/infer",
    "/v2/models/many/versions/2/generate",
]


@pytest.mark.parametrize("path", PATHS)
async def test_each_of_its_paths_answers(front: Front, path: str) -> None:
    await front.load(Echo, "many", "2")
    await front.load(Echo, "many", "10")
    model, end = path.removeprefix("/v2/models/").split("/", 1)

    answer = await front.post(model, BODY, end)

    version = {} if model == "echo" else {"model_version": "2" if "versions/2" in path else "10"}
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert answer.json == {
        "model_name": model,
        **version,
        "id": "seven",
        "parameters": {"flavour": "dark"},
        "outputs": BODY["inputs"],
    }


async def test_a_model_of_ours_gets_arrays(front: Front) -> None:
    model = await front.load(Echo)

    await front.post("echo")

    (message,) = model.messages
    assert (message.id, message.parameters) == ("seven", {"flavour": "dark"})
    assert message.tensors[0].data.dtype == np.float32
    assert message.tensors[0].data.tolist() == [[0.5], [-1.25]]
    assert message.tensors[1].data.tolist() == ["é".encode()]
    assert not any(tensor.data.flags.writeable for tensor in message.tensors)


async def test_what_accompanies_a_request_reaches_the_model(front: Front) -> None:
    model = await front.load(Echo)
    body = {**BODY, "parameters": {"trace": True}}

    await front.post(
        "echo", body, infergraph_timeout_ms="60000", x_tenant="a", authorization="Bearer secret"
    )

    (context,) = model.contexts
    assert context.deadline is not None
    assert 0 < context.deadline.remaining() <= 60
    assert context.trace
    assert context.headers == {"x-tenant": "a"}
    assert model.messages[0].parameters == {}


@pytest.mark.parametrize("id", ["Zürich \u2713 \U0001f600", "a" * 100_000, '"\\\n\x00', " "])
async def test_any_id_comes_back(front: Front, id: str) -> None:
    assert (await front.post("echo", {**BODY, "id": id})).json["id"] == id


@pytest.mark.parametrize("id", [None, ""])
async def test_no_id_is_no_id(front: Front, id: str | None) -> None:
    assert "id" not in (await front.post("echo", {**BODY, "id": id})).json


async def test_two_requests_of_one_id_are_two(front: Front) -> None:
    bodies = [
        {"id": "a", "inputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [n]}]}
        for n in range(20)
    ]

    answers = await asyncio.gather(*(front.post("echo", body) for body in bodies))

    assert [answer.json["outputs"][0]["data"] for answer in answers] == [[n] for n in range(20)]


# Binary tensor data


def binary(**parameters: Any) -> tuple[bytes, dict[str, str]]:
    """A body of raw contents, and the header that says where they begin."""
    contents = np.array([0.5, np.nan, np.inf], "<f4").tobytes()
    head = {
        "parameters": parameters,
        "inputs": [
            {
                "name": "x",
                "datatype": "FP32",
                "shape": [3],
                "parameters": {"binary_data_size": len(contents)},
            }
        ],
    }
    text = json.dumps(head).encode()
    return text + contents, {"inference_header_content_length": str(len(text))}


@pytest.mark.parametrize("coding", ["", "gzip", "deflate"])
async def test_raw_contents_in_and_out(front: Front, coding: str) -> None:
    body, headers = binary(binary_data_output=True)
    if coding:
        headers["content_encoding"] = coding
    packed = {"": body, "gzip": gzip.compress(body), "deflate": zlib.compress(body)}[coding]

    answer = await front.post("echo", packed, **headers)

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    size = int(answer.headers["inference-header-content-length"])
    assert int(answer.headers["content-length"]) == len(answer.body)
    (output,) = json.loads(answer.body[:size])["outputs"]
    assert output["parameters"] == {"binary_data_size": 12}
    np.testing.assert_array_equal(
        np.frombuffer(answer.body[size:], "<f4"), np.array([0.5, np.nan, np.inf], np.float32)
    )


async def test_raw_contents_in_and_lists_out(front: Front) -> None:
    body, headers = binary()
    body = body[:-4] + np.array([2], "<f4").tobytes()

    answer = await front.post("echo", body, **headers)

    assert "inference-header-content-length" not in answer.headers
    assert answer.json["outputs"][0]["data"] == [0.5, None, 2.0]


@pytest.mark.parametrize("length", ["-1", "x", "1.5", "", "9" * 30, "10000", "0"])
async def test_a_length_of_the_json_that_is_none(front: Front, length: str) -> None:
    body, _ = binary()

    answer = await front.post("echo", body, inference_header_content_length=length)

    assert answer.status == 422
    assert "inference-header-content-length" in answer.error


async def test_large_answers_come_whole(front: Front) -> None:
    values = np.arange(100_000, dtype=np.float32)
    body = {
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [100_000], "data": values.tolist()},
            {"name": "t", "datatype": "BYTES", "shape": [5_000], "data": ["a"] * 5_000},
        ]
    }

    answer = await front.post("echo", body)

    assert answer.json["outputs"] == body["inputs"]
    assert int(answer.headers["content-length"]) == len(answer.body)


# What is refused


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "the body is not a V2 inference message: not JSON: "),
        (b"", "the body is not a V2 inference message: not JSON: "),
        (b"[]", "the body is not a V2 inference message: it is a list; accepted: an object"),
        (b"{}", "the body is not a V2 inference message: inputs is missing or null"),
        (b"\xff\xfe", "the body is not a V2 inference message: not JSON: "),
        (
            b'{"inputs": [{"name": "x", "datatype": "FP31", "shape": [1], "data": [1]}]}',
            "tensor 'x' has datatype 'FP31'; accepted: BOOL, UINT8",
        ),
    ],
)
async def test_what_is_no_request(front: Front, body: bytes, text: str) -> None:
    answer = await front.post("echo", body)

    assert answer.status == 422
    assert answer.error.startswith(text)
    assert answer.headers["infergraph-error"] == "MalformedRequest"


async def test_a_malformed_body_is_not_repeated(front: Front) -> None:
    body = b'{"inputs": [{"name": "x", "shape": [1], "data": ["secret"]}], "key": "secret"}'

    assert "secret" not in (await front.post("echo", body)).error


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("absent", "model 'absent' is not loaded"),
        ("a%20%C3%A9", "model 'a é' is not loaded"),
        ("echo/versions/9", "model 'echo' has no version '9' that is loaded; accepted: none"),
    ],
)
async def test_an_unknown_model(front: Front, path: str, text: str) -> None:
    connection = Connection()  # No body: it is refused before one is read.

    await front.start(path, connection)

    assert connection.answer.status == 404
    assert connection.answer.error.startswith(text)
    assert connection.reads == 0


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInput("tensor 'x' is odd"), 400),
        (MalformedRequest("tensor 'x' is odd"), 422),
        (StageFailure("model 'echo' is broken"), 500),
        (Overloaded("queue full"), 503),
        (StageUnavailable("no step"), 503),
        (DeadlineExceeded("too late"), 504),
    ],
)
async def test_a_models_error_has_its_status_text_and_class(
    front: Front, error: InfergraphError, status: int
) -> None:
    (await front.load(Echo)).error = error

    answer = await front.post("echo")

    assert (answer.status, answer.error) == (status, str(error))
    assert answer.headers["infergraph-error"] == type(error).__name__
    assert answer.headers.get("retry-after") == ("1" if status == 503 else None)


async def test_an_unexpected_error_is_logged_and_not_told(
    front: Front, caplog: pytest.LogCaptureFixture
) -> None:
    (await front.load(Echo)).error = ValueError("secret")

    answer = await front.post("echo")

    assert answer.status == 500
    assert answer.error == (
        "model 'echo': it failed with ValueError; the server's log has the details"
    )
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "secret" in str(record.exc_info[1])


async def test_no_memory_is_a_reason_to_come_back(front: Front) -> None:
    (await front.load(Echo)).error = MemoryError()

    answer = await front.post("echo")

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "not enough memory" in answer.error


@pytest.mark.parametrize("timeout", ["soon", "-1", "0", "nan", ""])
async def test_a_timeout_that_is_none(front: Front, timeout: str) -> None:
    answer = await front.post("echo", infergraph_timeout_ms=timeout)

    assert answer.status == 400
    assert f"header infergraph-timeout-ms: {timeout!r} is not a time" in answer.error


async def test_a_very_long_timeout_is_one(front: Front) -> None:
    assert (await front.post("echo", infergraph_timeout_ms="1e15")).status == 200


async def test_an_output_that_is_not_there(front: Front) -> None:
    answer = await front.post("echo", {**BODY, "outputs": [{"name": "z"}]})

    assert (answer.status, answer.error) == (
        400,
        "model 'echo': no output tensor 'z'; accepted: x, t",
    )


async def test_only_the_outputs_that_are_asked_for(front: Front) -> None:
    outputs = [{"name": "x", "parameters": {"classification": 1}}]

    answer = await front.post("echo", {**BODY, "outputs": outputs})

    assert answer.json["outputs"] == [
        {"name": "x", "datatype": "BYTES", "shape": [2, 1], "data": ["0.500000:0", "-1.250000:0"]}
    ]


# Content codings


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),  # bare, as some clients send it
        ("identity", bytes),
        ("gzip, identity", gzip.compress),
        ("", bytes),
    ],
)
async def test_coded_bodies(front: Front, coding: str, pack: Any) -> None:
    answer = await front.post("echo", pack(json.dumps(BODY).encode()), content_encoding=coding)

    assert (answer.status, answer.json["id"]) == (200, "seven")


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "deflate, gzip", "chunked"])
async def test_a_coding_that_is_not_known(front: Front, coding: str) -> None:
    answer = await front.post("echo", content_encoding=coding)

    assert answer.status == 415
    assert answer.error == (
        f"content-encoding '{coding}' is not supported; accepted: gzip, deflate or identity, one "
        "of them"
    )


@pytest.mark.parametrize(
    ("accepted", "sent_gzip", "enabled", "compressed"),
    [
        ("gzip", True, False, True),
        ("deflate, GZIP;q=0.5", True, False, True),
        ("gzip;q=0", True, False, False),
        ("br", True, False, False),
        ("", True, False, False),
        ("gzip", False, False, False),
        ("gzip", False, True, True),
        ("", False, True, False),
    ],
)
async def test_gzip_is_answered_with_gzip_where_it_is_taken(
    serve: Serve, accepted: str, sent_gzip: bool, enabled: bool, compressed: bool
) -> None:
    front = await serve({"gzip_enabled": enabled})
    await front.load(Echo)
    body = json.dumps({**BODY, "parameters": {"flavour": "dark" * 200}}).encode()
    headers = {"accept_encoding": accepted, "content_encoding": "gzip" if sent_gzip else ""}

    answer = await front.post("echo", gzip.compress(body) if sent_gzip else body, **headers)

    assert answer.status == 200
    assert (answer.headers.get("content-encoding") == "gzip") is compressed
    assert (answer.headers.get("vary") == "accept-encoding") is compressed
    assert int(answer.headers["content-length"]) == len(answer.body)
    plain = gzip.decompress(answer.body) if compressed else answer.body
    assert json.loads(plain)["parameters"] == {"flavour": "dark" * 200}


async def test_a_short_answer_is_not_compressed(front: Front) -> None:
    packed = gzip.compress(json.dumps(BODY).encode())

    answer = await front.post("echo", packed, content_encoding="gzip", accept_encoding="gzip")

    assert "content-encoding" not in answer.headers


# Clients that go away


@pytest.fixture
def _watch_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disconnect, "GRACE_SECONDS", 0)


@pytest.mark.usefixtures("_watch_at_once")
async def test_a_client_that_goes_away_ends_its_request(front: Front) -> None:
    model = await front.load(Echo)
    model.gate = asyncio.Event()
    connection = Connection(json.dumps(BODY).encode())
    request = front.start("echo", connection)
    await model.entered.wait()

    connection.hang_up()
    await request

    assert model.ended.is_set()
    assert connection.answer.events == []
    assert front.desk.admission.in_flight == front.desk.admission.bytes_held == 0


@pytest.mark.usefixtures("_watch_at_once")
async def test_a_client_that_stays_gets_its_answer_and_the_watch_ends(front: Front) -> None:
    model = await front.load(Echo)
    model.gate = asyncio.Event()
    connection = Connection(json.dumps(BODY).encode())
    request = front.start("echo", connection)
    await connection.is_read(2)

    model.gate.set()
    await request
    await settle()

    assert connection.answer.status == 200
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_client_that_goes_away_during_its_upload(front: Front) -> None:
    model = await front.load(Echo)
    connection = Connection(b'{"inputs"', whole=False)
    request = front.start("echo", connection)
    await connection.is_read(2)

    connection.hang_up()
    await request

    assert connection.answer.events == []
    assert model.messages == []
    assert front.desk.admission.bytes_held == 0


async def test_a_slow_upload_is_waited_for(front: Front) -> None:
    body = json.dumps(BODY).encode()
    connection = Connection()
    request = front.start("echo", connection)
    for at in range(0, len(body), 10):
        await settle()
        connection.put(body[at : at + 10], more=True)
    connection.put(b"")
    await request

    assert connection.answer.json["outputs"] == BODY["inputs"]


async def test_a_server_that_cancels_a_request_sees_it_cancelled(front: Front) -> None:
    model = await front.load(Echo)
    model.gate = asyncio.Event()
    request = front.start("echo", Connection(json.dumps(BODY).encode()))
    await model.entered.wait()

    request.cancel()

    with pytest.raises(asyncio.CancelledError):
        await request
    assert model.ended.is_set()
    assert front.desk.admission.in_flight == 0


# Streams


def events(body: bytes) -> list[tuple[str, Any]]:
    """Server-sent events: their kinds and their data."""
    found = []
    for block in body.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields.get("event", "message"), json.loads(fields["data"])))
    return found


@pytest.mark.parametrize("end", ["infer_stream", "generate_stream"])
async def test_a_stream_has_an_event_for_each_part(front: Front, end: str) -> None:
    answer = await front.post("echo", {**BODY, "parameters": {"parts": 3}}, end)

    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    part = {"name": "part", "datatype": "INT64", "shape": [1]}
    assert events(answer.body) == [
        (
            "message",
            {"model_name": "echo", "id": "seven", "outputs": [{**part, "data": [number]}]},
        )
        for number in range(3)
    ]


async def test_each_part_is_sent_as_it_comes(front: Front) -> None:
    model = await front.load(Echo)
    model.gate = asyncio.Event()
    connection = Connection(json.dumps(BODY).encode())
    request = front.start("echo", connection, "infer_stream")
    await model.entered.wait()

    assert len(events(connection.answer.body)) == 1
    model.gate.set()
    await request
    assert len(events(connection.answer.body)) == 3


async def test_a_stream_of_no_parts(front: Front) -> None:
    answer = await front.post("echo", {**BODY, "parameters": {"parts": 0}}, "infer_stream")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"] == "text/event-stream"


async def test_events_of_binary_requests_are_json(front: Front) -> None:
    body, headers = binary(binary_data_output=True, parts=1)

    answer = await front.post("echo", body, "infer_stream", **headers)

    ((_, data),) = events(answer.body)
    assert data["outputs"][0]["data"] == [0]


@pytest.mark.parametrize("error", [Overloaded("queue full"), ValueError("secret")])
async def test_a_failure_before_the_first_part_is_the_requests(
    front: Front, error: Exception
) -> None:
    (await front.load(Echo)).error = error

    answer = await front.post("echo", {**BODY, "parameters": {"parts": 0}}, "infer_stream")

    assert answer.status == (503 if isinstance(error, Overloaded) else 500)
    assert "secret" not in answer.error


@pytest.mark.parametrize(
    ("error", "status", "kind", "text"),
    [
        (Overloaded("queue full"), 503, "Overloaded", "queue full"),
        (
            ValueError("secret"),
            500,
            "StageFailure",
            "model 'echo': it failed with ValueError; the server's log has the details",
        ),
    ],
)
async def test_a_later_failure_is_an_event(
    front: Front, error: Exception, status: int, kind: str, text: str
) -> None:
    (await front.load(Echo)).error = error

    answer = await front.post("echo", {**BODY, "parameters": {"parts": 2}}, "infer_stream")

    assert answer.status == 200
    *parts, last = events(answer.body)
    assert [each[0] for each in parts] == ["message", "message"]
    assert last == ("error", {"error": text, "status": status, "kind": kind})
    assert answer.events[-1]["more_body"] is False


@pytest.mark.usefixtures("_watch_at_once")
async def test_a_stream_whose_client_goes_away_is_closed(front: Front) -> None:
    model = await front.load(Echo)
    model.gate = asyncio.Event()
    connection = Connection(json.dumps(BODY).encode())
    request = front.start("echo", connection, "infer_stream")
    await model.entered.wait()

    connection.hang_up()
    await request

    assert model.ended.is_set()
    assert front.desk.admission.in_flight == 0


async def test_a_stream_that_cannot_be_sent_is_closed_at_once(front: Front) -> None:
    model = await front.load(Echo)
    connection = Connection(json.dumps(BODY).encode())

    async def broken(event: Any) -> None:
        if event["type"] == "http.response.body":
            # What the model has begun is closed by the request itself, not some time later.
            assert not model.ended.is_set()
            raise OSError("gone")

    connection.send = broken  # type: ignore[method-assign]
    with pytest.raises(OSError, match="gone"):
        await front.start("echo", connection, "infer_stream")

    assert model.ended.is_set()
