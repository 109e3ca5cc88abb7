from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from mlserver.types import InferenceRequest, MetadataTensor, Parameters, RequestInput, TensorData

from infergraph.errors import InvalidInput, MalformedRequest
from infergraph.request import RequestContext
from infergraph.tensors import TensorSpec
from infergraph.tensors.v2 import (
    GrpcInferenceRequest,
    RawInferenceRequest,
    Wire,
    declared_specs,
    decode_request,
    decode_tensor,
)
from infergraph.v2 import NUMPY_DTYPES, Tensor

SAMPLES: dict[str, list[Any]] = {
    "BOOL": [True, False],
    "UINT8": [0, 255],
    "UINT16": [0, 65535],
    "UINT32": [0, 2**32 - 1],
    "UINT64": [0, 2**64 - 1],
    "INT8": [-128, 127],
    "INT16": [-(2**15), 2**15 - 1],
    "INT32": [-(2**31), 2**31 - 1],
    "INT64": [-(2**63), 2**63 - 1],
    "FP16": [0.5, -65504.0],
    "FP32": [0.25, -3.0],
    "FP64": [0.1, 1e300],
    "BYTES": ["é", ""],
}


def decode(
    data: Any,
    datatype: str = "FP32",
    shape: list[int] | None = None,
    parameters: dict[str, Any] | None = None,
) -> Tensor:
    """As over REST: through MLServer's own validation."""
    fields = {"name": "x", "datatype": datatype, "data": data, "parameters": parameters}
    return decode_tensor(RequestInput.model_validate({**fields, "shape": shape or [len(data)]}))


def refusal(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(MalformedRequest) as caught:
        decode(*args, **kwargs)
    return str(caught.value)


def context_of(parameters: Parameters | None) -> RequestContext:
    return decode_request(InferenceRequest(inputs=[], parameters=parameters))[1]


@pytest.mark.parametrize(("datatype", "values"), SAMPLES.items())
def test_every_datatype(datatype: str, values: list[Any]) -> None:
    tensor = decode(values, datatype, [1, 2])

    expected = [v.encode() if isinstance(v, str) else v for v in values]
    assert (tensor.name, tensor.datatype) == ("x", datatype)
    assert tensor.data.dtype == NUMPY_DTYPES[datatype]
    assert tensor.data.tolist() == [expected]


def test_nested_data_of_the_shape() -> None:
    assert decode([[1, 2, 3], [4, 5, 6]], "INT32", [2, 3]).data.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert decode([["a"], ["b"]], "BYTES", [2, 1]).data.tolist() == [[b"a"], [b"b"]]


@pytest.mark.parametrize("data", [[[1, 2], [3, 4]], [[1], [2], [3], [4]], [[1, 2, 3, 4], []]])
def test_nested_data_of_another_shape(data: list[Any]) -> None:
    text = refusal(data, "INT64", [1, 4])

    assert "data is nested as [" in text
    assert "its shape is [1, 4]; accepted: that nesting, or a flat list" in text


def test_a_single_value_of_no_dimension() -> None:
    assert decode_tensor(RequestInput(name="x", datatype="FP32", shape=[], data=[3])).shape == ()


@pytest.mark.parametrize("shape", [[3], [2, 2], [1], [0], [5, 5]])
def test_data_that_does_not_fill_its_shape(shape: list[int]) -> None:
    holds = int(np.prod(shape))

    assert refusal([1.0, 2.0], shape=shape) == (
        f"tensor 'x': shape {shape} holds {holds} values, but data has 2"
    )


@pytest.mark.parametrize("shape", [[-1], [-1, -2], [2, -1]])
def test_negative_sizes(shape: list[int]) -> None:
    assert refusal([1.0, 2.0], shape=shape) == (
        f"tensor 'x' has shape {shape}; sizes cannot be negative"
    )


@pytest.mark.parametrize("shape", [[0, 2**70], [0, 2**62, 8], [1] * 100])
def test_impossible_shapes(shape: list[int]) -> None:
    data = [1.0] * int(0 not in shape)

    assert refusal(data, shape=shape).startswith(f"tensor 'x': impossible shape {shape} (")


@pytest.mark.parametrize(
    ("data", "kind"),
    [("audio", "str"), (None, "NoneType"), (7, "int"), ({"a": 1}, "dict"), (True, "bool")],
)
@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
def test_data_that_is_no_list(data: Any, kind: str, datatype: str) -> None:
    assert refusal(data, datatype, [1]) == (
        f"tensor 'x': data is {kind}; accepted: a list of values"
    )


def test_an_unknown_datatype() -> None:
    # gRPC does not check it; over REST, MLServer refuses it before.
    tensor = RequestInput.model_construct(
        name="x", datatype="BF16", shape=[1], data=TensorData(root=[1])
    )

    with pytest.raises(MalformedRequest) as caught:
        decode_tensor(tensor)

    assert str(caught.value).startswith("tensor 'x' has datatype 'BF16'; accepted: BOOL, UINT8, ")


def test_arrays_are_shared_not_copied() -> None:
    array = np.arange(6, dtype=np.float32)
    tensor = RequestInput.model_construct(
        name="x", datatype="FP32", shape=[2, 3], data=TensorData.model_construct(root=array)
    )

    decoded = decode_tensor(tensor)

    assert decoded.shape == (2, 3)
    assert np.shares_memory(decoded.data, array)


# base64


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"RIFF....WAVE"])
def test_base64_is_decoded_where_it_is_announced(content: bytes) -> None:
    encoded = base64.b64encode(content).decode()

    tensor = decode([encoded], "BYTES", [1, 1], {"content_type": "base64"})

    assert tensor.data.tolist() == [[content]]


