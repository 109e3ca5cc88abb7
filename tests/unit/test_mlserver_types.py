"""Messages as MLServer's types, whose values are lists, and back."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from mlserver.codecs.json import encode_to_json_bytes
from mlserver.types import (
    InferenceRequest,
    InferenceResponse,
    MetadataTensor,
    Parameters,
    RequestInput,
    RequestOutput,
    ResponseOutput,
    TensorData,
)

from infergraph.errors import InvalidInput, MalformedRequest, StageFailure, TooLarge
from infergraph.mlserver_types import (
    declared_specs,
    read_request,
    read_response,
    write_request,
    write_response,
)
from infergraph.request import RequestContext
from infergraph.tensors import TensorSpec
from infergraph.v2 import NUMPY_DTYPES, Message, Tensor, raw
from infergraph.v2.request import Form, InferRequest, RequestedOutput
from tests.unit.v2.samples import NUMERIC, SAMPLES, extremes, sample

ANNOUNCED = {"content_type": "base64"}
# MLServer's types know no BF16.
KNOWN = [datatype for datatype in SAMPLES if datatype != "BF16"]


def request_of(
    data: Any,
    datatype: str = "FP32",
    shape: list[int] | None = None,
    parameters: dict[str, Any] | None = None,
) -> InferenceRequest:
    """As over REST: through MLServer's own validation."""
    tensor = RequestInput.model_validate(
        {
            "name": "x",
            "datatype": datatype,
            "data": data,
            "parameters": parameters,
            "shape": [len(data)] if shape is None else shape,
        }
    )
    return InferenceRequest(inputs=[tensor])


def read(*args: Any, **kwargs: Any) -> Tensor:
    (tensor,) = read_request(request_of(*args, **kwargs))[0].message.tensors
    return tensor


def refusal(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(MalformedRequest) as caught:
        read(*args, **kwargs)
    return str(caught.value)


def context_of(parameters: Parameters | None) -> RequestContext:
    return read_request(InferenceRequest(inputs=[], parameters=parameters))[1]


@pytest.mark.parametrize("datatype", KNOWN)
def test_every_datatype(datatype: str) -> None:
    values = SAMPLES[datatype]
    tensor = read(values, datatype, [1, 2])

    expected = [value.encode() if isinstance(value, str) else value for value in values]
    assert (tensor.name, tensor.datatype) == ("x", datatype)
    assert tensor.data.dtype == NUMPY_DTYPES[datatype]
    assert tensor.data.tolist() == [expected]
    assert not tensor.data.flags.writeable


def test_nested_data_of_the_shape() -> None:
    assert read([[1, 2, 3], [4, 5, 6]], "INT32", [2, 3]).data.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert read([["a"], ["b"]], "BYTES", [2, 1]).data.tolist() == [[b"a"], [b"b"]]


@pytest.mark.parametrize("data", [[[1, 2], [3, 4]], [[1], [2], [3], [4]], [[1, 2, 3, 4], []]])
def test_nested_data_of_another_shape(data: list[Any]) -> None:
    assert refusal(data, "INT64", [1, 4]).startswith("tensor 'x': data is nested")


def test_a_single_value_of_no_dimension() -> None:
    assert read([3], shape=[]).shape == ()


@pytest.mark.parametrize("shape", [[3], [2, 2], [1], [0], [5, 5]])
def test_data_that_does_not_fill_its_shape(shape: list[int]) -> None:
    assert refusal([1.0, 2.0], shape=shape) == (
        f"tensor 'x': shape {shape} holds {int(np.prod(shape))} values, but data has 2"
    )


@pytest.mark.parametrize("shape", [[-1], [-1, -2], [2, -1]])
def test_negative_sizes(shape: list[int]) -> None:
    assert refusal([1.0, 2.0], shape=shape) == (
        f"tensor 'x' has shape {shape}; sizes cannot be negative"
    )


@pytest.mark.parametrize("shape", [[0, 2**70], [0, 2**62, 8], [1] * 100])
def test_impossible_shapes(shape: list[int]) -> None:
    refusal([1.0] * int(0 not in shape), shape=shape)


def test_more_than_a_request_may_hold() -> None:
    with pytest.raises(TooLarge, match="max_elements"):
        read([1.0], shape=[2**40])


@pytest.mark.parametrize(
    ("data", "kind"),
    [("audio", "str"), (None, "NoneType"), (7, "int"), ({"a": 1}, "dict"), (True, "bool")],
)
@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
def test_data_that_is_no_list(data: Any, kind: str, datatype: str) -> None:
    assert refusal(data, datatype, [1]) == (
        f"tensor 'x': data is {kind}; accepted: a list of values"
    )


def test_arrays_are_shared_not_copied() -> None:
    array = np.arange(6, dtype=np.float32)
    tensor = RequestInput.model_construct(
        name="x",
        datatype="FP32",
        shape=[2, 3],
        data=TensorData.model_construct(root=array),
        parameters=None,
    )

    request, _ = read_request(InferenceRequest.model_construct(inputs=[tensor]))

    decoded = request.message.tensors[0]
    assert decoded.shape == (2, 3)
    assert np.shares_memory(decoded.data, array)
    assert array.flags.writeable


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"RIFF....WAVE"])
def test_base64_is_decoded_where_it_is_announced(content: bytes) -> None:
    encoded = base64.b64encode(content).decode()

    assert read([encoded], "BYTES", [1, 1], ANNOUNCED).data.tolist() == [[content]]


