from __future__ import annotations

import asyncio
from typing import Any

import grpc
import numpy as np
import pytest
from mlserver.grpc import dataplane_pb2 as pb

from infergraph.errors import (
    DeadlineExceeded,
    InfergraphError,
    InvalidInput,
    MalformedRequest,
    Overloaded,
    Rejected,
    StageFailure,
    StageUnavailable,
    UnknownModel,
)
from infergraph.request import Deadline, RequestContext
from infergraph.tensors import TensorSpec
from infergraph.transports import Transport, connect, hop
from infergraph.v2 import Message, Tensor
from infergraph.v2 import grpc as codec
from tests.unit.transports.peers import GrpcPeer

MESSAGE = Message([Tensor.of("x", np.array([[1, 2]], np.int16))], "7")


def encode_request(model: str, message: Message, trace: bool) -> bytes:
    """As for a server that knows MLServer's kinds of parameters only."""
    return codec.encode_request(model, "", message, hop.request_parameters(message, trace), False)


def decode_answer(answer: pb.ModelInferResponse, request_id: str) -> Message:
    return codec.decode_response(answer.SerializeToString(), request_id)[0]


def test_a_request_is_what_protobuf_would_make_of_it() -> None:
    message = Message(
        [
            Tensor.of("x", np.array([[1, 2]], np.int16)),
            Tensor.of_bytes("text", [b"a" * 200]),
            Tensor.of("none", np.empty((0, 3), np.float32)),
        ],
        "7",
        {"flag": False, "count": -3, "name": "n", "ratio": 0.1},
    )
    expected = pb.ModelInferRequest(
        model_name="m",
        id="7",
        inputs=[
            pb.ModelInferRequest.InferInputTensor(name="x", datatype="INT16", shape=[1, 2]),
            pb.ModelInferRequest.InferInputTensor(name="text", datatype="BYTES", shape=[1, 1]),
            pb.ModelInferRequest.InferInputTensor(name="none", datatype="FP32", shape=[0, 3]),
        ],
        raw_input_contents=[b"\1\0\2\0", b"\xc8\0\0\0" + b"a" * 200, b""],
        parameters={
            "flag": pb.InferParameter(bool_param=False),
            "count": pb.InferParameter(int64_param=-3),
            "name": pb.InferParameter(string_param="n"),
            "ratio": pb.InferParameter(string_param="0.1"),
            "trace": pb.InferParameter(bool_param=True),
        },
    )
    assert pb.ModelInferRequest.FromString(encode_request("m", message, trace=True)) == expected


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, [1], {"a": 1}])
def test_parameters_that_grpc_cannot_carry(value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"parameter 'p' is .* accepted over gRPC"):
        encode_request("m", Message([], parameters={"p": value}), trace=False)


TYPED: list[tuple[str, str, list[Any]]] = [
    ("BOOL", "bool_contents", [True, False]),
    ("UINT8", "uint_contents", [0, 255]),
    ("UINT16", "uint_contents", [0, 65535]),
    ("UINT32", "uint_contents", [0, 2**32 - 1]),
    ("UINT64", "uint64_contents", [0, 2**64 - 1]),
    ("INT8", "int_contents", [-128, 127]),
    ("INT16", "int_contents", [-(2**15), 2**15 - 1]),
    ("INT32", "int_contents", [-(2**31), 2**31 - 1]),
    ("INT64", "int64_contents", [-(2**63), 2**63 - 1]),
    ("FP32", "fp32_contents", [0.5, float("inf")]),
    ("FP64", "fp64_contents", [0.1, -0.0]),
    ("BYTES", "bytes_contents", [b"a", b"\xff"]),
]


def answer(
    datatype: str, shape: list[int], raw: list[bytes] | None = None, **contents: Any
) -> pb.ModelInferResponse:
    tensor = pb.ModelInferResponse.InferOutputTensor(name="y", datatype=datatype, shape=shape)
    if contents:
        tensor.contents.CopyFrom(pb.InferTensorContents(**contents))
    return pb.ModelInferResponse(id="other", outputs=[tensor], raw_output_contents=raw or [])


@pytest.mark.parametrize(("datatype", "field", "values"), TYPED)
def test_typed_answers(datatype: str, field: str, values: list[Any]) -> None:
    message = decode_answer(answer(datatype, [2, 1], **{field: values}), "7")
    assert message.id == "7"
    assert message.tensors[0].datatype == datatype
    assert message.tensors[0].data.tolist() == [[value] for value in values]