@pytest.mark.parametrize("parameters", [None, {}, {"content_type": "str"}, {"other": "base64"}])
def test_what_looks_like_base64_is_left_alone(parameters: dict[str, Any] | None) -> None:
    assert decode(["UklGRg==", "RIFF"], "BYTES", [2], parameters).data.tolist() == [
        b"UklGRg==",
        b"RIFF",
    ]


@pytest.mark.parametrize("text", ["UklGRg=", "a", "####", "Ukl\nGRg==", "é"])
def test_base64_that_is_not(text: str) -> None:
    said = refusal(["UklGRg==", text], "BYTES", [2], {"content_type": "base64"})

    assert said.startswith("tensor 'x': not valid base64 (")


ANNOUNCED = {"content_type": "base64"}


@pytest.mark.parametrize("datatype", [each for each in SAMPLES if each != "BYTES"])
def test_base64_of_numbers_is_that_of_their_raw_contents(datatype: str) -> None:
    array = np.array(SAMPLES[datatype], NUMPY_DTYPES[datatype]).reshape(2, 1)
    text = base64.b64encode(array.tobytes()).decode()

    tensor = decode([text], datatype, [2, 1], ANNOUNCED)

    assert (tensor.datatype, tensor.data.dtype) == (datatype, array.dtype)
    np.testing.assert_array_equal(tensor.data, array)


def test_base64_of_numbers_keeps_nan_and_infinity() -> None:
    array = np.array([np.nan, np.inf, -np.inf], np.float32)

    tensor = decode([base64.b64encode(array.tobytes()).decode()], "FP32", [3], ANNOUNCED)

    np.testing.assert_array_equal(tensor.data, array)


@pytest.mark.parametrize(
    ("data", "shape", "text"),
    [
        ([1.0], [1], "content_type base64 with datatype FP32 needs data of one string, the base64"),
        (["AAAAAA==", "AAAAAA=="], [2], "content_type base64 with datatype FP32 needs data of one"),
        (["AAAAAA=="], [2], "shape [2] of FP32 takes 8 bytes, but raw contents have 4"),
        (["AAAAAA="], [1], "not valid base64 ("),
        (["é"], [1], "string argument should contain only ASCII characters"),
    ],
)
def test_base64_of_numbers_that_is_not(data: list[Any], shape: list[int], text: str) -> None:
    assert refusal(data, "FP32", shape, ANNOUNCED).startswith(f"tensor 'x': {text}")


@pytest.mark.parametrize(
    ("datatype", "wire"), [("FP32", Wire.BASE64), ("INT8", Wire.BASE64), ("BYTES", Wire.JSON)]
)
def test_numbers_in_base64_are_answered_in_base64(datatype: str, wire: Wire) -> None:
    tensor = RequestInput(
        name="x", datatype=datatype, shape=[0], data=[""], parameters=Parameters(**ANNOUNCED)
    )
    tensor.shape = [1] if datatype == "BYTES" else [0]

    assert decode_request(InferenceRequest(inputs=[tensor]))[2] is wire


# What accompanies a request


def test_a_request_without_parameters() -> None:
    request = InferenceRequest(
        id="7", inputs=[RequestInput(name="x", datatype="INT8", shape=[1], data=[3])]
    )

    message, context, wire = decode_request(request)

    assert (message.id, message.parameters, message.trace) == ("7", {}, None)
    assert message.tensors[0].data.tolist() == [3]
    assert context == RequestContext()
    assert wire is Wire.JSON


def test_parameters_are_kept_without_mlservers_own() -> None:
    parameters = Parameters(
        content_type="np", headers={"x-a": "1"}, trace=True, language="fr", beams=4
    )

    message, _, _ = decode_request(InferenceRequest(inputs=[], parameters=parameters))

    assert message.parameters == {"language": "fr", "beams": 4}
    assert parameters.model_extra == {"trace": True, "language": "fr", "beams": 4}


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


@pytest.mark.parametrize(
    ("kind", "wire"),
    [
        (InferenceRequest, Wire.JSON),
        (GrpcInferenceRequest, Wire.TYPED),
        (RawInferenceRequest, Wire.RAW),
    ],
)
def test_a_request_knows_its_wire_form(kind: type[InferenceRequest], wire: Wire) -> None:
    assert decode_request(kind(inputs=[]))[2] is wire


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
