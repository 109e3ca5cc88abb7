"""Requests as bytes, each with an id of its own, and answers from bytes."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pytest

from infergraph.v2 import NUMPY_DTYPES, Message, Tensor, grpc, rest
from infergraph.v2.request import Form, Limits, RequestedOutput
from infergraph.v2.schema import METHODS, ModelInferResponse, ModelStreamInferResponse
from infergraph.v2.values import round_to_bf16
from infergraph_clients.errors import UsageError
from infergraph_clients.payloads import Metadata, Payload
from infergraph_clients.transports import Answer, Codec, Endpoint, Exchange, Route, Tls
from infergraph_clients.transports.codec import unwrapped

REST, GRPC = "http://h:8080/mesh", "grpc://h:8081"
ModelInferRequest = METHODS["ModelInfer"].request
PAYLOAD = Payload(
    "p",
    [
        *(
            Tensor(datatype, datatype, np.array([[0, 1]]).astype(dtype), {"kind": "a"})
            for datatype, dtype in NUMPY_DTYPES.items()
            if datatype != "BYTES"
        ),
        Tensor.of_bytes("text", ["é".encode(), b""]),
        Tensor.of_bytes("media", [b"\xff\x00"]),
        Tensor("given", "BYTES", np.array([b"abc"], object), {"content_type": "base64"}),
        Tensor("numbers", "FP32", np.array([np.nan], "f4"), {"content_type": "base64"}),
    ],
    {"beams": 2, "greedy": True, "language": "de", "penalty": 0.5},
    [RequestedOutput("summary", parameters={"classification": 2, "own": "x"})],
)


def codec(url: str, **settings: Any) -> Codec:
    return Codec(Route(Endpoint.parse(url), "m", **settings).settled(Metadata()))


def sent(made: Codec, payload: Payload = PAYLOAD, index: int = 0, **how: Any) -> bytes:
    template = made.encode(payload, **how)
    return template.request(index, template.id(index))


def split(request: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert int(headers["content-length"]) == len(body)
    return {"": lines[0], **headers}, body


def received(request: bytes) -> tuple[dict[str, str], Any, Any]:
    """Headers, JSON and what a server makes of a request over REST."""
    headers, body = split(request)
    size = headers.get(rest.LENGTH_HEADER)
    json_size = int(size) if size else None
    document = orjson.loads(body if json_size is None else body[:json_size])
    return headers, document, rest.decode_request(body, json_size, Limits())


def check_tensors(found: Sequence[Tensor], wanted: Sequence[Tensor] = PAYLOAD.tensors) -> None:
    assert [(each.name, each.datatype, each.shape) for each in found] == [
        (each.name, each.datatype, each.shape) for each in wanted
    ]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.data, other.data)


@pytest.mark.parametrize("form", ["json", "base64", "binary"])
def test_rest(form: str) -> None:
    headers, document, request = received(sent(codec(REST, format=form), trace=True))
    assert headers[""] == "POST /mesh/v2/models/m/infer HTTP/1.1"
    assert headers["content-type"] == (
        "application/octet-stream" if form == "binary" else "application/json"
    )
    assert document["parameters"] == {
        **PAYLOAD.parameters,
        "trace": True,
        **({"binary_data_output": True} if form == "binary" else {}),
    }
    binary = {"binary_data": True} if form == "binary" else {}
    assert document["outputs"] == [
        {"name": "summary", "parameters": {**binary, "classification": 2, "own": "x"}}
    ]
    check_tensors(request.message.tensors)
    by_name = {each["name"]: each.get("parameters") for each in document["inputs"]}
    assert by_name["INT8"]["kind"] == "a"
    if form == "binary":
        assert all("data" not in each for each in document["inputs"])
        assert by_name["given"] == {"binary_data_size": 7}
    else:
        base64 = {"content_type": "base64"}
        assert by_name["media"] == by_name["given"] == by_name["numbers"] == base64
        assert by_name["text"] == (base64 if form == "base64" else None)


@pytest.mark.parametrize("form", ["raw", "typed"])
def test_grpc(form: str) -> None:
    holds = set(NUMPY_DTYPES) - ({"FP16", "BF16"} if form == "typed" else set())
    tensors = [tensor for tensor in PAYLOAD.tensors if tensor.datatype in holds]
    payload = Payload("p", tensors, PAYLOAD.parameters, PAYLOAD.outputs)
    body = sent(codec(GRPC, format=form), payload, trace=True)
    message = ModelInferRequest.FromString(body)
    assert (message.model_name, message.model_version) == ("m", "")
    assert message.parameters["trace"].bool_param
    assert message.parameters["beams"].int64_param == 2
    # MLServer knows no fractions.
    assert message.parameters["penalty"].string_param == "0.5"
    assert message.inputs[0].parameters["kind"].string_param == "a"
    assert "content_type" not in message.inputs[-1].parameters
    assert message.outputs[0].parameters["own"].string_param == "x"
    assert bool(message.raw_input_contents) is (form == "raw")
    check_tensors(grpc.Call(body, 1 << 30).decode(Limits()).message.tensors, tensors)


def test_what_metadata_settle() -> None:
    ours = Metadata(extensions=frozenset({"binary_tensor_data", "parameters"}))
    over_rest, over_grpc = (Route(Endpoint.parse(url), "m") for url in (REST, GRPC))
    assert (over_rest.settled(ours).format, over_rest.settled(Metadata()).format) == (
        "binary",
        "json",
    )
    assert over_grpc.settled(ours).format == "raw"
    # What was asked for stays.
    chosen = Route(Endpoint.parse(REST), "m", format="base64")
    assert chosen.settled(ours).format == "base64"
    exact = ModelInferRequest.FromString(sent(Codec(over_grpc.settled(ours))))
    assert exact.parameters["penalty"].double_param == 0.5


@pytest.mark.parametrize("url", [REST, GRPC])
def test_ids_are_unique(url: str) -> None:
    first, second = codec(url), codec(url)
    ids = set()
    for made in (first, second):
        template = made.encode(PAYLOAD)
        for index in (-1, 0, 1, 2**40):
            request = template.request(index, template.id(index))
            found = (
                ModelInferRequest.FromString(request).id
                if url == GRPC
                else received(request)[1]["id"]
            )
            assert found == template.id(index).decode()
            assert found.startswith(made.run)
            ids.add(found)
    assert len(ids) == 8
    payload = Payload("p", PAYLOAD.tensors, id="seven")
    own = sent(first, payload, own_id=True)
    assert (ModelInferRequest.FromString(own).id if url == GRPC else received(own)[1]["id"]) == (
        "seven"
    )


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("form", ["json", "binary"])
def test_compressed_requests_differ_in_their_ids_alone(coding: Any, form: Any) -> None:
    undo = {"gzip": gzip.decompress, "deflate": zlib.decompress}[coding]
    made, plain = codec(REST, format=form, compression=coding), codec(REST, format=form)
    texts = []
    for index in range(3):
        headers, body = split(sent(made, index=index))
        assert headers["content-encoding"] == headers["accept-encoding"] == coding
        texts.append(undo(body).replace(f"{made.run}-{index:016x}".encode(), b"ID"))
    assert texts[0] == texts[1] == texts[2]
    _, wanted = split(sent(plain))
    assert texts[0] == wanted.replace(f"{plain.run}-{0:016x}".encode(), b"ID")
    # Of one stream, for servers that read no second one.
    bits = zlib.MAX_WBITS | (16 if coding == "gzip" else 0)
    stream = zlib.decompressobj(bits)
    stream.decompress(split(sent(made))[1])
    assert stream.eof
    assert not stream.unused_data


def test_a_trace_begins_with_each_request() -> None:
    made = codec(REST, traceparent=True)
    found = [split(sent(made, index=index))[0]["traceparent"] for index in (0, 1)]
    assert found == [f"00-{made.run}{i:016x}-{i + 1:016x}-01" for i in (0, 1)]


def test_headers() -> None:
    made = codec(REST, headers={"Content-Type": "application/x", "X-Team": "a"}, stream=True)
    headers, _ = split(sent(made))
    assert headers[""].startswith("POST /mesh/v2/models/m/infer_stream ")
    assert (headers["content-type"], headers["x-team"]) == ("application/x", "a")


@pytest.mark.parametrize("form", ["json", "base64"])
def test_what_json_cannot_carry_is_refused(form: Any) -> None:
    payload = Payload("p", [Tensor.of("x", np.array([np.nan], np.float32))])
    with pytest.raises(UsageError, match="payload 'p': input 'x' holds NaN, which JSON cannot"):
        codec(REST, format=form).encode(payload)
    for other in (codec(REST, format="binary"), codec(GRPC)):
        other.encode(payload)
    given = Payload("p", payload.tensors, nulls=True)
    assert received(sent(codec(REST, format="json"), given))[1]["inputs"][0]["data"] == [None]


def test_what_typed_contents_cannot_carry_is_refused() -> None:
    payload = Payload("p", [Tensor.of("x", np.zeros(1, np.float16))])
    with pytest.raises(UsageError, match="payload 'p': input tensor 'x' is FP16, which typed"):
        codec(GRPC, format="typed").encode(payload)


@pytest.mark.parametrize(
    ("url", "settings", "problem"),
    [
        (REST, {"format": "raw"}, "format is 'raw', but http sends json or base64 or binary"),
        (GRPC, {"format": "json"}, "format is 'json', but grpc sends raw or typed"),
        (REST, {"tls": Tls(insecure=True)}, "tls options need https:// or grpcs://"),
        (REST, {"headers": {"a b": ""}}, "'a b' is no header name"),
    ],
)
def test_routes_that_contradict_themselves(url: str, settings: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        Route(Endpoint.parse(url), "m", **settings)


def ended(body: bytes, json_size: int | None = None, answers: int = 0) -> Exchange:
    exchange = Exchange(0, 0, False, 0, lambda _: None)
    exchange.body, exchange.json_size, exchange.answers = body, json_size, answers
    return exchange


def answer_json(*values: int, **more: Any) -> bytes:
    output = {"name": "n", "datatype": "INT64", "shape": [len(values), 1], "data": list(values)}
    return orjson.dumps({"model_name": "m", "id": "7", "outputs": [output], **more})


def answer_message(*values: int) -> Any:
    message = ModelInferResponse(model_name="m", id="7")
    message.outputs.add(name="n", datatype="INT64", shape=[len(values), 1])
    message.raw_output_contents.append(np.array(values, "<i8").tobytes())
    return message


def values_of(answer: Answer) -> list[int]:
    (tensor,) = answer.tensors
    assert tensor.shape == (tensor.data.size, 1)
    found: list[int] = tensor.data.ravel().tolist()
    return found


@pytest.mark.parametrize("form", ["json", "binary"])
def test_answers_over_rest(form: str) -> None:
    tensor = Tensor.of("n", np.array([[1], [2]]))
    parts, size = rest.encode_response(
        "m",
        None,
        Message([tensor], "7"),
        {"trace": '{"a": 5}'},
        rest.InferRequest(Message([]), [], Form.BINARY if form == "binary" else Form.JSON),
    )
    made, exchange = codec(REST), ended(b"".join(parts), size)
    answer = made.decode(exchange)
    assert (values_of(answer), answer.trace) == ([1, 2], {"a": 5})
    named = made.named(exchange, answer)
    assert (named.model, named.id) == ("m", "7")


def test_answers_over_grpc() -> None:
    made, exchange = codec(GRPC), ended(answer_message(1, 2).SerializeToString())
    answer = made.named(exchange, made.decode(exchange))
    assert (values_of(answer), answer.model, answer.id) == ([1, 2], "m", "7")


def test_a_stream_of_events_is_one_answer() -> None:
    body = b"".join(b"data: %s\n\n" % answer_json(n, parameters={"n": n}) for n in (1, 2, 3))
    made, exchange = codec(REST, stream=True), ended(b": hello\n\n" + body, answers=3)
    answer = made.named(exchange, made.decode(exchange))
    assert (values_of(answer), answer.parameters) == ([1, 2, 3], {"n": 3})
    assert (answer.model, answer.id) == ("m", "7")
    # A server may answer as a whole all the same.
    assert values_of(made.decode(ended(answer_json(4)))) == [4]


def test_a_stream_of_messages_is_one_answer() -> None:
    wrapped = [ModelStreamInferResponse(infer_response=answer_message(n)) for n in (1, 2)]
    parts = [unwrapped(each.SerializeToString()) for each in wrapped]
    # As MLServer sends them.
    parts.append(unwrapped(answer_message(3).SerializeToString()))
    assert [problem for _, problem in parts] == ["", "", ""]
    made = codec(GRPC, stream=True)
    answer = made.decode(ended(b"".join(part for part, _ in parts), answers=3))
    assert values_of(answer) == [1, 2, 3]
    failed = ModelStreamInferResponse(error_message="broken").SerializeToString()
    assert unwrapped(failed)[1] == "broken"
    with pytest.raises(ValueError, match="the message of a stream is not V2"):
        unwrapped(b"\xff")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"outputs": []}', b'{"outputs": [1]}'])
def test_what_is_no_answer_over_rest(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a V2|no outputs"):
        codec(REST).decode(ended(body))


@pytest.mark.parametrize("body", [b"", b"\xff", ModelInferResponse(id="7").SerializeToString()])
def test_what_is_no_answer_over_grpc(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"of V2|no outputs"):
        codec(GRPC).decode(ended(body))


@pytest.mark.parametrize(
    ("parameters", "trace"),
    [
        ({"trace": '{"duration_us": 5}'}, {"duration_us": 5}),
        ({}, None),
        ({"trace": True}, None),
        ({"trace": "no JSON"}, None),
        ({"trace": "[1]"}, None),
    ],
)
def test_the_trace_is_json_in_a_parameter(parameters: dict[str, Any], trace: Any) -> None:
    assert Answer([], parameters).trace == trace


def test_values_of_bf16_are_rounded() -> None:
    value = np.array([[0.1]], np.float32)
    payload = Payload("p", [Tensor("x", "BF16", value)])
    _, _, request = received(sent(codec(REST, format="binary"), payload))
    assert request.message.tensors[0].data == round_to_bf16(value)