@pytest.mark.parametrize("parameters", [None, {}, {"content_type": "str"}, {"other": "base64"}])
def test_what_looks_like_base64_is_left_alone(parameters: dict[str, Any] | None) -> None:
    found = read(["UklGRg==", "RIFF"], "BYTES", [2], parameters).data.tolist()
    assert found == [b"UklGRg==", b"RIFF"]


@pytest.mark.parametrize("text", ["UklGRg=", "a", "####", "Ukl\nGRg==", "é"])
def test_base64_that_is_not(text: str) -> None:
    said = refusal(["UklGRg==", text], "BYTES", [2], ANNOUNCED)

    assert said.startswith("tensor 'x': ")
    assert "base64" in said or "ASCII" in said


@pytest.mark.parametrize("datatype", [each for each in NUMERIC if each in KNOWN])
def test_base64_of_numbers_is_that_of_their_raw_contents(datatype: str) -> None:
    array = extremes(datatype)
    text = base64.b64encode(raw.pack(datatype, array)).decode()

    request, _ = read_request(request_of([text], datatype, [len(array)], ANNOUNCED))

    np.testing.assert_array_equal(request.message.tensors[0].data, array)
    assert request.form is Form.BASE64


@pytest.mark.parametrize(
    ("data", "shape", "text"),
    [
        ([1.0], [1], "content_type base64 with datatype FP32 needs data of one string"),
        (["AAAAAA==", "AAAAAA=="], [2], "content_type base64 with datatype FP32 needs data of one"),
        (["AAAAAA=="], [2], "shape [2] of FP32 takes 8 bytes, but raw contents have 4"),
        (["AAAAAA="], [1], "not valid base64 ("),
        (["é"], [1], "not valid base64 ("),
    ],
)
def test_base64_of_numbers_that_is_not(data: list[Any], shape: list[int], text: str) -> None:
    assert text in refusal(data, "FP32", shape, ANNOUNCED)


# What accompanies a request


def test_a_request_without_parameters() -> None:
    payload = request_of([3], "INT8")
    payload.id = "7"

    request, context = read_request(payload)

    assert (request.message.id, request.message.parameters) == ("7", {})
    assert (request.outputs, request.form) == ([], Form.JSON)
    assert context == RequestContext()


def test_parameters_are_kept_without_mlservers_own() -> None:
    parameters = Parameters(
        content_type="np", headers={"x-a": "1"}, trace=True, language="fr", beams=4
    )

    request, _ = read_request(InferenceRequest(inputs=[], parameters=parameters))

    assert request.message.parameters == {"language": "fr", "beams": 4}
    assert parameters.model_extra == {"trace": True, "language": "fr", "beams": 4}


def test_outputs_that_are_asked_for() -> None:
    outputs = [
        RequestOutput(name="a"),
        RequestOutput(name="b", parameters=Parameters(classification=3)),
    ]

    request, _ = read_request(InferenceRequest(inputs=[], outputs=outputs))

    assert request.outputs == [RequestedOutput("a"), RequestedOutput("b", 3)]


@pytest.mark.parametrize(
    ("parameters", "trace"),
    [
        ({"trace": True}, True),
        ({"trace": "true"}, True),
        ({"trace": 1}, True),
        ({"trace": False}, False),
        ({"trace": "no"}, False),
        ({"trace": None}, False),
        ({}, False),
        ({"headers": {"x-infergraph-trace": "1"}}, True),
        ({"headers": {"x-infergraph-trace": "TRUE"}}, True),
        ({"headers": {"x-infergraph-trace": "0"}}, False),
        ({"headers": {"x-infergraph-trace": "0"}, "trace": True}, True),
        ({"headers": {"x-infergraph-trace": "1"}, "trace": False}, True),
    ],
)
def test_a_trace_is_asked_for_by_parameter_or_header(
    parameters: dict[str, Any], trace: bool
) -> None:
    assert context_of(Parameters(**parameters)).trace is trace


def test_only_allowed_headers_go_on() -> None:
    headers = {
        "authorization": "Bearer secret",
        "cookie": "session=secret",
        "x-request-id": "7",
        "traceparent": "00-abc-def-01",
        "Ce-Id": "7",
    }

    context = context_of(Parameters(headers=headers))

    assert context.headers == {"x-request-id": "7", "traceparent": "00-abc-def-01"}


