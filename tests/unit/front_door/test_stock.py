"""A model that is not ours gets and gives what it does under MLServer's own servers."""

from __future__ import annotations

import json
from typing import Any

import grpc
import numpy as np
import pytest
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc import dataplane_pb2_grpc
from mlserver.grpc.servicers import InferenceServicer
from mlserver.rest.app import create_app
from mlserver.settings import Settings

from infergraph.v2 import Message, Tensor
from infergraph.v2.grpc import decode_response, encode_request
from infergraph.v2.schema import SERVICE, ModelStreamInferResponse
from tests.unit.front_door.conftest import Serve
from tests.unit.front_door.front import BODY, Answer, Front, Mirror, ask

pytestmark = pytest.mark.filterwarnings("ignore:The `construct` method is deprecated")


def stock_app(front: Front) -> Any:
    settings = Settings(metrics_endpoint=None, gzip_enabled=False, debug=False)
    server = front.server
    return create_app(settings, server._data_plane, server._model_repository_handlers)


async def both(front: Front, path: str, body: Any, **headers: str) -> tuple[Answer, Answer]:
    """MLServer's answer and ours."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    stock = await ask(stock_app(front), "POST", path, content, **headers)
    return stock, await ask(front.app, "POST", path, content, **headers)


NESTED = {
    "id": "n",
    "inputs": [
        {"name": "x", "datatype": "INT64", "shape": [2, 2], "data": [[1, 2], [3, 4]]},
        {"name": "f", "datatype": "FP64", "shape": [2], "data": [0.1, 1e300]},
        {"name": "b", "datatype": "BOOL", "shape": [2], "data": [True, False]},
        {"name": "e", "datatype": "FP32", "shape": [0], "data": []},
        {
            "name": "media",
            "datatype": "BYTES",
            "shape": [1],
            "data": ["UklGRg=="],
            "parameters": {"content_type": "base64", "other": 3},
        },
    ],
    "outputs": [{"name": "seen", "parameters": {"content_type": "str"}}],
}
LARGE = {
    "id": "large",
    "inputs": [
        {"name": "x", "datatype": "FP32", "shape": [60_000], "data": [0.5] * 60_000},
        {"name": "t", "datatype": "BYTES", "shape": [20_000], "data": ["a word"] * 20_000},
        {"name": "rows", "datatype": "INT64", "shape": [9_000, 2], "data": [[1, 2]] * 9_000},
    ],
}


@pytest.mark.parametrize("body", [BODY, NESTED, LARGE], ids=["flat", "nested", "large"])
@pytest.mark.parametrize("end", ["infer", "generate", "versions/v2/infer", "versions/v2/generate"])
async def test_an_answer_is_mlservers_byte_for_byte(front: Front, body: Any, end: str) -> None:
    await front.load(Mirror, "many", "v2")
    path = f"/v2/models/{'many' if 'versions' in end else 'mirror'}/{end}"

    stock, ours = await both(front, path, body, traceparent="00-1", authorization="Bearer a")

    assert stock.status == ours.status == 200
    assert ours.body == stock.body
    assert ours.headers == stock.headers


async def test_the_model_gets_lists_headers_and_parameters(front: Front) -> None:
    answer = await front.post("mirror", BODY, traceparent="00-1")

    content = answer.json
    assert (content["id"], content["parameters"]) == ("seven", {"content_type": "str"})
    assert answer.headers["x-answer"] == "yes"
    seen = json.loads(content["outputs"][0]["data"][0])
    # MLServer adds those of CloudEvents.
    headers = {name: value for name, value in seen["headers"].items() if name[:3] != "Ce-"}
    assert headers == {"content-type": "application/json", "traceparent": "00-1"}
    assert seen["inputs"] == BODY["inputs"]
    assert seen["kinds"] == ["list", "list"]
    assert seen["flavour"] == "dark"


async def test_a_request_without_id_gets_one(front: Front) -> None:
    answer = await front.post("mirror", {"inputs": []})

    assert len(answer.json["id"]) == 36


async def test_an_error_of_the_model_keeps_its_status(front: Front) -> None:
    stock, ours = await both(front, "/v2/models/mirror/infer", {**BODY, "id": "refuse"})

    assert (stock.status, stock.body) == (418, ours.body)
    assert (ours.status, ours.error) == (418, "refused")


async def test_an_unexpected_error_is_not_told(front: Front) -> None:
    answer = await front.post("mirror", {**BODY, "id": "fail"})

    assert answer.status == 500
    assert answer.error == (
        "model 'mirror': it failed with ValueError; the server's log has the details"
    )


@pytest.mark.parametrize("id", ["Zürich", "a\nb", "é" * 3, "a" * 9_000])
async def test_an_id_that_a_header_cannot_carry_is_still_answered(front: Front, id: str) -> None:
    answer = await front.post("mirror", {**BODY, "id": id})

    assert (answer.status, answer.json["id"]) == (200, id)
    assert "ce-id" not in answer.headers


async def test_a_header_of_the_model_that_http_cannot_carry_stays_behind(front: Front) -> None:
    answer = await front.post("mirror", {**BODY, "id": "odd"})

    assert (answer.status, answer.headers["x-answer"]) == (200, "yes")
    assert "x-odd" not in answer.headers


PREFIX = "the body is not a V2 inference request: "


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "the body is not JSON: "),
        (b"", "the body is not JSON: "),
        (b"[]", PREFIX),
        (b"{}", PREFIX + "inputs: Field required"),
        (
            b'{"inputs": [{"name": "x", "datatype": "FP31", "shape": [1], "data": ["secret"]}]}',
            PREFIX + "inputs.0.datatype: ",
        ),
        (
            b'{"inputs": [{"datatype": "FP32", "shape": [1], "data": ["secret"]}]}',
            PREFIX + "inputs.0.name: Field required",
        ),
    ],
)
async def test_what_is_no_request_is_refused_without_repeating_it(
    front: Front, body: bytes, text: str
) -> None:
    answer = await front.post("mirror", body)

    assert answer.status == 422
    assert answer.error.startswith(text)
    assert "secret" not in answer.error


async def test_only_the_first_problems_are_listed(front: Front) -> None:
    answer = await front.post("mirror", {"inputs": [{}] * 100})

    assert answer.error.count("Field required") == 5


async def test_raw_contents_reach_it_as_lists_and_its_answer_goes_back_raw(front: Front) -> None:
    contents = np.array([0.5, 2.0], "<f4").tobytes()
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 1]}
    head = {
        "id": "raw",
        "parameters": {"binary_data_output": True, "flavour": "dark"},
        "inputs": [{**tensor, "parameters": {"binary_data_size": len(contents)}}],
        "outputs": [
            {"name": "seen", "parameters": {"binary_data": False}},
            {"name": "count"},
        ],
    }
    text = json.dumps(head).encode()

    answer = await front.post(
        "mirror", text + contents, inference_header_content_length=str(len(text))
    )

    assert answer.status == 200
    size = int(answer.headers["inference-header-content-length"])
    content = json.loads(answer.body[:size])
    assert (content["model_name"], content["id"]) == ("mirror", "raw")
    seen = json.loads(content["outputs"][0]["data"][0])
    assert seen["inputs"] == [{**tensor, "data": [0.5, 2.0]}]
    assert (seen["kinds"], seen["flavour"]) == (["list"], "dark")
    assert content["outputs"][1]["parameters"] == {"binary_data_size": 8}
    assert int(np.frombuffer(answer.body[size:], "<i8")[0]) > 0


# Streams


@pytest.mark.parametrize("end", ["infer_stream", "generate_stream"])
async def test_a_stream_is_mlservers(front: Front, end: str) -> None:
    stock, ours = await both(front, f"/v2/models/mirror/{end}", BODY)

    assert (ours.status, ours.body) == (200, stock.body)
    assert ours.headers["content-type"] == "text/event-stream"
    assert ours.body.count(b"data: ") == 3


async def test_a_stream_that_fails_halfway_says_so(front: Front) -> None:
    answer = await front.post("mirror", {**BODY, "id": "fail"}, "infer_stream")

    blocks = answer.body.decode().split("\n\n")
    assert len(blocks) == 3
    assert blocks[1].startswith("event: error\n")
    assert json.loads(blocks[1].split("data: ")[1])["error"] == "broken"


# gRPC


class StockService:
    """MLServer's own gRPC service on the same models, on a free port."""

    def __init__(self, front: Front) -> None:
        self._server = grpc.aio.server()
        servicer = InferenceServicer(
            front.server._data_plane, front.server._model_repository_handlers
        )
        dataplane_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, self._server)

    async def __aenter__(self) -> grpc.aio.Channel:
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        return self._channel

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()
        await self._server.stop(None)


