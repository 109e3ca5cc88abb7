from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import pytest

from infergraph_clients.infer.body import is_text, parse_body, tensor_of_json, tensor_to_json
from infergraph_clients.infer.errors import UsageError
from infergraph_clients.infer.tensors import DTYPES, Tensor, bytes_tensor_data

WAV = b"RIFF\x00\xff\xfe"
WAV_BASE64 = base64.b64encode(WAV).decode()


def tensor_json(**changes: Any) -> dict[str, Any]:
    content = {"name": "x", "datatype": "INT32", "shape": [2, 2], "data": [1, 2, 3, 4]}
    return {name: value for name, value in {**content, **changes}.items() if value is not None}


def bytes_tensor(*values: bytes, **parameters: Any) -> Tensor:
    return Tensor("x", "BYTES", bytes_tensor_data(values, (len(values), 1)), parameters)


def test_a_request_with_everything() -> None:
    content = {
        "id": "seven",
        "parameters": {"trace": True, "summarization.num_beams": 4},
        "inputs": [tensor_json(), tensor_json(name="y", parameters={"kind": "b"})],
        "outputs": [{"name": "summary"}, {"name": "language"}],
    }
    body = parse_body(json.dumps(content), "request.json")
    assert [tensor.name for tensor in body.tensors] == ["x", "y"]
    assert [dict(tensor.parameters) for tensor in body.tensors] == [{}, {"kind": "b"}]
    assert body.parameters == {"trace": True, "summarization.num_beams": 4}
    assert body.outputs == ["summary", "language"]
    assert body.id == "seven"


def test_a_request_with_inputs_alone() -> None:
    body = parse_body(json.dumps({"inputs": [tensor_json()]}).encode(), "stdin")
    assert (body.parameters, list(body.outputs), body.id) == ({}, [], "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "request.json is not JSON: "),
        (b"\xff\xfe\x00", "request.json is not JSON: "),
        ("[]", "it has no list `inputs`"),
        ("{}", "it has no list `inputs`"),
        ('{"inputs": {}}', "it has no list `inputs`"),
        ('{"inputs": []}', "it has no list `inputs`"),
        ('{"inputs": [1]}', "a tensor is int; accepted: a JSON object"),
    ],
)
def test_what_is_no_request_is_named(text: str | bytes, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_body(text, "request.json")
    assert str(caught.value).startswith("request.json is no")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": None}, "no field 'name'"),
        ({"data": None}, "no field 'data'"),
        ({"datatype": "INT"}, "tensor 'x' has datatype 'INT'; accepted: ['BOOL', "),
        ({"shape": [3, 1]}, "tensor 'x' of shape [3, 1] holds 4 values"),
        ({"shape": [-1, 2]}, "tensor 'x' of shape [-1, 2] holds 4 values"),
        ({"data": "1234"}, "`data` is str; accepted: a list"),
        ({"data": [1, 2, 3, 4.5]}, "tensor 'x' is INT32: int32 cannot hold float64"),
        ({"data": [1, 2, 3, 2**31]}, "tensor 'x' is INT32: a value is out of the range of int32"),
        ({"datatype": "BYTES"}, "tensor 'x' is BYTES and holds other values than text"),
        ({"parameters": [1]}, "`parameters` is list; accepted: a JSON object"),
        ({"parameters": {"a": [1]}}, "parameter 'a' is [1]; accepted: a boolean, number or text"),
    ],
)
def test_what_is_no_tensor_is_named(changes: dict[str, Any], problem: str) -> None:
    text = json.dumps({"inputs": [tensor_json(**changes)]})
    with pytest.raises(UsageError) as caught:
        parse_body(text, "stdin")
    assert str(caught.value).startswith("stdin is no V2 request: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"outputs": ["summary"]}, "an output is str; accepted: a JSON object"),
        ({"outputs": [{}]}, "no field 'name'"),
        ({"parameters": "trace"}, "`parameters` is str; accepted: a JSON object"),
    ],
)
def test_other_fields_that_are_not_v2(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_body(json.dumps({"inputs": [tensor_json()], **changes}), "stdin")
    assert problem in str(caught.value)


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]], [[[1], [2]], [[3], [4]]]])
def test_data_may_be_flat_or_nested(data: list[Any]) -> None:
    assert tensor_of_json(tensor_json(data=data)).data.tolist() == [[1, 2], [3, 4]]