def test_answers_may_mix_raw_and_typed_contents() -> None:
    mixed = answer("INT32", [1], int_contents=[5])
    mixed.outputs.add(name="z", datatype="INT8", shape=[2])
    mixed.raw_output_contents.append(b"\1\2")
    message = decode_answer(mixed, "")
    assert [tensor.data.tolist() for tensor in message.tensors] == [[5], [1, 2]]


def test_announced_base64_is_decoded() -> None:
    encoded = answer("BYTES", [1], bytes_contents=[b"/w=="])
    encoded.outputs[0].parameters["content_type"].string_param = "base64"
    assert decode_answer(encoded, "").tensors[0].data.tolist() == [b"\xff"]


@pytest.mark.parametrize(
    ("malformed", "text"),
    [
        (answer("FP8", [1], raw=[b"\0"]), "tensor 'y' has datatype 'FP8'; accepted: BOOL"),
        (answer("INT8", [-1], raw=[b"\0"]), r"shape \[-1\]"),
        (answer("INT8", [2], raw=[b"\0"]), r"shape \[2\] of INT8 takes 2 bytes.* have 1"),
        (answer("INT8", [1], raw=[b"\0", b"\0"]), "1 tensors came with 2 raw contents"),
        (answer("INT8", [1], int_contents=[128]), "out of the range -128 to 127"),
        (answer("INT8", [2], int_contents=[1]), r"shape \[2\] holds 2 values.*int_contents has 1"),
        (answer("INT8", [1]), r"shape \[1\] holds 1 values, but int_contents has 0"),
        (answer("FP32", [1], fp64_contents=[1.0]), "it has fp64_contents; accepted for FP32"),
        (answer("FP16", [1], fp32_contents=[1.0]), "it has fp32_contents; accepted for FP16"),
        (answer("FP16", [1]), "typed contents cannot hold FP16; accepted: raw contents"),
    ],
)
def test_malformed_answers_are_the_stage_s_failure(
    malformed: pb.ModelInferResponse, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        decode_answer(malformed, "")


def aborting(code: grpc.StatusCode, details: str, trailers: Any = ()) -> Any:
    async def handler(request: Any, context: Any) -> Any:
        await context.abort(code, details, trailers)

    return handler


ERRORS: list[tuple[grpc.StatusCode, str, type[InfergraphError], str]] = [
    (grpc.StatusCode.INVALID_ARGUMENT, "bad x", InvalidInput, "bad x"),
    (
        grpc.StatusCode.INVALID_ARGUMENT,
        "Model m is not ready yet.",
        StageUnavailable,
        "{url} is unavailable: Model m is not ready yet.",
    ),
    (grpc.StatusCode.OUT_OF_RANGE, "bad x", InvalidInput, "bad x"),
    (grpc.StatusCode.NOT_FOUND, "no model m", UnknownModel, "no model m"),
    (grpc.StatusCode.NOT_FOUND, "", UnknownModel, "NOT_FOUND"),
    (grpc.StatusCode.FAILED_PRECONDITION, "shape", MalformedRequest, "shape"),
    (grpc.StatusCode.UNAVAILABLE, "loading", StageUnavailable, "{url} is unavailable: loading"),
    (grpc.StatusCode.DEADLINE_EXCEEDED, "model m: late", DeadlineExceeded, "model m: late"),
    (grpc.StatusCode.RESOURCE_EXHAUSTED, "quota", Overloaded, "quota"),
    (grpc.StatusCode.INTERNAL, "model m: it failed", StageFailure, "model m: it failed"),
    (grpc.StatusCode.UNKNOWN, "m : broken", StageFailure, "m : broken"),
    (grpc.StatusCode.CANCELLED, "by server", StageFailure, "gRPC CANCELLED: by server"),
    (grpc.StatusCode.UNIMPLEMENTED, "", StageFailure, "gRPC UNIMPLEMENTED"),
    (grpc.StatusCode.UNAUTHENTICATED, "token", StageFailure, "gRPC UNAUTHENTICATED: token"),
]


@pytest.mark.parametrize(("code", "details", "kind", "text"), ERRORS)
async def test_codes_become_errors(
    grpc_peer: GrpcPeer,
    over_grpc: Transport,
    code: grpc.StatusCode,
    details: str,
    kind: type[InfergraphError],
    text: str,
) -> None:
    grpc_peer.handler = aborting(code, details)
    with pytest.raises(InfergraphError) as caught:
        await over_grpc.infer("m", MESSAGE, RequestContext())
    assert type(caught.value) is kind
    assert str(caught.value) == text.format(url=grpc_peer.url)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, Overloaded),
        (grpc.StatusCode.INVALID_ARGUMENT, Rejected),
    ],
)
async def test_a_server_of_ours_says_which_error_it_is(
    grpc_peer: GrpcPeer,
    over_grpc: Transport,
    code: grpc.StatusCode,
    kind: type[InfergraphError],
) -> None:
    trailers = (("infergraph-error", kind.__name__),)
    grpc_peer.handler = aborting(code, "model m: as it says", trailers)
    with pytest.raises(kind, match=r"\Amodel m: as it says\Z") as caught:
        await over_grpc.infer("m", MESSAGE, RequestContext())
    assert type(caught.value) is kind


