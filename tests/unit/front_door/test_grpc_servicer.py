"""The gRPC service, asked in bytes by a client of grpc.aio."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import mlserver
import numpy as np
import pytest
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from infergraph.errors import (
    DeadlineExceeded,
    InfergraphError,
    InvalidInput,
    MalformedRequest,
    Overloaded,
    StageFailure,
)
from infergraph.v2 import Message, Tensor
from infergraph.v2.grpc import decode_response, encode_request
from infergraph.v2.schema import (
    REPOSITORY_SERVICE,
    SERVICE,
    ModelInferRequest,
    ModelInferResponse,
    ModelStreamInferResponse,
)
from tests.unit.front_door.conftest import Serve
from tests.unit.front_door.front import Echo, Front, GrpcClient, settle
from tests.unit.v2.samples import SAMPLES, sample

NUMBERS = Message([Tensor.of("x", np.array([[1, 2]], np.int16))], "seven")


def body_of(
    message: Message = NUMBERS, model: str = "echo", version: str = "", **parameters: Any
) -> bytes:
    return encode_request(model, version, message, parameters)


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def trailers_of(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    return {each[0]: each[1] for each in error.trailing_metadata() or ()}


@pytest.fixture
async def client(front: Front) -> AsyncIterator[GrpcClient]:
    async with front.grpc() as client:
        yield client


# Inference


async def test_each_datatype_comes_back_in_the_form_in_which_it_went(client: GrpcClient) -> None:
    tensors = [sample(datatype, datatype) for datatype in SAMPLES]

    answer = await client.infer(body_of(Message(tensors, "seven"), beams=4, ratio=0.5))

    response = ModelInferResponse.FromString(answer)
    assert (response.model_name, response.model_version, response.id) == ("echo", "", "seven")
    assert len(response.raw_output_contents) == len(tensors)
    message, parameters = decode_response(answer, "")
    assert parameters == {"beams": 4, "ratio": 0.5}
    for given, came in zip(tensors, message.tensors, strict=True):
        assert (came.name, came.datatype) == (given.name, given.datatype)
        np.testing.assert_array_equal(came.data, given.data)


async def test_typed_contents_come_back_typed(client: GrpcClient) -> None:
    request = ModelInferRequest(model_name="echo", id="seven")
    given = request.inputs.add(name="x", datatype="INT64", shape=[2])
    given.contents.int64_contents.extend([7, -8])

    response = ModelInferResponse.FromString(await client.infer(request.SerializeToString()))

    assert list(response.outputs[0].contents.int64_contents) == [7, -8]
    assert not response.raw_output_contents


async def test_a_large_tensor(client: GrpcClient) -> None:
    values = np.random.default_rng(0).random(1_000_000, np.float32)

    answer = await client.infer(body_of(Message([Tensor.of("x", values)])))

    np.testing.assert_array_equal(decode_response(answer, "")[0].tensors[0].data, values)


async def test_many_strings_and_many_typed_values(client: GrpcClient) -> None:
    request = ModelInferRequest(model_name="echo")
    texts = request.inputs.add(name="t", datatype="BYTES", shape=[5000])
    texts.contents.bytes_contents.extend([b"a"] * 5000)
    numbers = request.inputs.add(name="n", datatype="INT64", shape=[50_000])
    numbers.contents.int64_contents.extend([2**40] * 50_000)

    response = ModelInferResponse.FromString(await client.infer(request.SerializeToString()))

    assert [each.contents for each in response.outputs] == [
        each.contents for each in request.inputs
    ]


async def test_versions(front: Front, client: GrpcClient) -> None:
    await front.load(Echo, "many", "2")
    await front.load(Echo, "many", "10")

    for asked, answered in (("", "10"), ("10", "10"), ("2", "2")):
        answer = await client.infer(body_of(model="many", version=asked))
        assert ModelInferResponse.FromString(answer).model_version == answered
    error = await refusal(client.infer(body_of(model="many", version="3")))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert "no version '3' that is loaded; accepted: '2', '10'" in str(error.details())


@pytest.mark.parametrize("id", ["", "Zürich \U0001f600", "a" * 100_000, "a\nb\x00"])
async def test_any_id_comes_back(client: GrpcClient, id: str) -> None:
    answer = await client.infer(body_of(Message([], id)))

    assert ModelInferResponse.FromString(answer).id == id


async def test_what_accompanies_a_call_reaches_the_model(front: Front, client: GrpcClient) -> None:
    model = await front.load(Echo)

    await client.infer(
        body_of(trace=True),
        infergraph_timeout_ms="60000",
        x_tenant="a",
        authorization="Bearer secret",
    )
    await client.infer(body_of(), timeout=30)

    first, second = model.contexts
    assert first.trace
    assert first.headers == {"x-tenant": "a"}
    assert first.deadline is not None
    assert first.deadline.budget_ms == 60000
    assert model.messages[0].parameters == {}
    # gRPC's own is not handed on: it cancels the call by itself, as below.
    assert second.deadline is None


async def test_only_the_outputs_that_are_asked_for(client: GrpcClient) -> None:
    request = ModelInferRequest.FromString(
        body_of(Message([sample("FP32", "a"), sample("FP32", "b")]))
    )
    request.outputs.add(name="b").parameters["classification"].int64_param = 1

    answer = await client.infer(request.SerializeToString())

    (found,) = decode_response(answer, "")[0].tensors
    assert (found.name, found.datatype) == ("b", "BYTES")
    assert found.data.tolist() == [[b"0.250000:0"], [b"-3.000000:0"]]


# What is refused


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT, "not a ModelInferRequest of V2"),
        (b"", grpc.StatusCode.NOT_FOUND, "model '' is not loaded"),
        (body_of(model="absent"), grpc.StatusCode.NOT_FOUND, "model 'absent' is not loaded"),
        (body_of(model="é" * 5000), grpc.StatusCode.NOT_FOUND, "model 'éé"),
        (
            body_of() + b"\x3a\x01a",
            grpc.StatusCode.INVALID_ARGUMENT,
            "1 tensors came with 2 raw contents",
        ),
    ],
)
async def test_what_is_no_request(
    client: GrpcClient, body: bytes, code: grpc.StatusCode, text: str
) -> None:
    error = await refusal(client.infer(body))

    assert error.code() is code
    assert str(error.details()).startswith(text)
    assert len(str(error.details())) < 2100


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput("tensor 'x' is odd"), grpc.StatusCode.INVALID_ARGUMENT),
        (MalformedRequest("tensor 'x' is odd"), grpc.StatusCode.INVALID_ARGUMENT),
        (StageFailure("broken é"), grpc.StatusCode.INTERNAL),
        (Overloaded("queue full"), grpc.StatusCode.UNAVAILABLE),
        (DeadlineExceeded("too late"), grpc.StatusCode.DEADLINE_EXCEEDED),
        (InvalidInput("long " * 100_000), grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_a_models_error_has_its_code_text_and_class(
    front: Front, client: GrpcClient, error: InfergraphError, code: grpc.StatusCode
) -> None:
    (await front.load(Echo)).error = error

    got = await refusal(client.infer(body_of()))

    assert got.code() is code
    assert str(error).startswith(str(got.details()).removesuffix("..."))
    assert trailers_of(got)["infergraph-error"] == type(error).__name__


async def test_an_unexpected_error_is_not_told(front: Front, client: GrpcClient) -> None:
    (await front.load(Echo)).error = ValueError("secret")

    error = await refusal(client.infer(body_of()))

    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == (
        "model 'echo': it failed with ValueError; the server's log has the details"
    )


async def test_a_timeout_that_is_none(client: GrpcClient) -> None:
    error = await refusal(client.infer(body_of(), infergraph_timeout_ms="soon"))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "header infergraph-timeout-ms: 'soon' is not a time" in str(error.details())


async def test_a_call_that_is_cancelled_ends_the_models_work(
    front: Front, client: GrpcClient
) -> None:
    model = await front.load(Echo)
    model.gate = asyncio.Event()
    call = client.infer(body_of())
    waiting = asyncio.ensure_future(call)
    await model.entered.wait()

    waiting.cancel()

    await asyncio.wait_for(model.ended.wait(), 30)
    assert front.desk.admission.in_flight == front.desk.admission.bytes_held == 0


async def test_a_call_whose_time_is_over_ends_the_models_work(
    front: Front, client: GrpcClient
) -> None:
    model = await front.load(Echo)
    model.gate = asyncio.Event()

    error = await refusal(client.infer(body_of(), timeout=0.2))

    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(model.ended.wait(), 30)


async def test_an_unknown_call(client: GrpcClient) -> None:
    error = await refusal(client.channel.unary_unary(f"/{SERVICE}/Nothing")(b""))

    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


class Tracer:
    """An interceptor is too late to see sizes on the wire, so the channel goes through this."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.down = 0

    async def __aenter__(self) -> Tracer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, onward = await asyncio.open_connection("127.0.0.1", self._port)

        async def pump(
            source: asyncio.StreamReader, target: asyncio.StreamWriter, counts: bool
        ) -> None:
            while data := await source.read(65_536):
                self.down += len(data) if counts else 0
                target.write(data)
            target.close()

        await asyncio.gather(pump(reader, onward, False), pump(back, writer, True))