def typed_request(**fields: Any) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="mirror", id="seven", **fields)
    given = request.inputs.add(name="x", datatype="INT64", shape=[2])
    given.contents.int64_contents.extend([7, -8])
    request.inputs.add(name="t", datatype="BYTES", shape=[1]).contents.bytes_contents.append(b"a")
    request.parameters["flavour"].string_param = "dark"
    return request


def raw_request() -> pb.ModelInferRequest:
    message = Message([Tensor.of("x", np.array([7, -8])), Tensor.of_bytes("t", [b"a"])], "seven")
    return pb.ModelInferRequest.FromString(encode_request("mirror", "", message, {"flavour": "d"}))


@pytest.mark.parametrize("request_", [typed_request(), raw_request()], ids=["typed", "raw"])
async def test_over_grpc_it_answers_as_under_mlserver(
    front: Front, request_: pb.ModelInferRequest
) -> None:
    body = request_.SerializeToString()
    metadata = (("x-tenant", "a"),)
    async with StockService(front) as channel, front.grpc() as client:
        stock_call = channel.unary_unary(f"/{SERVICE}/ModelInfer")(body, metadata=metadata)
        stock = pb.ModelInferResponse.FromString(await stock_call)
        our_call = client.infer(body, x_tenant="a")
        ours = pb.ModelInferResponse.FromString(await our_call)
        trailers = [
            {each[0]: each[1] for each in await call.trailing_metadata()}
            for call in (stock_call, our_call)
        ]

    assert ours == stock
    assert bool(ours.raw_output_contents) is bool(request_.raw_input_contents)
    assert trailers[1] == trailers[0]
    assert trailers[1]["x-answer"] == "yes"
    message, _ = decode_response(ours.SerializeToString(), "")
    seen = json.loads(message.tensors[0].data[0])
    assert seen["headers"]["x-tenant"] == "a"
    assert [each["data"] for each in seen["inputs"]] == [[7, -8], ["a"]]
    assert seen["kinds"] == ["list", "list"]


