from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from infergraph.errors import (
    DeadlineExceeded,
    InfergraphError,
    InvalidInput,
    MalformedRequest,
    Overloaded,
    StageFailure,
    StageUnavailable,
    TooLarge,
    UnknownModel,
)
from infergraph.request import Deadline, RequestContext
from infergraph.tensors import TensorSpec
from infergraph.transports import Transport, connect, hop
from infergraph.v2 import Message, Tensor, rest
from tests.unit.transports.peers import RestPeer

MESSAGE = Message([Tensor.of("x", np.array([[1, 2]], np.int16))], "7")


def encode_request(message: Message, trace: bool) -> bytes:
    parts, json_size = rest.encode_request(message, hop.request_parameters(message, trace), False)
    assert json_size is None
    return b"".join(parts)


def decode_answer(body: bytes, request_id: str) -> Message:
    return rest.decode_response(body, None, request_id)[0]


def test_a_request_is_v2_json() -> None:
    message = Message(
        [
            Tensor.of("x", np.array([[1, 2]], np.int16)),
            Tensor.of("half", np.array([0.5, np.nan], np.float16)),
            Tensor.of("flag", np.array([True])),
            Tensor.of_bytes("text", ["Zürich".encode()]),
            Tensor.of_bytes("audio", [b"RIFF", b"\xff"]),
        ],
        "7",
        {"beams": 4, "ratio": 0.5},
    )
    assert json.loads(encode_request(message, trace=True)) == {
        "id": "7",
        "parameters": {"beams": 4, "ratio": 0.5, "trace": True},
        "inputs": [
            {"name": "x", "datatype": "INT16", "shape": [1, 2], "data": [1, 2]},
            {"name": "half", "datatype": "FP16", "shape": [2], "data": [0.5, None]},
            {"name": "flag", "datatype": "BOOL", "shape": [1], "data": [True]},
            {"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": ["Zürich"]},
            {
                "name": "audio",
                "datatype": "BYTES",
                "shape": [2, 1],
                "data": ["UklGRg==", "/w=="],
                "parameters": {"content_type": "base64"},
            },
        ],
    }


def test_what_a_request_does_not_have_is_left_out() -> None:
    assert json.loads(encode_request(Message([]), trace=False)) == {"inputs": []}


def test_parameters_that_json_cannot_carry() -> None:
    with pytest.raises(InvalidInput, match="JSON cannot carry it"):
        encode_request(Message([], parameters={"p": object()}), trace=False)  # type: ignore[dict-item]


def answer(**tensor: Any) -> bytes:
    fields = {"name": "y", "datatype": "FP32", "shape": [2], "data": [1, 2.5], **tensor}
    return json.dumps({"id": "other", "outputs": [fields]}).encode()


def test_answers_keep_the_request_s_id() -> None:
    message = decode_answer(answer(), "7")
    assert message.id == "7"
    assert message.tensors[0].data.tolist() == [1.0, 2.5]
    assert message.tensors[0].data.dtype == np.float32


def test_nested_lists_are_accepted() -> None:
    message = decode_answer(answer(shape=[2, 1], data=[[1], [2]]), "")
    assert message.tensors[0].data.tolist() == [[1], [2]]


@pytest.mark.parametrize("data", [[None, 1.5], [[None], [1.5]]])
def test_null_is_nan_in_floating_point_tensors(data: list[Any]) -> None:
    message = decode_answer(answer(shape=[2, 1], data=data), "")
    np.testing.assert_array_equal(message.tensors[0].data, np.array([[np.nan], [1.5]], np.float32))