@pytest.mark.parametrize(
    ("metadata", "compressed"),
    [
        ({}, False),
        ({"accept_encoding": "gzip"}, True),
        ({"accept_encoding": "gzip;q=0"}, False),
        ({"accept_encoding": "identity"}, False),
    ],
)
async def test_an_answer_is_compressed_when_the_call_asks_for_it(
    client: GrpcClient, metadata: dict[str, str], compressed: bool
) -> None:
    content = Message([Tensor.of_bytes("t", [b"the same again " * 2_000])])
    async with (
        Tracer(client.port) as tracer,
        grpc.aio.insecure_channel(tracer.address) as channel,
    ):
        answer = await GrpcClient(channel, client.port).infer(body_of(content), **metadata)

    assert decode_response(answer, "")[0].tensors[0].data.tolist() == (
        content.tensors[0].data.tolist()
    )
    assert (tracer.down < 2_000) is compressed
    assert (tracer.down > 30_000) is not compressed


# Streams


def parts_of(style: str, sent: list[bytes]) -> list[Any]:
    """The texts of errors, and the values of answers."""
    found: list[Any] = []
    for each in sent:
        if style == "mlserver":
            found.append(decode_response(each, "")[0].tensors[0].data.tolist())
            continue
        response = ModelStreamInferResponse.FromString(each)
        if response.error_message:
            found.append((response.infer_response.id, response.error_message))
        else:
            inner = response.infer_response.SerializeToString()
            found.append(decode_response(inner, "")[0].tensors[0].data.tolist())
    return found


