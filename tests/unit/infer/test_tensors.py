from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from infergraph_clients.infer.errors import UsageError
from infergraph_clients.infer.tensors import (
    DATATYPES,
    DTYPES,
    Tensor,
    TensorSpec,
    bytes_tensor_data,
    check_inputs,
    find_spec,
    numbers,
)

SPECS = (
    TensorSpec("audio", "BYTES", (-1, 1)),
    TensorSpec("rate", "INT32", (-1, 1)),
    TensorSpec("table", "FP32", (4, -1)),
)


def zeros(name: str, datatype: str, *shape: int) -> Tensor:
    if datatype == "BYTES":
        return Tensor(name, datatype, bytes_tensor_data([b""] * math.prod(shape), shape))
    return Tensor(name, datatype, np.zeros(shape, DTYPES[datatype]))


@pytest.mark.parametrize(
    ("declared", "shape", "fits"),
    [
        ((-1, 3), (5, 3), True),
        ((-1, 3), (0, 3), True),
        ((-1, 3), (5, 4), False),
        ((-1, 3), (3,), False),
        ((-1, -1), (2, 7), True),
        ((), (), True),
        ((2,), (2,), True),
    ],
)
def test_minus_one_is_any_size(
    declared: tuple[int, ...], shape: tuple[int, ...], fits: bool
) -> None:
    assert TensorSpec("x", "FP32", declared).fits(shape) is fits


def test_every_datatype_has_its_own_numpy_type() -> None:
    assert set(DTYPES) - set(DATATYPES.values()) == {"BF16"}
    assert len(DATATYPES) == 13
    numbers = set(DTYPES) - {"BYTES", "BF16"}
    assert {name: dtype.itemsize for name, dtype in DTYPES.items() if name in numbers} == {
        "BOOL": 1, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8,
        "INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8, "FP16": 2, "FP32": 4, "FP64": 8,
    }  # fmt: skip


def test_an_unknown_name_comes_with_the_known_ones() -> None:
    assert find_spec("rate", SPECS, "input") is SPECS[1]
    with pytest.raises(UsageError) as caught:
        find_spec("audoi", SPECS, "input")
    assert str(caught.value) == (
        "no input 'audoi'; did you mean 'audio'? accepted: audio, rate, table"
    )


@pytest.mark.parametrize(
    "tensors",
    [
        [zeros("audio", "BYTES", 2, 1), zeros("rate", "INT32", 2, 1)],
        # Its first dimension is no batch.
        [zeros("audio", "BYTES", 2, 1), zeros("table", "FP32", 4, 9)],
        # What is missing is the server's to say.
        [zeros("rate", "INT32", 3, 1)],
        [],
    ],
)
def test_inputs_as_declared(tensors: list[Tensor]) -> None:
    check_inputs(tensors, SPECS)


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ([zeros("x", "FP32", 1, 1)], "no input 'x'"),
        ([zeros("rate", "INT64", 1, 1)], "input 'rate' is INT64; accepted: INT32"),
        (
            [zeros("rate", "INT32", 2)],
            "input 'rate' has shape [2]; accepted: [-1, 1], where -1 is any size",
        ),
        ([zeros("table", "FP32", 3, 9)], "input 'table' has shape [3, 9]; accepted: [4, -1]"),
        (
            [zeros("audio", "BYTES", 2, 1), zeros("rate", "INT32", 1, 1)],
            "the inputs hold different numbers of items: 'audio' 2, 'rate' 1",
        ),
    ],
)
def test_inputs_that_are_not_as_declared(tensors: list[Tensor], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_inputs(tensors, SPECS)
    assert problem in str(caught.value)


def test_a_model_that_declares_nothing_takes_anything() -> None:
    check_inputs([zeros("x", "FP64", 7), zeros("y", "BOOL", 2, 2)], ())


@pytest.mark.parametrize(
    ("value", "dtype", "array"),
    [
        ([1, 2], "u1", [1, 2]),
        (255, "u1", 255),
        ([], "i4", []),
        ([1, 2.5], "f4", [1.0, 2.5]),
        ([True, False], "?", [True, False]),
        (-(2**63), "i8", -(2**63)),
        (2**64 - 1, "u8", 2**64 - 1),
        ([0, 2**64 - 1], "u8", [0, 2**64 - 1]),
    ],
)
def test_numbers_that_a_type_holds(value: Any, dtype: str, array: Any) -> None:
    made = numbers(value, np.dtype(dtype))
    assert (made.dtype, made.tolist()) == (np.dtype(dtype), array)


@pytest.mark.parametrize(
    ("value", "dtype", "problem"),
    [
        (256, "u1", "out of the range of uint8"),
        (-1, "u8", "out of the range of uint64"),
        (2**63, "i8", "out of the range of int64"),
        ([-1, 2**63], "i8", "out of the range of int64"),
        ([0, 2**64], "u8", "out of the range of uint64"),
        ([0.0, 2.0**63], "u8", "uint64 cannot hold float64"),
        ([1, 2.5], "i4", "int32 cannot hold float64"),
        ([1, 0], "?", "bool cannot hold int64"),
        (["1"], "f4", "float32 cannot hold"),
        ([True], "i4", "int32 cannot hold bool"),
        ([None], "i4", "int32 cannot hold object"),
    ],
)
def test_numbers_that_a_type_does_not_hold(value: Any, dtype: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        numbers(value, np.dtype(dtype))


def test_bytes_keep_their_trailing_zeros() -> None:
    data = bytes_tensor_data([b"a\0", b"longer\0\0"], (2, 1))
    assert data.dtype == object
    assert data.tolist() == [[b"a\0"], [b"longer\0\0"]]