def test_text_is_utf8() -> None:
    tensor = tensor_of_json(tensor_json(datatype="BYTES", shape=[2, 1], data=["a", "größer"]))
    assert tensor.data.tolist() == [[b"a"], ["größer".encode()]]


def test_base64_is_decoded_and_its_parameter_goes() -> None:
    content = tensor_json(
        datatype="BYTES",
        shape=[1, 1],
        data=[WAV_BASE64],
        parameters={"content_type": "base64", "rate": 16000},
    )
    tensor = tensor_of_json(content)
    assert tensor.data.tolist() == [[WAV]]
    assert tensor.parameters == {"rate": 16000}
    # What came is left as it was.
    assert content["parameters"] == {"content_type": "base64", "rate": 16000}


def test_other_content_types_stay() -> None:
    content = tensor_json(
        datatype="BYTES", shape=[1, 1], data=[WAV_BASE64], parameters={"content_type": "str"}
    )
    tensor = tensor_of_json(content)
    assert tensor.data.tolist() == [[WAV_BASE64.encode()]]
    assert tensor.parameters == {"content_type": "str"}


def test_what_is_not_base64_is_named() -> None:
    content = tensor_json(
        datatype="BYTES", shape=[1, 1], data=["%%%%"], parameters={"content_type": "base64"}
    )
    with pytest.raises(ValueError, match="tensor 'x' is not base64"):
        tensor_of_json(content)


@pytest.mark.parametrize("datatype", [name for name in DTYPES if name != "BYTES"])
def test_every_numeric_datatype_comes_back_as_it_was(datatype: str) -> None:
    data = np.array([[0, 1], [1, 0]]).astype(DTYPES[datatype])
    content = json.loads(json.dumps(tensor_to_json(Tensor("x", datatype, data, {"a": 1}))))
    again = tensor_of_json(content)
    assert (again.name, again.datatype, again.parameters) == ("x", datatype, {"a": 1})
    assert again.data.dtype == DTYPES[datatype]
    assert again.data.tolist() == data.tolist()


@pytest.mark.parametrize("values", [(b"a", "größer".encode()), (WAV, b"a"), (b"",)])
def test_bytes_come_back_as_they_were(values: tuple[bytes, ...]) -> None:
    content = json.loads(json.dumps(tensor_to_json(bytes_tensor(*values))))
    assert tensor_of_json(content).data.ravel().tolist() == list(values)


def test_bytes_are_text_where_all_are() -> None:
    assert tensor_to_json(bytes_tensor(b"a", "größer".encode())) == {
        "name": "x", "datatype": "BYTES", "shape": [2, 1], "data": ["a", "größer"],
    }  # fmt: skip


def test_bytes_are_base64_where_one_is_not_text() -> None:
    content = tensor_to_json(bytes_tensor(b"a", WAV, rate=16000))
    assert content["data"] == ["YQ==", WAV_BASE64]
    assert content["parameters"] == {"rate": 16000, "content_type": "base64"}


def test_what_json_has_not_becomes_null_and_not_a_number() -> None:
    data = np.array([1.5, math.nan, math.inf, -math.inf], np.float32)
    content = tensor_to_json(Tensor("x", "FP32", data))
    assert content["data"] == [1.5, None, None, None]
    assert np.isnan(tensor_of_json(content).data[1:]).all()


def test_is_text() -> None:
    assert is_text(bytes_tensor(b"a", "ö".encode()).data)
    assert not is_text(bytes_tensor(b"a", b"\xff").data)
