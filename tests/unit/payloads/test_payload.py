"""Requests in V2 JSON, to be sent as they were given."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import pytest

from infergraph.v2 import Tensor
from infergraph_clients.errors import UsageError
from infergraph_clients.payloads import Payload, read_request


def tensor_json(**changes: Any) -> dict[str, Any]:
    content = {"name": "x", "datatype": "INT32", "shape": [2, 2], "data": [1, 2, 3, 4]}
    return {name: value for name, value in {**content, **changes}.items() if value is not None}


def read(*inputs: Any, **more: Any) -> Payload:
    return read_request(json.dumps({"inputs": inputs, **more}).encode(), "p", "request.json")


def test_a_request_with_everything() -> None:
    outputs = [{"name": "summary", "parameters": {"classification": 3, "own": "x"}}, {"name": "l"}]
    payload = read(
        tensor_json(),
        tensor_json(name="y", parameters={"kind": "b"}),
        id="seven",
        parameters={"trace": True, "beams": 4, "binary_data_output": True},
        outputs=outputs,
    )
    assert [(each.name, each.parameters) for each in payload.tensors] == [
        ("x", None),
        ("y", {"kind": "b"}),
    ]
    assert payload.tensors[0].data.tolist() == [[1, 2], [3, 4]]
    assert payload.parameters == {"trace": True, "beams": 4, "binary_data_output": True}
    assert [(each.name, dict(each.parameters)) for each in payload.outputs] == [
        ("summary", {"classification": 3, "own": "x"}),
        ("l", {}),
    ]
    assert payload.id == "seven"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[]", "it is a list"),
        (b"{}", "inputs is missing"),
        (b'{"inputs": []}', "it has no inputs"),
        (b'{"inputs": [1]}', "tensor 0 is a number"),
    ],
)
def test_what_is_no_request_is_named(text: bytes, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_request(text, "p", "request.json")
    assert str(caught.value).startswith("request.json is not a V2 request: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": None}, "its name is missing"),
        ({"data": None}, "its data is missing"),
        ({"datatype": "INT"}, "datatype 'INT'; accepted: BOOL"),
        ({"shape": [3, 1]}, "shape [3, 1] holds 3 values, but data has 4"),
        ({"data": "1234"}, "its data is a string; accepted: a list"),
        # What numpy would make 1, true and a number of, silently.
        ({"data": [1, 2, 3, 1.7]}, "1.7 (a floating-point number); accepted: integers"),
        ({"data": [1, 2, 3, True]}, "true (a boolean); accepted: integers"),
        ({"data": [1, 2, 3, "4"]}, "a string; accepted: integers"),
        ({"data": [1, 2, 3, None]}, "null; accepted: integers"),
        ({"data": [1, 2, 3, 2**31]}, "2147483648 is out of the range of INT32"),
        ({"datatype": "BOOL", "data": ["false"] * 4}, "a string; accepted: true or false"),
        ({"datatype": "BOOL", "data": [1, 0, 1, 0]}, "1 (an integer); accepted: true or false"),
        ({"datatype": "BYTES"}, "1 (an integer); accepted: strings"),
        ({"datatype": "FP16", "data": [1, 2, 3, 1e6]}, "out of the range of FP16"),
        ({"data": [[1, 2], [3]]}, "nested unevenly"),
        ({"parameters": [1]}, "parameters is a list; accepted: an object"),
        ({"parameters": {"a": [1]}}, "parameter 'a' is [1]; accepted: a boolean, number or text"),
        ({"datatype": "BYTES", "shape": [1], "data": ["%"],
          "parameters": {"content_type": "base64"}}, "is not base64"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_as_given_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(tensor_json(**changes))
    assert str(caught.value).startswith("request.json is not a V2 request: ")
    assert problem in str(caught.value)


def test_nan_of_json_is_refused() -> None:
    text = json.dumps({"inputs": [tensor_json(datatype="FP32", data=[1, 2, 3, math.nan])]})
    with pytest.raises(UsageError, match="not JSON"):
        read_request(text.encode(), "p", "r")


def test_what_is_base64_stays_base64() -> None:
    audio = tensor_json(
        name="audio",
        datatype="BYTES",
        shape=[1],
        data=["AAEC"],
        parameters={"content_type": "base64", "rate": 16000},
    )
    raw = np.array([0.5, math.nan], "<f4")
    numbers = tensor_json(
        name="n",
        datatype="FP32",
        shape=[2],
        data=[base64.b64encode(raw.tobytes()).decode()],
        parameters={"content_type": "base64"},
    )
    payload = read(audio, numbers)
    assert payload.tensors[0].data.tolist() == [b"\0\1\2"]
    assert payload.tensors[0].parameters == {"content_type": "base64", "rate": 16000}
    np.testing.assert_array_equal(payload.tensors[1].data, raw)
    payload.check_json()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_json_cannot_carry(value: float) -> None:
    tensor = Tensor.of("x", np.array([1, value], np.float32))
    with pytest.raises(UsageError, match=r"'x' holds (NaN|infinity), which JSON cannot"):
        Payload("p", [tensor]).check_json()
    # A null that was given may be sent.
    read(tensor_json(datatype="FP32", data=[1, 2, 3, None])).check_json()


@pytest.mark.parametrize(
    ("shapes", "items"),
    [
        ([(4, 1)], 4),
        ([(4, 1), (4, 7, 2)], 4),
        ([(4, 1), ()], 4),
        ([(4, 1), (5, 1)], 1),
        ([()], 1),
        ([], 1),
        ([(0, 3)], 0),
    ],
)
def test_the_batch_is_the_first_dimension(shapes: list[tuple[int, ...]], items: int) -> None:
    tensors = [Tensor.of("x", np.zeros(shape, np.float32)) for shape in shapes]
    assert Payload("p", tensors).items == items