def test_the_timeout_header_starts_a_deadline() -> None:
    context = context_of(Parameters(headers={"infergraph-timeout-ms": "60000"}))

    assert context.deadline is not None
    assert context.deadline.budget_ms == 60000
    assert 0 < context.deadline.remaining() <= 60
    assert context_of(Parameters(headers={})).deadline is None


def test_a_timeout_header_that_is_no_time_is_the_clients_fault() -> None:
    with pytest.raises(InvalidInput, match="header infergraph-timeout-ms: 'soon' is not a time"):
        context_of(Parameters(headers={"infergraph-timeout-ms": "soon"}))


# Answers


@pytest.mark.parametrize("datatype", KNOWN)
@pytest.mark.parametrize("form", [Form.JSON, Form.BASE64])
def test_an_answer_as_lists_comes_back(datatype: str, form: Form) -> None:
    given = sample(datatype, "y")

    response = write_response(Message([given], "7"), {"beams": 4}, "asr", "2", form)

    (output,) = response.outputs
    assert (output.name, output.datatype, output.shape) == ("y", datatype, [2, 1])
    assert type(output.data.root) is list
    if form is Form.BASE64 and datatype != "BYTES":
        assert output.parameters is not None
        assert output.parameters.content_type == "base64"
    else:
        assert output.data.root == SAMPLES[datatype]
        assert output.parameters is None
    content = json.loads(encode_to_json_bytes(response.model_dump()))
    message, parameters = read_response(InferenceResponse.model_validate(content))
    assert (message.id, parameters) == ("7", {"beams": 4})
    np.testing.assert_array_equal(message.tensors[0].data, given.data)


def test_an_answer_on_the_wire() -> None:
    message = Message([Tensor.of("a", np.array([[1]]))], "id-1")

    assert write_response(message, {}, "asr", "v2", Form.JSON).model_dump() == {
        "model_name": "asr",
        "model_version": "v2",
        "id": "id-1",
        "outputs": [{"name": "a", "shape": [1, 1], "datatype": "INT64", "data": [1]}],
    }
    assert "model_version" not in write_response(message, {}, "a", None, Form.JSON).model_dump()


def test_bytes_that_are_not_utf8_go_as_base64() -> None:
    items = [b"\xff\x00", b"text", b""]

    response = write_response(Message([Tensor.of_bytes("y", items)]), {}, "asr", None, Form.JSON)

    (output,) = response.outputs
    assert output.data.root == [base64.b64encode(item).decode() for item in items]
    assert read_response(response)[0].tensors[0].data.ravel().tolist() == items


def test_nan_goes_as_null_and_comes_back() -> None:
    array = np.array([1.5, np.nan], np.float32)
    response = write_response(Message([Tensor.of("y", array)]), {}, "asr", None, Form.JSON)

    content = json.loads(encode_to_json_bytes(response.model_dump()))

    assert content["outputs"][0]["data"] == [1.5, None]
    back = read_response(InferenceResponse.model_validate(content))[0]
    np.testing.assert_array_equal(back.tensors[0].data, array)


def test_a_stock_models_answer_that_contradicts_itself_is_its_failure() -> None:
    output = ResponseOutput(name="y", datatype="FP32", shape=[3], data=[1.0])

    with pytest.raises(StageFailure, match="its answer is malformed: tensor 'y': shape"):
        read_response(InferenceResponse(model_name="m", outputs=[output]))


def test_a_stock_models_parameters_without_its_headers() -> None:
    parameters = Parameters(content_type="np", headers={"Ce-Id": "7"}, label="x")

    _, found = read_response(InferenceResponse(model_name="m", outputs=[], parameters=parameters))

    assert found == {"content_type": "np", "label": "x"}


# Requests for stock models


def test_a_request_for_a_stock_model_holds_lists() -> None:
    tensors = [sample("FP32"), sample("BYTES", "t")]
    request = InferRequest(Message(tensors, "7", {"beams": 4}), [], Form.BINARY)

    payload = write_request(request, request.message.parameters, {"x-tenant": "a"})

    assert payload.id == "7"
    assert payload.parameters is not None
    assert payload.parameters.headers == {"x-tenant": "a"}
    assert payload.parameters.model_extra == {"beams": 4}
    assert [(each.name, each.datatype, each.shape) for each in payload.inputs] == [
        ("x", "FP32", [2, 1]),
        ("t", "BYTES", [2, 1]),
    ]
    assert [each.data.root for each in payload.inputs] == [[0.25, -3.0], ["é".encode(), b""]]


# Declarations


def test_declared_tensors_are_marked_optional_by_name() -> None:
    declared = [
        MetadataTensor(name="audio", datatype="BYTES", shape=[-1, 1]),
        MetadataTensor(name="language", datatype="BYTES", shape=[-1, 1]),
    ]

    assert declared_specs(declared, ["language"]) == (
        TensorSpec("audio", "BYTES", (-1, 1)),
        TensorSpec("language", "BYTES", (-1, 1), optional=True),
    )
    assert declared_specs(None, []) == ()