def test_base64_is_decoded_where_it_is_announced() -> None:
    plain = answer(datatype="BYTES", shape=[1], data=["UklGRg=="])
    announced = answer(
        datatype="BYTES", shape=[1], data=["UklGRg=="], parameters={"content_type": "base64"}
    )
    assert decode_answer(plain, "").tensors[0].data.tolist() == [b"UklGRg=="]
    assert decode_answer(announced, "").tensors[0].data.tolist() == [b"RIFF"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"<html>", "not JSON"),
        (b"[]", "it is a list; accepted: an object"),
        (b'{"outputs": {}}', "outputs is an object; accepted: a list"),
        (b'{"outputs": [1]}', "tensor 0 is a number; accepted: an object"),
        (answer(name=3), "tensor 0: its name is a number; accepted: a string"),
        (answer(datatype="FP8"), "tensor 'y' has datatype 'FP8'; accepted: BOOL"),
        (answer(datatype=["FP32"]), "tensor 'y': its datatype is a list"),
        (answer(shape=2), "tensor 'y': its shape is 2; accepted: a list of integers"),
        (answer(shape=[-1, 2]), r"tensor 'y' has shape \[-1, 2\]; sizes cannot be negative"),
        (answer(shape=[True]), r"tensor 'y': its shape is \[True\]"),
        (answer(data="ab"), "tensor 'y': its data is a string; accepted: a list"),
        (answer(shape=[3]), r"shape \[3\] holds 3 values, but data has 2"),
        (answer(data=["1", "2"]), "data holds a string"),
        (answer(datatype="INT8", data=[1, 300]), "300 is out of the range of INT8"),
        (answer(datatype="INT8", data=[1, 1.5]), "data holds 1.5"),
        (answer(datatype="INT8", data=[1, None]), "data holds null"),
        (answer(datatype="BOOL", data=[1, 0]), "accepted: true or false"),
        (answer(data=[[1], [2, 3]]), r"data is nested as \[2, 1\]"),
        (
            answer(datatype="BYTES", data=["a", 1]),
            r"data holds 1 \(an integer\); accepted: str",
        ),
        (
            answer(datatype="BYTES", data=["YQ==", "?"], parameters={"content_type": "base64"}),
            "element 1 is not base64",
        ),
    ],
)
def test_malformed_answers_are_the_stage_s_failure(body: bytes, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        decode_answer(body, "")


def answering(
    status: int, body: Any, **headers: str
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(
            status=status,
            body=content,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    return handler


FASTAPI_DETAIL = [
    {"loc": ["body", "inputs", 0, "shape"], "msg": "Field required", "input": "secret"},
    *({"loc": ["body", name], "msg": "wrong", "input": "secret"} for name in "abc"),
]
PAGE = b"<html>secret Traceback (most recent call last)</html>"
ERRORS: list[tuple[int, Any, type[InfergraphError], str]] = [
    (400, {"error": "bad x"}, InvalidInput, "bad x"),
    (
        400,
        {"error": "Model m is not ready yet."},
        StageUnavailable,
        "{url} is unavailable: Model m is not ready yet.",
    ),
    (404, {"error": "no model m"}, UnknownModel, "no model m"),
    (404, {"detail": "Not Found"}, UnknownModel, "Not Found"),
    (413, PAGE, TooLarge, "HTTP 413 Request Entity Too Large"),
    (422, {"error": "shape"}, MalformedRequest, "shape"),
    (
        422,
        {"detail": FASTAPI_DETAIL},
        MalformedRequest,
        "body.inputs.0.shape: Field required; body.a: wrong; body.b: wrong; and 1 more",
    ),
    (422, {"detail": {"secret": 1}}, MalformedRequest, "HTTP 422 "),
    (401, {"error": "token"}, StageFailure, "token"),
    (405, {"detail": "Method Not Allowed"}, StageFailure, "Method Not Allowed"),
    (302, b"", StageFailure, "HTTP 302 Found"),
    (500, {"error": "broken\nTraceback (most recent call last)\n secret"}, StageFailure, "broken"),
    (500, PAGE, StageFailure, "HTTP 500 Internal Server Error"),
    (429, b"", Overloaded, "HTTP 429 Too Many Requests"),
    (502, PAGE, StageUnavailable, "HTTP 502 Bad Gateway"),
    (503, {"error": "loading"}, StageUnavailable, "{url} is unavailable: loading"),
    (504, {"error": "model m: late"}, DeadlineExceeded, "model m: late"),
    (599, b"", StageFailure, "HTTP 599"),
]


@pytest.mark.parametrize(("status", "body", "kind", "text"), ERRORS)
async def test_statuses_become_errors(
    rest_peer: RestPeer,
    over_rest: Transport,
    status: int,
    body: Any,
    kind: type[InfergraphError],
    text: str,
) -> None:
    rest_peer.handler = answering(status, body)
    with pytest.raises(InfergraphError) as caught:
        await over_rest.infer("m", MESSAGE, RequestContext())
    assert type(caught.value) is kind
    assert str(caught.value).startswith(text.format(url=rest_peer.url))
    assert "secret" not in str(caught.value)


async def test_a_server_of_ours_says_that_it_is_overloaded(
    rest_peer: RestPeer, over_rest: Transport
) -> None:
    rest_peer.handler = answering(503, {"error": "queue full"}, infergraph_error="Overloaded")
    with pytest.raises(Overloaded, match=r"\Aqueue full\Z"):
        await over_rest.infer("m", MESSAGE, RequestContext())


async def test_redirects_are_not_followed(rest_peer: RestPeer, over_rest: Transport) -> None:
    rest_peer.handler = answering(307, b"", Location=f"{rest_peer.url}/elsewhere")
    with pytest.raises(StageFailure, match="HTTP 307 Temporary Redirect"):
        await over_rest.infer("m", MESSAGE, RequestContext())
    assert rest_peer.paths == ["/v2/models/m/infer"]


async def test_an_endpoint_that_nobody_listens_at(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    transport = connect(url)
    with pytest.raises(StageUnavailable, match=rf"\A{url} cannot be reached: .*"):
        await transport.infer("m", MESSAGE, RequestContext())
    with pytest.raises(StageUnavailable, match=url):
        await transport.declaration("m")
    await transport.close()


async def test_a_connection_that_breaks_during_a_call(
    rest_peer: RestPeer, over_rest: Transport
) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        await asyncio.Event().wait()
        raise AssertionError

    rest_peer.handler = hang_up
    with pytest.raises(StageUnavailable, match=f"{rest_peer.url}: the connection broke"):
        await over_rest.infer("m", MESSAGE, RequestContext())


async def test_the_hop_s_headers(rest_peer: RestPeer, over_rest: Transport) -> None:
    context = RequestContext(
        Deadline.after_ms(60_000), headers={"X-Tenant": "a", "x-odd": "a\r\nb: c"}
    )
    await over_rest.infer("a model", MESSAGE, context)
    (headers,) = rest_peer.headers
    assert rest_peer.paths == ["/v2/models/a%20model/infer"]
    assert headers["content-type"] == "application/json"
    assert headers["accept-encoding"] == "identity"
    assert headers["seldon-model"] == "a model"
    assert headers["x-tenant"] == "a"
    assert "x-odd" not in headers
    assert 0 < float(headers["infergraph-timeout-ms"]) < 60_000


async def test_a_path_before_v2_is_kept(rest_peer: RestPeer) -> None:
    transport = connect(rest_peer.url + "/seldon/")
    await transport.infer("m", MESSAGE, RequestContext())
    assert rest_peer.paths == ["/seldon/v2/models/m/infer"]
    await transport.close()


async def test_a_passed_deadline_sends_nothing(rest_peer: RestPeer, over_rest: Transport) -> None:
    with pytest.raises(DeadlineExceeded, match=f"{rest_peer.url}: the deadline of 5 ms passed"):
        await over_rest.infer("m", MESSAGE, RequestContext(Deadline(0.0, 5)))
    assert rest_peer.bodies == []


async def blocked(
    peer: RestPeer, transport: Transport, context: RequestContext
) -> tuple[asyncio.Task[Message], asyncio.Event]:
    """A call that the server has taken and does not answer, and an event for its end there."""
    called, ended = asyncio.Event(), asyncio.Event()

    async def never(request: web.Request) -> web.StreamResponse:
        called.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    peer.handler = never
    call = asyncio.create_task(transport.infer("m", MESSAGE, context))
    await called.wait()
    return call, ended


async def test_the_deadline_ends_the_call_on_both_sides(
    rest_peer: RestPeer, over_rest: Transport
) -> None:
    context = RequestContext(Deadline.after_ms(200))
    call, ended = await blocked(rest_peer, over_rest, context)
    with pytest.raises(DeadlineExceeded, match=f"{rest_peer.url}: the deadline of 200 ms passed"):
        await call
    await asyncio.wait_for(ended.wait(), 10)


async def test_cancelling_reaches_the_server(rest_peer: RestPeer, over_rest: Transport) -> None:
    call, ended = await blocked(rest_peer, over_rest, RequestContext())
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(ended.wait(), 10)


async def test_answers_bring_parameters_and_a_trace(
    rest_peer: RestPeer, over_rest: Transport
) -> None:
    parameters = {"trace": '{"model":"m","queue_us":3}', "beams": 4, "headers": {"Ce-Id": "1"}}
    rest_peer.handler = answering(200, {"outputs": [], "parameters": parameters})
    answered = await over_rest.infer("m", MESSAGE, RequestContext(trace=True))
    assert json.loads(rest_peer.bodies[0])["parameters"] == {"trace": True}
    assert answered == Message([], "7", {"beams": 4}, {"model": "m", "queue_us": 3})


async def test_declaration(rest_peer: RestPeer, over_rest: Transport) -> None:
    rest_peer.metadata = {
        "name": "m",
        "platform": "",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [{"name": "y", "datatype": "BYTES", "shape": [-1, 1]}],
        "parameters": {"optional_outputs": '["y"]'},
    }
    declaration = await over_rest.declaration("m")
    assert rest_peer.paths == ["/v2/models/m"]
    assert declaration.inputs == (TensorSpec("x", "FP32", (-1, 3)),)
    assert declaration.outputs == (TensorSpec("y", "BYTES", (-1, 1), optional=True),)


@pytest.mark.parametrize("metadata", [[], {"inputs": [{"name": "x"}]}, {"inputs": 3}])
async def test_metadata_that_is_not_v2(
    rest_peer: RestPeer, over_rest: Transport, metadata: Any
) -> None:
    rest_peer.metadata = metadata
    with pytest.raises(StageFailure, match="its metadata of model 'm' is not V2"):
        await over_rest.declaration("m")


async def test_raw_contents_go_to_servers_that_announce_them(
    rest_peer: RestPeer, over_binary_rest: Transport
) -> None:
    message = Message([Tensor.of("x", np.array([[1, 2]], np.int16))], "7", {"beams": 4})
    for _ in range(2):
        answered = await over_binary_rest.infer("m", message, RequestContext())
        assert answered.tensors[0].data.tolist() == [[1, 2]]

    size = int(rest_peer.headers[0]["inference-header-content-length"])
    assert json.loads(rest_peer.bodies[0][:size]) == {
        "id": "7",
        "parameters": {"beams": 4, "binary_data_output": True},
        "inputs": [
            {
                "name": "x",
                "datatype": "INT16",
                "shape": [1, 2],
                "parameters": {"binary_data_size": 4},
            }
        ],
    }
    assert rest_peer.bodies[0][size:] == b"\1\0\2\0"
    assert rest_peer.headers[0]["content-type"] == "application/octet-stream"
    # The server is asked what it takes once, not at each call.
    assert rest_peer.asked_for_extensions == 1


async def test_a_server_that_says_nothing_of_itself_gets_json(
    rest_peer: RestPeer, over_rest: Transport
) -> None:
    await over_rest.infer("m", MESSAGE, RequestContext())
    assert "inference-header-content-length" not in rest_peer.headers[0]
    assert json.loads(rest_peer.bodies[0])["inputs"][0]["data"] == [1, 2]


@pytest.mark.parametrize("length", ["3", "1000"])
async def test_an_answer_whose_lengths_lie_is_the_stage_s_failure(
    rest_peer: RestPeer, over_binary_rest: Transport, length: str
) -> None:
    rest_peer.handler = answering(
        200, {"outputs": []}, **{"inference-header-content-length": length}
    )
    with pytest.raises(StageFailure, match="its answer is malformed"):
        await over_binary_rest.infer("m", MESSAGE, RequestContext())
