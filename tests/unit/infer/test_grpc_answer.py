"""With MLServer's own messages: the same protocol as tritonclient's, which cannot share a process
with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mlserver.grpc import dataplane_pb2 as pb

from infergraph_clients.infer.grpc_answer import read_answer
from infergraph_clients.infer.tensors import DTYPES


def message(*outputs: tuple[str, str, list[int]], raw: list[bytes] | None = None) -> Any:
    made = pb.ModelInferResponse(model_name="m", id="seven", raw_output_contents=raw or [])
    for name, datatype, shape in outputs:
        made.outputs.add(name=name, datatype=datatype, shape=shape)
    return made


def pack(*values: bytes) -> bytes:
    return b"".join(len(value).to_bytes(4, "little") + value for value in values)


@pytest.mark.parametrize("datatype", [name for name in DTYPES if name not in ("BYTES", "BF16")])
def test_raw_numbers(datatype: str) -> None:
    data = np.array([[0, 1, 1], [1, 0, 1]]).astype(DTYPES[datatype])
    answer = read_answer(message(("x", datatype, [2, 3]), raw=[data.tobytes()]))
    (tensor,) = answer.tensors
    assert (answer.model, answer.id) == ("m", "seven")
    assert (tensor.name, tensor.datatype, tensor.data.dtype) == ("x", datatype, DTYPES[datatype])
    assert tensor.data.tolist() == data.tolist()


def test_raw_bf16() -> None:
    raw = bytes.fromhex("803f 20c0 0000 807f")
    answer = read_answer(message(("x", "BF16", [2, 2]), raw=[raw]))
    (tensor,) = answer.tensors
    assert (tensor.datatype, tensor.data.dtype) == ("BF16", np.float32)
    assert tensor.data.tolist() == [[1.0, -2.5], [0.0, np.inf]]


def test_raw_bytes() -> None:
    values = [b"a", b"", b"RIFF\x00\xff", b"x" * 300]
    answer = read_answer(message(("x", "BYTES", [2, 2]), raw=[pack(*values)]))
    assert answer.tensors[0].shape == (2, 2)
    assert answer.tensors[0].data.ravel().tolist() == values


@pytest.mark.parametrize(
    ("datatype", "field", "values"),
    [
        ("BOOL", "bool_contents", [True, False]),
        ("UINT8", "uint_contents", [0, 255]),
        ("UINT16", "uint_contents", [0, 65535]),
        ("UINT32", "uint_contents", [0, 2**32 - 1]),
        ("UINT64", "uint64_contents", [0, 2**64 - 1]),
        ("INT8", "int_contents", [-128, 127]),
        ("INT16", "int_contents", [-(2**15), 7]),
        ("INT32", "int_contents", [-(2**31), 7]),
        ("INT64", "int64_contents", [-(2**63), 7]),
        ("FP32", "fp32_contents", [0.5, -1.5]),
        ("FP64", "fp64_contents", [1e300, -1.5]),
        ("BYTES", "bytes_contents", [b"a\x00", b"\xff"]),
    ],
)
def test_typed_contents(datatype: str, field: str, values: list[Any]) -> None:
    made = message(("x", datatype, [2, 1]))
    getattr(made.outputs[0].contents, field).extend(values)
    (tensor,) = read_answer(made).tensors
    assert (tensor.shape, tensor.data.dtype) == ((2, 1), DTYPES[datatype])
    assert tensor.data.ravel().tolist() == values


def test_an_empty_tensor() -> None:
    answer = read_answer(message(("x", "FP32", [0, 3]), ("y", "BYTES", [0, 1])))
    assert [tensor.shape for tensor in answer.tensors] == [(0, 3), (0, 1)]


def test_parameters_of_every_kind() -> None:
    made = message(("x", "FP32", [0]))
    made.parameters["flag"].bool_param = False
    made.parameters["count"].int64_param = 7
    made.parameters["trace"].string_param = '{"duration_us": 5}'
    made.parameters["unset"].SetInParent()
    made.outputs[0].parameters["content_type"].string_param = "np"
    answer = read_answer(made)
    assert answer.parameters == {"flag": False, "count": 7, "trace": '{"duration_us": 5}'}
    assert answer.trace == {"duration_us": 5}
    assert answer.tensors[0].parameters == {"content_type": "np"}


@pytest.mark.parametrize(
    ("outputs", "raw", "problem"),
    [
        ([("x", "FP32", [1]), ("y", "FP32", [1])], [b"1234"], "2 outputs with 1 raw contents"),
        ([("x", "FP32", [2])], [b"1234"], r"tensor 'x' FP32 \[2\] holds 1 values"),
        ([("x", "FP32", [1])], [b"123"], r"tensor 'x' FP32 \[1\] comes with 3 bytes"),
        ([("x", "FP32", [1])], [], "holds 0 values"),
        ([("x", "FP16", [1])], [], "holds 0 values"),
        ([("x", "FP8", [1])], [b"1"], r"tensor 'x' FP8 \[1\]; accepted: BOOL"),
        ([("x", "BF16", [1])], [b"123"], "3 bytes are no BF16 values, of 2 bytes each"),
        ([("x", "BF16", [2])], [b"12"], r"tensor 'x' BF16 \[2\] holds 1 values"),
        ([("x", "BYTES", [2])], [pack(b"a")], "holds 1 values"),
        ([("x", "BYTES", [1])], [b"\x01\x00"], "ends within a length"),
        ([("x", "BYTES", [1])], [b"\x09\x00\x00\x00abc"], "ends within an element"),
    ],
)
def test_an_answer_that_contradicts_itself(
    outputs: list[tuple[str, str, list[int]]], raw: list[bytes], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        read_answer(message(*outputs, raw=raw))
