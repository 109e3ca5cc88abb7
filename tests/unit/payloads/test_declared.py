from __future__ import annotations

import math

import numpy as np
import pytest

from infergraph.v2 import NUMPY_DTYPES, Tensor
from infergraph_clients.errors import UsageError
from infergraph_clients.payloads import TensorSpec, check_inputs, find_spec

SPECS = (
    TensorSpec("audio", "BYTES", (-1, 1)),
    TensorSpec("rate", "INT32", (-1, 1)),
    TensorSpec("table", "FP32", (4, -1)),
)


def zeros(name: str, datatype: str, *shape: int) -> Tensor:
    if datatype == "BYTES":
        return Tensor.of_bytes(name, [b""] * math.prod(shape), shape)
    return Tensor(name, datatype, np.zeros(shape, NUMPY_DTYPES[datatype]))


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