async def streamed(client: GrpcClient, *bodies: bytes) -> list[bytes]:
    stream = client.stream()
    for body in bodies:
        await stream.write(body)
    await stream.done_writing()
    return [each async for each in stream]


@pytest.mark.parametrize("style", ["triton", "mlserver"])
async def test_a_stream_answers_its_requests_in_turn_each_in_parts(
    serve: Serve, style: str
) -> None:
    front = await serve(grpc_stream=style)
    await front.load(Echo)
    async with front.grpc() as client:
        sent = await streamed(client, body_of(parts=2), body_of(parts=0), body_of(parts=1))

    assert parts_of(style, sent) == [[0], [1], [0]]
    last = sent[-1]
    if style == "triton":
        last = ModelStreamInferResponse.FromString(last).infer_response.SerializeToString()
    response = ModelInferResponse.FromString(last)
    assert (response.model_name, response.id) == ("echo", "seven")


async def test_a_stream_as_triton_does_it_goes_on_after_an_error(
    front: Front, client: GrpcClient
) -> None:
    failing = await front.load(Echo, "failing")
    failing.error = ValueError("secret")

    sent = await streamed(
        client,
        body_of(model="absent"),
        body_of(parts=1),
        b"\xff\xff",
        body_of(model="failing", parts=1),
        body_of(parts=1),
    )

    found = parts_of("triton", sent)
    assert found[0] == ("seven", "model 'absent' is not loaded")
    assert found[1] == [0]
    assert found[2][1].startswith("not a ModelInferRequest of V2")
    assert found[3] == [0]
    assert found[4][1] == (
        "model 'failing': it failed with ValueError; the server's log has the details"
    )
    assert found[5:] == [[0]]
    assert front.desk.admission.in_flight == front.desk.admission.bytes_held == 0


async def test_a_stream_as_mlserver_does_it_ends_with_an_error(serve: Serve) -> None:
    front = await serve(grpc_stream="mlserver")
    await front.load(Echo)
    async with front.grpc() as client:
        error = await refusal(streamed(client, body_of(parts=1), body_of(model="absent")))

    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details() == "model 'absent' is not loaded"
    assert trailers_of(error)["infergraph-error"] == "UnknownModel"


async def test_each_part_is_sent_as_it_comes(front: Front, client: GrpcClient) -> None:
    model = await front.load(Echo)
    model.gate = asyncio.Event()
    stream = client.stream()
    await stream.write(body_of(parts=2))

    assert parts_of("triton", [await stream.read()]) == [[0]]
    model.gate.set()
    assert parts_of("triton", [await stream.read()]) == [[1]]
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF


@pytest.mark.parametrize("style", ["triton", "mlserver"])
async def test_a_stream_that_is_cancelled_ends_the_models_work(
    serve: Serve, style: str, caplog: pytest.LogCaptureFixture
) -> None:
    front = await serve(grpc_stream=style)
    model = await front.load(Echo)
    model.gate = asyncio.Event()
    async with front.grpc() as client:
        stream = client.stream()
        await stream.write(body_of(parts=2))
        await stream.read()
        stream.cancel()
        await asyncio.wait_for(model.ended.wait(), 30)

    assert front.desk.admission.in_flight == front.desk.admission.bytes_held == 0
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []


