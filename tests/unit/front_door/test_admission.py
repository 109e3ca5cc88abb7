"""What is let in: each bound, how it refuses, over which front, and that nothing stays counted."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest
from prometheus_client import REGISTRY

from infergraph.errors import InvalidInput
from infergraph.front_door import disconnect
from infergraph.front_door.access_log import AccessLog
from infergraph.v2 import Message, Tensor
from infergraph.v2.grpc import Call, encode_request
from infergraph.v2.schema import SERVICE, ModelInferRequest
from tests.unit.front_door.conftest import Serve
from tests.unit.front_door.front import (
    BODY,
    Answer,
    Connection,
    Echo,
    Front,
    GrpcClient,
    Mirror,
    Pipeline,
    scope_of,
)

NUMBERS = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [4], "data": [1.0, 2.0, 3.0, 4.0]}]
}
TEXTS = {"inputs": [{"name": "t", "datatype": "BYTES", "shape": [3], "data": ["a", "b", "c"]}]}
TWO = {"inputs": [*NUMBERS["inputs"], *TEXTS["inputs"]]}


def as_message(body: dict[str, Any]) -> Message:
    tensors = [
        Tensor.of_bytes(each["name"], [item.encode() for item in each["data"]], each["shape"])
        if each["datatype"] == "BYTES"
        else Tensor.of(each["name"], np.array(each["data"], np.float32))
        for each in body["inputs"]
    ]
    return Message(tensors, "7")


def over_grpc(body: dict[str, Any], model: str = "echo") -> bytes:
    return encode_request(model, "", as_message(body), {})


def refusals(cause: str) -> float:
    return REGISTRY.get_sample_value("infergraph_server_refusals_total", {"cause": cause}) or 0.0


def is_empty(front: Front) -> bool:
    admission = front.desk.admission
    return admission.in_flight == 0 and admission.bytes_held == 0


async def code_of(client: GrpcClient, body: bytes) -> tuple[grpc.StatusCode, str]:
    try:
        await client.infer(body)
    except grpc.aio.AioRpcError as error:
        return error.code(), str(error.details())
    return grpc.StatusCode.OK, ""


# Bounds of one request


@pytest.mark.parametrize("model", ["echo", "mirror"])
@pytest.mark.parametrize("slack", [0, -1])
@pytest.mark.parametrize(
    ("setting", "fits", "body"),
    [("max_tensors", 2, TWO), ("max_elements", 4, NUMBERS), ("max_strings", 3, TEXTS)],
)
async def test_bounds_of_tensors_hold_over_both_fronts(
    serve: Serve, setting: str, fits: int, body: dict[str, Any], slack: int, model: str
) -> None:
    front = await serve(**{setting: fits + slack})
    await front.load(Echo)
    await front.load(Mirror)
    cause = setting.removeprefix("max_")
    before = refusals(cause)

    answer = await front.post(model, body)
    async with front.grpc() as client:
        code, details = await code_of(client, over_grpc(body, model))

    if slack == 0:
        assert (answer.status, code) == (200, grpc.StatusCode.OK)
        assert refusals(cause) == before
        return
    assert refusals(cause) == before + 2
    assert (answer.status, code) == (413, grpc.StatusCode.INVALID_ARGUMENT)
    text = f"accepted: at most {fits - 1} (server setting '{setting}')"
    assert text in answer.error
    assert text in details
    assert is_empty(front)


async def test_outputs_that_are_asked_for_are_bounded_too(serve: Serve) -> None:
    front = await serve(max_tensors=2)
    await front.load(Echo)

    answer = await front.post("echo", {**NUMBERS, "outputs": [{"name": "x"}] * 3})

    assert answer.status == 413
    assert "3 tensors" in answer.error


async def test_shapes_are_checked_before_values(front: Front) -> None:
    huge = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2**40], "data": "no list"}]}
    request = ModelInferRequest(model_name="echo")
    request.inputs.add(name="x", datatype="FP32", shape=[2**40])

    answer = await front.post("echo", huge)
    async with front.grpc() as client:
        code, details = await code_of(client, request.SerializeToString())

    assert (answer.status, code) == (413, grpc.StatusCode.INVALID_ARGUMENT)
    assert f"hold {2**40} elements" in answer.error
    assert f"hold {2**40} elements" in details


LIMIT = 2_000


@pytest.mark.parametrize("model", ["echo", "mirror"])
@pytest.mark.parametrize(
    ("body", "coding", "found"),
    [
        (b" " * (LIMIT + 1), "", f"{LIMIT + 1} bytes or more"),
        (gzip.compress(b" " * (LIMIT + 1)), "gzip", f" bytes that hold more than {LIMIT}"),
        (gzip.compress(bytes(10**6)), "GZIP", f" bytes that hold more than {LIMIT}"),
        (gzip.compress(b" " * LIMIT) * 2, "gzip", f" bytes that hold more than {LIMIT}"),
    ],
)
async def test_a_body_that_is_too_large(
    serve: Serve, body: bytes, coding: str, found: str, model: str
) -> None:
    front = await serve(max_body_bytes=LIMIT)
    await front.load(Echo)
    await front.load(Mirror)
    before = refusals("body_bytes")

    answer = await front.post(model, body, content_encoding=coding)

    assert answer.status == 413
    assert found in answer.error
    assert f"accepted: at most {LIMIT} bytes (server setting 'max_body_bytes')" in answer.error
    assert refusals("body_bytes") == before + 1
    assert is_empty(front)


async def test_a_body_of_just_the_limit(serve: Serve) -> None:
    front = await serve(max_body_bytes=LIMIT)
    await front.load(Echo)
    body = json.dumps(BODY).encode().ljust(LIMIT)

    plain = await front.post("echo", body)
    packed = await front.post("echo", gzip.compress(body), content_encoding="gzip")

    assert plain.status == packed.status == 200


@pytest.mark.parametrize("length", [str(LIMIT + 1), "9" * 18, "9" * 4000])
async def test_a_body_that_announces_too_much_is_not_read(serve: Serve, length: str) -> None:
    front = await serve(max_body_bytes=LIMIT)
    await front.load(Echo)
    connection = Connection()

    await front.start("echo", connection, content_length=length)

    assert connection.answer.status == 413
    assert connection.reads == 0


async def test_a_body_that_grows_too_large_is_read_no_further(serve: Serve) -> None:
    front = await serve(max_body_bytes=LIMIT)
    await front.load(Echo)
    connection = Connection(*[b" " * 700] * 3, whole=False)

    await front.start("echo", connection)

    assert connection.answer.status == 413
    assert connection.reads == 3


async def test_the_bound_of_json_does_not_count_what_follows_it(serve: Serve) -> None:
    front = await serve(max_json_bytes=300)
    await front.load(Echo)
    tensor = {"name": "x", "datatype": "UINT8", "shape": [5000]}
    head = {"inputs": [{**tensor, "parameters": {"binary_data_size": 5000}}]}
    text = json.dumps(head).encode()
    size = {"inference_header_content_length": str(len(text))}

    raw = await front.post("echo", text + bytes(5000), **size)
    lists = await front.post("echo", {"inputs": [{**tensor, "data": [0] * 5000}]})

    assert raw.status == 200
    assert lists.status == 413
    assert "accepted: at most 300 (server setting 'max_json_bytes'); send large" in lists.error
    assert is_empty(front)


@pytest.mark.parametrize("model", ["echo", "mirror"])
async def test_the_bound_of_typed_contents_does_not_count_raw_ones(
    serve: Serve, model: str
) -> None:
    front = await serve(max_typed_bytes=100_000)
    await front.load(Echo)
    await front.load(Mirror)
    values = np.zeros(200_000, np.uint8)
    raw = encode_request(model, "", Message([Tensor.of("x", values)]), {})
    typed = ModelInferRequest(model_name=model)
    tensor = typed.inputs.add(name="x", datatype="INT32", shape=[200_000])
    tensor.contents.int_contents.extend(values.tolist())

    async with front.grpc() as client:
        assert (await code_of(client, raw))[0] is grpc.StatusCode.OK
        code, details = await code_of(client, typed.SerializeToString())

    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "accepted: at most 100000 (server setting 'max_typed_bytes')" in details


@pytest.mark.parametrize("method", ["ModelInfer", "ModelStreamInfer"])
async def test_sizes_are_counted_before_they_are_multiplied(
    serve: Serve, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    multiplied: list[int] = []
    strings = Call.strings

    def noting(call: Call) -> int:
        multiplied.extend(len(each.shape) for each in call.header.inputs)
        return strings(call)

    monkeypatch.setattr(Call, "strings", noting)
    front = await serve(grpc_stream="mlserver")
    await front.load(Echo)
    request = ModelInferRequest(model_name="echo")
    request.inputs.add(name="x", datatype="BYTES", shape=[1 << 61] * 1000)

    async with front.grpc() as client:
        call = client.channel.stream_stream(f"/{SERVICE}/{method}")()
        await call.write(request.SerializeToString())
        await call.done_writing()
        code, details = await call.code(), await call.details()

    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details == "tensor 'x' has 1000 dimensions; accepted: at most 32"
    assert multiplied == []


# Bounds of all requests together


@pytest.fixture
async def held(serve: Serve) -> AsyncIterator[Any]:
    """Makes a server with requests that wait in the model `held` until the test ends."""
    opened: list[tuple[asyncio.Event, list[asyncio.Task[None]]]] = []

    async def make(count: int, body: bytes, kind: type[Echo] = Echo, **settings: Any) -> Front:
        front = await serve(**settings)
        model = await front.load(kind, "held")
        await front.load(Echo)
        model.gate = asyncio.Event()
        tasks = []
        for _ in range(count):
            model.entered.clear()
            tasks.append(front.start("held", Connection(body)))
            await model.entered.wait()
        opened.append((model.gate, tasks))
        return front

    yield make
    for gate, tasks in opened:
        gate.set()
        await asyncio.gather(*tasks)


def assert_overloaded(answer: Answer, setting: str) -> None:
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["infergraph-error"] == "Overloaded"
    assert f"(server setting '{setting}'); try again later" in answer.error


async def test_requests_in_flight_are_bounded_over_both_fronts(held: Any) -> None:
    front = await held(2, json.dumps(NUMBERS).encode(), max_in_flight=2)
    before = refusals("in_flight")
    connection = Connection()

    await front.start("echo", connection)
    async with front.grpc() as client:
        code, details = await code_of(client, over_grpc(NUMBERS))

    assert_overloaded(connection.answer, "max_in_flight")
    assert connection.reads == 0
    assert code is grpc.StatusCode.UNAVAILABLE
    assert "(server setting 'max_in_flight')" in details
    assert refusals("in_flight") == before + 2
    assert REGISTRY.get_sample_value("infergraph_requests_in_flight") == 2


async def test_requests_of_one_model_are_bounded_and_others_go_on(held: Any) -> None:
    front = await held(2, json.dumps(NUMBERS).encode(), max_in_flight_per_model=2)
    before = refusals("in_flight_per_model")
    connection = Connection()

    await front.start("held", connection)
    async with front.grpc() as client:
        code, details = await code_of(client, over_grpc(NUMBERS, "held"))

    assert_overloaded(connection.answer, "max_in_flight_per_model")
    assert connection.reads == 0
    assert code is grpc.StatusCode.UNAVAILABLE
    assert "model 'held' answers 2 requests" in details
    assert refusals("in_flight_per_model") == before + 2
    assert (await front.post("echo", NUMBERS)).status == 200


@pytest.mark.parametrize("announced", [True, False])
async def test_bytes_of_bodies_are_bounded_together(held: Any, announced: bool) -> None:
    body = json.dumps(NUMBERS).encode().ljust(1000)
    front = await held(2, body, max_bytes_in_flight=2500)
    before = refusals("bytes_in_flight")
    connection = Connection(body)

    await front.start("echo", connection, **({"content_length": "1000"} if announced else {}))

    assert_overloaded(connection.answer, "max_bytes_in_flight")
    assert "the server holds 2000 bytes of requests, and has no room" in connection.answer.error
    assert connection.reads == (0 if announced else 1)
    assert refusals("bytes_in_flight") == before + 1
    assert front.desk.admission.bytes_held == 2000
    assert REGISTRY.get_sample_value("infergraph_request_bytes_in_flight") == 2000
    assert (await front.post("echo", json.dumps(NUMBERS).encode().ljust(500))).status == 200


async def test_a_lone_request_may_be_larger_than_the_room(serve: Serve) -> None:
    # Else it could never be answered.
    front = await serve(max_bytes_in_flight=100)
    await front.load(Echo)

    assert (await front.post("echo", json.dumps(NUMBERS).encode().ljust(500))).status == 200


async def test_messages_over_grpc_take_room_too(held: Any) -> None:
    body = json.dumps(NUMBERS).encode().ljust(1000)
    front = await held(2, body, max_bytes_in_flight=2500)
    large = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [200], "data": [0.5] * 200}]}

    async with front.grpc() as client:
        code, details = await code_of(client, over_grpc(large))
        assert (await code_of(client, over_grpc(NUMBERS)))[0] is grpc.StatusCode.OK

    assert code is grpc.StatusCode.UNAVAILABLE
    assert "(server setting 'max_bytes_in_flight')" in details
    assert front.desk.admission.bytes_held == 2000


async def test_what_an_inflated_body_takes_is_counted(held: Any) -> None:
    front = await held(1, json.dumps(NUMBERS).encode().ljust(1000), max_bytes_in_flight=2500)

    answer = await front.post(
        "echo", gzip.compress(json.dumps(NUMBERS).encode().ljust(2000)), content_encoding="gzip"
    )

    assert_overloaded(answer, "max_bytes_in_flight")
    assert front.desk.admission.bytes_held == 1000


OUTCOMES: dict[str, tuple[Any, dict[str, str], int]] = {
    "answered": (BODY, {}, 200),
    "malformed": (b"{", {}, 422),
    "no such output": ({**BODY, "outputs": [{"name": "z"}]}, {}, 400),
    "coding": (b"x", {"content_encoding": "gzip"}, 400),
    "unknown coding": (BODY, {"content_encoding": "br"}, 415),
    "timeout": (BODY, {"infergraph_timeout_ms": "x"}, 400),
    "length": (BODY, {"inference_header_content_length": "x"}, 422),
}


@pytest.mark.parametrize("end", ["infer", "infer_stream"])
@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_nothing_stays_counted_after_any_outcome(
    front: Front, outcome: str, end: str
) -> None:
    body, headers, status = OUTCOMES[outcome]

    answer = await front.post("echo", body, end, **headers)

    assert answer.status == status
    assert is_empty(front)
    assert front.desk.registry.find("echo").in_flight == 0


@pytest.mark.parametrize("error", [InvalidInput("odd"), ValueError("broken"), MemoryError()])
async def test_nothing_stays_counted_when_a_model_fails(front: Front, error: Exception) -> None:
    (await front.load(Echo)).error = error

    await front.post("echo")
    await front.post("echo", BODY, "infer_stream")
    async with front.grpc() as client:
        assert (await code_of(client, over_grpc(NUMBERS)))[0] is not grpc.StatusCode.OK

    assert is_empty(front)
    assert front.desk.registry.find("echo").in_flight == 0


# Bodies that do not come


@pytest.mark.parametrize("began", [False, True], ids=["nothing of it", "half of it"])
async def test_a_body_that_does_not_come_in_time(serve: Serve, began: bool) -> None:
    front = await serve(body_timeout_s=0.05)
    await front.load(Echo)
    connection = Connection(*([b'{"inputs"'] if began else []), whole=False)

    await front.start("echo", connection)

    assert connection.answer.status == 504
    assert connection.answer.error == (
        "the body did not come in 0.05 s (server setting 'body_timeout_s')"
    )
    assert is_empty(front)


async def test_a_body_counts_towards_the_requests_deadline(front: Front) -> None:
    connection = Connection(b'{"inputs"', whole=False)

    await front.start("echo", connection, infergraph_timeout_ms="30")

    assert connection.answer.status == 504
    assert connection.answer.error == (
        "the request's body did not come in time: the deadline of 30 ms passed"
    )


async def test_control_of_the_repository_is_bounded_too(serve: Serve) -> None:
    front = await serve(max_body_bytes=10, max_in_flight=1)
    for path in ("index", "models/echo/load", "models/echo/unload"):
        connection = Connection(b" " * 11)
        scope = scope_of("POST", f"/v2/repository/{path}", {})
        await front.app(scope, connection.receive, connection.send)
        assert connection.answer.status == 413


# Pipelines, once the server is told to stop


async def test_a_server_that_stops_takes_no_new_pipelines(serve: Serve) -> None:
    front = await serve()
    await front.load(Pipeline)
    await front.load(Echo)
    before = refusals("stopping")
    assert front.desk.drain.begin()

    answer = await front.post("pipeline")
    async with front.grpc() as client:
        code, details = await code_of(client, over_grpc(NUMBERS, "pipeline"))

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.error == details == "the server is stopping; ask another one, or later"
    assert answer.headers["infergraph-error"] == "StageUnavailable"
    assert code is grpc.StatusCode.UNAVAILABLE
    assert refusals("stopping") == before + 2
    # A step may be at this very server.
    assert (await front.post("echo")).status == 200


async def test_what_is_cut_off_at_the_end_of_the_grace_period_is_told(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disconnect, "GRACE_SECONDS", 60)
    model = await front.load(Echo)
    model.gate = asyncio.Event()
    connection = Connection(json.dumps(BODY).encode())
    request = front.start("echo", connection)
    await model.entered.wait()
    assert front.desk.drain.begin()

    request.cancel()
    await request

    assert connection.answer.status == 503
    assert connection.answer.error == "the server is stopping; ask another one, or later"
    assert is_empty(front)


async def test_a_stream_that_is_cut_off_ends_with_an_error(front: Front) -> None:
    model = await front.load(Echo)
    model.gate = asyncio.Event()
    connection = Connection(json.dumps(BODY).encode())
    request = front.start("echo", connection, "infer_stream")
    await model.entered.wait()
    assert front.desk.drain.begin()

    request.cancel()
    await request

    assert connection.answer.status == 200
    *_, last = connection.answer.body.split(b"\n\n")[:-1]
    told = json.loads(last.removeprefix(b"event: error\ndata: "))
    assert told == {
        "error": "the server is stopping; ask another one, or later",
        "status": 503,
        "kind": "StageUnavailable",
    }
    starts = [each for each in connection.answer.events if each["type"] == "http.response.start"]
    assert len(starts) == 1
    assert connection.answer.events[-1]["more_body"] is False
    assert model.ended.is_set()
    assert is_empty(front)


async def test_an_answer_that_is_cut_off_is_none_of_its_client(
    front: Front, caplog: pytest.LogCaptureFixture
) -> None:
    front.desk.log = AccessLog("text")
    caplog.set_level(logging.INFO, "infergraph")
    sending = asyncio.Event()

    async def send(event: Any) -> None:
        sending.set()
        await asyncio.Event().wait()

    connection = Connection(json.dumps(BODY).encode())
    connection.send = send  # type: ignore[method-assign]
    request = front.start("echo", connection)
    await sending.wait()
    assert front.desk.drain.begin()

    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request

    assert "status=503" in caplog.messages[-1]
    assert is_empty(front)