async def test_tracebacks_and_long_texts_are_cut(grpc_peer: GrpcPeer, over_grpc: Transport) -> None:
    traceback = "broken\nTraceback (most recent call last)\n File 'secret.py'"
    grpc_peer.handler = aborting(grpc.StatusCode.INTERNAL, traceback)
    with pytest.raises(StageFailure, match=r"\Abroken\Z"):
        await over_grpc.infer("m", MESSAGE, RequestContext())
    grpc_peer.handler = aborting(grpc.StatusCode.INTERNAL, "x" * 5000)
    with pytest.raises(StageFailure, match=r"\Ax{1000}\.\.\.\Z"):
        await over_grpc.infer("m", MESSAGE, RequestContext())


async def test_messages_beyond_the_server_s_limit() -> None:
    peer = GrpcPeer()
    await peer.start(max_receive_length=1000)
    transport = connect(peer.url)
    message = Message([Tensor.of_bytes("audio", [bytes(2000)])])
    with pytest.raises(InvalidInput) as caught:
        await transport.infer("m", message, RequestContext())
    assert f"the message is larger than {peer.url} accepts" in str(caught.value)
    assert "grpc_max_message_length" in str(caught.value)
    await transport.close()
    await peer.stop()


async def test_an_endpoint_that_nobody_listens_at(unused_tcp_port: int) -> None:
    url = f"grpc://127.0.0.1:{unused_tcp_port}"
    transport = connect(url)
    with pytest.raises(StageUnavailable, match=rf"\A{url} is unavailable: .*refused"):
        await transport.infer("m", MESSAGE, RequestContext())
    with pytest.raises(StageUnavailable, match=url):
        await transport.declaration("m")
    await transport.close()


async def test_a_server_that_stops_during_a_call() -> None:
    peer = GrpcPeer()
    await peer.start()
    called = asyncio.Event()

    async def never(request: Any, context: Any) -> Any:
        called.set()
        await asyncio.Event().wait()

    peer.handler = never
    transport = connect(peer.url)
    call = asyncio.create_task(transport.infer("m", MESSAGE, RequestContext()))
    await called.wait()
    await peer.stop()
    with pytest.raises(StageUnavailable, match=peer.url):
        await call
    await transport.close()


async def test_the_hop_s_headers(grpc_peer: GrpcPeer, over_grpc: Transport) -> None:
    context = RequestContext(Deadline.after_ms(60_000), headers={"X-Tenant": "a", "x-odd": "\xe9"})
    await over_grpc.infer("m", MESSAGE, context)
    (headers,) = grpc_peer.headers
    assert headers["seldon-model"] == "m"
    assert headers["x-tenant"] == "a"
    assert "x-odd" not in headers
    # What is left, not what there was.
    assert 0 < float(headers["infergraph-timeout-ms"]) < 60_000
    (seconds,) = grpc_peer.seconds_left
    assert seconds is not None
    assert 0 < seconds < 61  # gRPC rounds up to tenths of a second


async def test_without_a_deadline_there_is_no_limit(
    grpc_peer: GrpcPeer, over_grpc: Transport
) -> None:
    await over_grpc.infer("m", MESSAGE, RequestContext())
    assert "infergraph-timeout-ms" not in grpc_peer.headers[0]
    assert grpc_peer.seconds_left == [None]