class Endless(MLModel):
    """A model that is not ours, and streams until it is closed."""

    ended = asyncio.Event()

    async def predict_stream(
        self, payloads: AsyncIterator[InferenceRequest]
    ) -> AsyncIterator[InferenceResponse]:
        try:
            async for _ in payloads:
                while True:
                    data = ResponseOutput(name="y", datatype="INT8", shape=[1], data=[1])
                    yield InferenceResponse(model_name=self.name, outputs=[data])
                    await asyncio.sleep(0)
        finally:
            self.ended.set()


@pytest.mark.filterwarnings("ignore:The `construct` method is deprecated")
async def test_a_cancelled_stream_of_a_stock_model_ends_its_work(
    front: Front, client: GrpcClient, caplog: pytest.LogCaptureFixture
) -> None:
    model = await front.load(Endless)
    model.ended = asyncio.Event()
    stream = client.stream()
    await stream.write(body_of(model="endless"))
    await stream.read()

    stream.cancel()

    await asyncio.wait_for(model.ended.wait(), 30)
    await settle()
    assert front.desk.admission.in_flight == 0
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []


async def test_a_stream_without_requests(client: GrpcClient) -> None:
    assert await streamed(client) == []


# Everything else


async def test_live_ready_and_metadata_of_the_server(serve: Serve) -> None:
    front = await serve()
    async with front.grpc() as client:
        assert (await client.call("ServerLive")).live
        assert not (await client.call("ServerReady")).ready
        await front.load(Echo)
        assert (await client.call("ServerReady")).ready
        metadata = await client.call("ServerMetadata")

    assert (metadata.name, metadata.version) == ("mlserver", mlserver.__version__)
    assert list(metadata.extensions) == [
        "binary_tensor_data",
        "classification",
        "model_repository",
        "parameters",
        "infergraph_kept_calls",
    ]


async def test_readiness_of_models(front: Front, client: GrpcClient) -> None:
    model = await front.load(Echo)
    assert (await client.call("ModelReady", name="echo")).ready
    model.ready = False
    assert not (await client.call("ModelReady", name="echo")).ready
    for fields in ({"name": "absent"}, {"name": "echo", "version": "9"}):
        error = await refusal(client.call("ModelReady", **fields))
        assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_metadata_of_models(front: Front, client: GrpcClient) -> None:
    await front.load(Echo, "many", "2")
    await front.load(Echo, "many", "10")

    metadata = await client.call("ModelMetadata", name="many")

    assert (metadata.name, list(metadata.versions)) == ("many", ["2", "10"])
    error = await refusal(client.call("ModelMetadata", name="absent"))
    assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_declared_tensors_and_parameters_of_metadata(serve: Serve, tmp_path: Path) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [-1, 3], "parameters": {"a": "b"}}
    (tmp_path / "model-settings.json").write_text(
        json.dumps(
            {
                "name": "declared",
                "implementation": "tests.unit.front_door.front.Echo",
                "platform": "of ours",
                "inputs": [tensor],
                "outputs": [{**tensor, "name": "y", "parameters": None}],
            }
        )
    )
    front = await serve()
    async with front.grpc() as client:
        await client.call("RepositoryModelLoad", model_name="declared")
        metadata = await client.call("ModelMetadata", name="declared")

    assert metadata.platform == "of ours"
    (x,), (y,) = metadata.inputs, metadata.outputs
    assert (x.name, x.datatype, list(x.shape)) == ("x", "FP32", [-1, 3])
    assert x.parameters["a"].string_param == "b"
    assert (y.name, dict(y.parameters)) == ("y", {})


@pytest.mark.parametrize("service", [SERVICE, REPOSITORY_SERVICE])
async def test_the_repository_under_both_names_of_its_service(
    serve: Serve, tmp_path: Path, service: str
) -> None:
    settings = {"name": "one", "implementation": "tests.unit.front_door.front.Echo"}
    (tmp_path / "model-settings.json").write_text(json.dumps(settings))
    front = await serve()
    async with front.grpc() as client:

        async def states(**fields: Any) -> dict[str, str]:
            found = await client.call("RepositoryIndex", service, **fields)
            return {each.name: each.state for each in found.models}

        assert await states() == {"one": "UNAVAILABLE"}
        await client.call("RepositoryModelLoad", service, model_name="one")
        assert await states(ready=True) == {"one": "READY"}
        assert (await client.infer(body_of(model="one"))) != b""
        await client.call("RepositoryModelUnload", service, model_name="one")
        assert await states(ready=True) == {}
        for method in ("RepositoryModelLoad", "RepositoryModelUnload"):
            error = await refusal(client.call(method, service, model_name="absent"))
            assert error.code() is grpc.StatusCode.NOT_FOUND
            assert "absent" in str(error.details())


async def test_a_message_that_is_none(client: GrpcClient) -> None:
    error = await refusal(client.channel.unary_unary(f"/{SERVICE}/ModelReady")(b"\xff\xff"))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(error.details()).startswith("not a ModelReadyRequest of V2")
