from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from mlserver.codecs.json import encode_to_json_bytes
from mlserver.types import InferenceResponse, ResponseOutput

from infergraph.errors import InvalidInput, StageFailure
from infergraph.tensors.partial import ERROR_TENSORS
from infergraph.tensors.v2 import Wire, decode_tensor, encode_response, encode_tensor
from infergraph.v2 import NUMPY_DTYPES, Message, Tensor

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


@pytest.mark.parametrize(
    ("datatype", "wire"),
    [
        (datatype, wire)
        for datatype in SAMPLES
        for wire in Wire
        if (datatype, wire) != ("FP16", Wire.TYPED)
    ],
)
def test_an_answer_goes_back_in_the_requests_form(datatype: str, wire: Wire) -> None:
    values = SAMPLES[datatype]
    on_grpc = [value.encode() if isinstance(value, str) else value for value in values]
    array = np.array(on_grpc, NUMPY_DTYPES[datatype]).reshape(2, 1)
    tensor = Tensor("y", datatype, array)

    output = encode_tensor(tensor, wire)

    assert (output.name, output.datatype, output.shape) == ("y", datatype, [2, 1])
    if wire is Wire.BASE64 and datatype != "BYTES":
        assert output.parameters.content_type == "base64"
        (text,) = output.data.root
        assert base64.b64decode(text) == array.tobytes()
        np.testing.assert_array_equal(decode_tensor(output).data, array)
        return
    assert output.parameters is None
    if wire is Wire.RAW:
        assert output.data.root is array
    elif wire is Wire.TYPED:
        assert output.data.root == on_grpc
        assert [type(value) for value in output.data.root] == [type(value) for value in on_grpc]
    else:
        assert output.data.root == values
        assert json.loads(json.dumps(output.model_dump()))["data"] == values


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_over_rest_nan_goes_as_null_and_comes_back(datatype: str) -> None:
    array = np.array([[1.5], [np.nan]], NUMPY_DTYPES[datatype])

    output = encode_tensor(Tensor("y", datatype, array), Wire.JSON)
    body = json.loads(encode_to_json_bytes(output.model_dump()))

    assert body["data"] == [1.5, None]
    np.testing.assert_array_equal(decode_tensor(ResponseOutput(**body)).data, array)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_over_rest_infinity_cannot_go(value: float) -> None:
    tensor = Tensor("y", "FP32", np.array([1, value], np.float32))

    with pytest.raises(StageFailure) as caught:
        encode_tensor(tensor, Wire.JSON)

    assert str(caught.value) == (
        "output tensor 'y' holds infinity, which JSON cannot carry; gRPC can"
    )
    assert encode_tensor(tensor, Wire.TYPED).data.root == [1, value]
    np.testing.assert_array_equal(
        decode_tensor(encode_tensor(tensor, Wire.BASE64)).data, tensor.data
    )
    assert encode_tensor(tensor, Wire.RAW).data.root is tensor.data


def test_fp16_has_no_typed_form() -> None:
    with pytest.raises(InvalidInput) as caught:
        encode_tensor(Tensor("y", "FP16", np.zeros(1, np.float16)), Wire.TYPED)

    assert str(caught.value).startswith("output tensor 'y' is FP16, which typed gRPC contents")


def test_texts_beside_base64_numbers_stay_texts() -> None:
    output = encode_tensor(Tensor.of_bytes("y", [b"a", b"b"]), Wire.BASE64)

    assert output.parameters is None
    assert output.data.root == ["a", "b"]


def test_over_rest_bytes_that_are_not_utf8_go_as_base64_and_come_back() -> None:
    items = [b"\xff\x00", b"text", b""]

    output = encode_tensor(Tensor.of_bytes("y", items), Wire.JSON)

    assert output.parameters is not None
    assert output.parameters.content_type == "base64"
    assert output.data.root == [base64.b64encode(item).decode() for item in items]
    assert decode_tensor(output).data.ravel().tolist() == items


@pytest.mark.parametrize("wire", [Wire.TYPED, Wire.RAW])
def test_over_grpc_bytes_go_as_they_are(wire: Wire) -> None:
    output = encode_tensor(Tensor.of_bytes("y", [b"\xff\x00"]), wire)

    assert output.parameters is None
    assert np.array(output.data.root, dtype=object).ravel().tolist() == [b"\xff\x00"]


def message(*names: str, **fields: Any) -> Message:
    return Message([Tensor.of(name, np.array([[1]])) for name in names], "id-1", **fields)


def encode(
    answer: Message, requested: list[str] | None = None, version: str | None = None
) -> InferenceResponse:
    return encode_response(answer, "asr", version, Wire.JSON, requested)


@pytest.mark.parametrize(
    ("requested", "names"),
    [
        (None, ["a", "b", "c"]),
        ([], ["a", "b", "c"]),
        (["b"], ["b"]),
        (["c", "a"], ["a", "c"]),
        (["a", "a"], ["a"]),
    ],
)
def test_requested_outputs(requested: list[str] | None, names: list[str]) -> None:
    response = encode(message("a", "b", "c"), requested)

    assert [output.name for output in response.outputs] == names


def test_a_requested_output_that_is_not_there() -> None:
    with pytest.raises(InvalidInput) as caught:
        encode(message("a", "b"), ["a", "z"])

    assert str(caught.value) == ("model 'asr': no output tensor 'z'; accepted: a, b")


def test_a_declared_output_that_this_answer_leaves_out_may_be_requested() -> None:
    response = encode_response(
        message("a", "b", "b_item"), "asr", None, Wire.JSON, ["b", "c"], ["a", "b", "c"]
    )

    assert [output.name for output in response.outputs] == ["b", "b_item"]


def test_a_response_on_the_wire() -> None:
    response = encode(message("a"), version="v2")

    assert response.model_dump() == {
        "model_name": "asr",
        "model_version": "v2",
        "id": "id-1",
        "outputs": [{"name": "a", "shape": [1, 1], "datatype": "INT64", "data": [1]}],
    }
    assert "model_version" not in encode(message("a")).model_dump()


def test_a_trace_goes_as_json_beside_the_other_parameters() -> None:
    trace = {"model": "asr", "queue_us": 3, "compute_us": 40, "batch_size": 2}

    response = encode(message("a", trace=trace, parameters={"language": "fr"}))

    assert response.parameters is not None
    extra = dict(response.parameters.model_extra or {})
    assert json.loads(extra.pop("trace")) == trace
    assert extra == {"language": "fr"}
    assert encode(message("a")).parameters is None


def test_errors_of_items_are_there_whatever_outputs_are_requested() -> None:
    answer = message("a", "a_item", "b", "b_item", *ERROR_TENSORS)
    response = encode_response(answer, "asr", None, Wire.JSON, ["b"], ["a", "b"])
    assert [output.name for output in response.outputs] == ["b", "b_item", *ERROR_TENSORS]