async def test_a_passed_deadline_sends_nothing(grpc_peer: GrpcPeer, over_grpc: Transport) -> None:
    with pytest.raises(DeadlineExceeded, match=f"{grpc_peer.url}: the deadline of 5 ms passed"):
        await over_grpc.infer("m", MESSAGE, RequestContext(Deadline(0.0, 5)))
    assert grpc_peer.requests == []


async def blocked(
    peer: GrpcPeer, transport: Transport, context: RequestContext
) -> tuple[asyncio.Task[Message], asyncio.Event]:
    """A call that the server has taken and does not answer, and an event for its end there."""
    called, ended = asyncio.Event(), asyncio.Event()

    async def never(request: Any, context: Any) -> Any:
        called.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    peer.handler = never
    call = asyncio.create_task(transport.infer("m", MESSAGE, context))
    await called.wait()
    return call, ended


async def test_the_deadline_ends_the_call_on_both_sides(
    grpc_peer: GrpcPeer, over_grpc: Transport
) -> None:
    context = RequestContext(Deadline.after_ms(200))
    call, ended = await blocked(grpc_peer, over_grpc, context)
    with pytest.raises(DeadlineExceeded, match=f"{grpc_peer.url}: the deadline of 200 ms passed"):
        await call
    await asyncio.wait_for(ended.wait(), 10)


async def test_cancelling_reaches_the_server(grpc_peer: GrpcPeer, over_grpc: Transport) -> None:
    call, ended = await blocked(grpc_peer, over_grpc, RequestContext())
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(ended.wait(), 10)


async def test_answers_bring_parameters_and_a_trace(
    grpc_peer: GrpcPeer, over_grpc: Transport
) -> None:
    async def handler(request: pb.ModelInferRequest, context: Any) -> pb.ModelInferResponse:
        assert request.parameters["trace"].bool_param
        response = pb.ModelInferResponse(model_name="m", id="changed")
        response.parameters["trace"].string_param = '{"model":"m","queue_us":3}'
        response.parameters["beams"].int64_param = 4
        return response

    grpc_peer.handler = handler
    answered = await over_grpc.infer("m", MESSAGE, RequestContext(trace=True))
    assert answered == Message([], "7", {"beams": 4}, {"model": "m", "queue_us": 3})


async def test_declaration(grpc_peer: GrpcPeer, over_grpc: Transport) -> None:
    tensor = pb.ModelMetadataResponse.TensorMetadata
    grpc_peer.metadata = pb.ModelMetadataResponse(
        name="m",
        inputs=[tensor(name="x", datatype="FP32", shape=[-1, 3])],
        outputs=[
            tensor(name="y", datatype="BYTES", shape=[-1, 1]),
            tensor(name="z", datatype="BF16", shape=[-1]),
        ],
        parameters={"optional_outputs": pb.InferParameter(string_param='["z"]')},
    )
    declaration = await over_grpc.declaration("m")
    assert declaration.name == "m"
    assert declaration.inputs == (TensorSpec("x", "FP32", (-1, 3)),)
    assert declaration.outputs == (
        TensorSpec("y", "BYTES", (-1, 1)),
        TensorSpec("z", "BF16", (-1,), optional=True),
    )


@pytest.mark.parametrize(
    ("extensions", "kind", "value"),
    [([], "string_param", "0.1"), (["parameters"], "double_param", 0.1)],
)
async def test_fractions_go_as_numbers_to_servers_that_know_them(
    grpc_peer: GrpcPeer, over_grpc: Transport, extensions: list[str], kind: str, value: Any
) -> None:
    seen: list[bytes] = []

    async def handler(request: pb.ModelInferRequest, context: Any) -> pb.ModelInferResponse:
        # MLServer's class keeps the field that it does not know.
        seen.append(request.SerializeToString())
        return pb.ModelInferResponse()

    grpc_peer.extensions, grpc_peer.handler = extensions, handler
    message = Message(MESSAGE.tensors, "7", {"ratio": 0.1})
    for _ in range(2):
        await over_grpc.infer("m", message, RequestContext())

    parameter = codec.Call(seen[0], 10_000).header.parameters["ratio"]
    assert parameter.WhichOneof("parameter_choice") == kind
    assert getattr(parameter, kind) == value
    assert grpc_peer.asked_for_extensions == 1