async def test_over_grpc_its_errors_keep_their_text(front: Front) -> None:
    request = typed_request()
    async with front.grpc() as client:
        for id, code, text in (
            ("refuse", grpc.StatusCode.INVALID_ARGUMENT, "refused"),
            ("fail", grpc.StatusCode.INTERNAL, "model 'mirror': it failed with ValueError"),
        ):
            request.id = id
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.infer(request.SerializeToString())
            assert caught.value.code() is code
            assert str(caught.value.details()).startswith(text)


@pytest.mark.parametrize(
    "contents", [[b"1234567"], [b"\1" * 16], [b"\1" * 16, b"\5\0\0\0a"], [b""] * 3]
)
async def test_raw_contents_that_contradict_themselves_are_the_callers_fault(
    front: Front, contents: list[bytes]
) -> None:
    request = raw_request()
    del request.raw_input_contents[:]
    request.raw_input_contents.extend(contents)
    async with front.grpc() as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.infer(request.SerializeToString())

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("style", ["triton", "mlserver"])
async def test_a_stream_over_grpc_has_each_of_its_parts(serve: Serve, style: str) -> None:
    front = await serve(grpc_stream=style)
    await front.load(Mirror)
    async with front.grpc() as client, StockService(front) as channel:
        streams = [client.stream(), channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")()]
        parts: list[list[bytes]] = []
        for stream in streams:
            await stream.write(typed_request().SerializeToString())
            await stream.done_writing()
            parts.append([each async for each in stream])
    ours, stock = parts
    if style == "triton":
        ours = [
            ModelStreamInferResponse.FromString(each).infer_response.SerializeToString()
            for each in ours
        ]

    assert list(map(pb.ModelInferResponse.FromString, ours)) == list(
        map(pb.ModelInferResponse.FromString, stock)
    )
    assert len(ours) == 3
