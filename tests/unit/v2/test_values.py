from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infergraph.errors import MalformedRequest
from infergraph.v2 import NUMPY_DTYPES
from infergraph.v2.values import array_from_list

INTEGERS = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
FLOATS = ["FP16", "FP32", "FP64"]
NUMBERS = INTEGERS + FLOATS
LARGEST = {
    "FP16": 65504.0,
    "FP32": float(np.finfo(np.float32).max),
    "FP64": float(np.finfo(np.float64).max),
}


def read(datatype: str, values: list[Any], rank: int = 1) -> np.ndarray[Any, Any]:
    return array_from_list("x", datatype, values, rank)


def refusal(datatype: str, values: list[Any], rank: int = 1) -> str:
    with pytest.raises(MalformedRequest) as caught:
        read(datatype, values, rank)
    assert caught.value.status_code == 422
    return str(caught.value)


@pytest.mark.parametrize("datatype", INTEGERS)
def test_integers_up_to_both_ends_of_the_range(datatype: str) -> None:
    limits = np.iinfo(NUMPY_DTYPES[datatype])
    values = [int(limits.min), 0, 1, int(limits.max)]

    array = read(datatype, values)

    assert array.dtype == NUMPY_DTYPES[datatype]
    assert array.tolist() == values


@pytest.mark.parametrize("datatype", INTEGERS)
@pytest.mark.parametrize("beyond", [1, 2**64])
def test_integers_out_of_range(datatype: str, beyond: int) -> None:
    limits = np.iinfo(NUMPY_DTYPES[datatype])
    for value in (int(limits.min) - beyond, int(limits.max) + beyond):
        assert refusal(datatype, [0, value]) == (
            f"tensor 'x': {value} is out of the range of {datatype}, {limits.min} to {limits.max}"
        )


@pytest.mark.parametrize("datatype", INTEGERS)
@pytest.mark.parametrize("values", [[1.0, 2.0], [1, 2.5], [float("nan")], [1e300]])
def test_floats_are_not_integers(datatype: str, values: list[Any]) -> None:
    text = refusal(datatype, values)

    assert text.startswith(f"tensor 'x' has datatype {datatype}, but data holds {float(values[0])}")
    assert text.endswith("accepted: integers" + (" from 0" if datatype[0] == "U" else ""))


@pytest.mark.parametrize("datatype", FLOATS)
def test_floats(datatype: str) -> None:
    largest = LARGEST[datatype]
    values = [0, -1, 0.5, -largest, largest, float("inf"), float("-inf")]

    array = read(datatype, values)

    assert array.dtype == NUMPY_DTYPES[datatype]
    assert array.tolist() == values
    assert np.isnan(read(datatype, [float("nan"), 1]))[0]


@pytest.mark.parametrize(
    ("datatype", "value"), [("FP16", 70000), ("FP16", -1e5), ("FP32", 1e39), ("FP32", 10**39)]
)
def test_floats_out_of_range_do_not_become_infinite(datatype: str, value: float) -> None:
    assert refusal(datatype, [1, value]) == (
        f"tensor 'x': {value if isinstance(value, int) else np.float64(value)!s} "
        f"is out of the range of {datatype}"
    )


def test_integers_beyond_64_bits_are_numbers_too() -> None:
    assert read("FP64", [2**70, 1, 0.5]).tolist() == [2.0**70, 1.0, 0.5]
    assert read("FP32", [2**70]).tolist() == [2.0**70]
    assert refusal("FP64", [10**400]) == "tensor 'x': an integer is out of the range of FP64"


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_null_is_nan_in_floating_point_tensors(datatype: str) -> None:
    array = read(datatype, [[1, None], [0.5, 2]], rank=2)

    assert array.dtype == NUMPY_DTYPES[datatype]
    assert np.isnan(array).tolist() == [False, True, False, False]
    assert array[[0, 2, 3]].tolist() == [1.0, 0.5, 2.0]


@pytest.mark.parametrize("datatype", INTEGERS)
@pytest.mark.parametrize("values", [[None], [1, None], [2**70, None]])
def test_null_is_no_integer(datatype: str, values: list[Any]) -> None:
    assert "not numbers" in refusal(datatype, values, rank=2)


@pytest.mark.parametrize("datatype", NUMBERS)
@pytest.mark.parametrize(
    "values", [["1"], ["a", 1], [{}], [{"a": 1}], [[1], None], [b"1"], [None, "a"]]
)
def test_what_is_no_number(datatype: str, values: list[Any]) -> None:
    text = refusal(datatype, values, rank=2)

    assert text.startswith("tensor 'x'")
    assert "not numbers" in text or "nested unevenly" in text


@pytest.mark.parametrize("datatype", NUMBERS)
def test_booleans_are_no_numbers(datatype: str) -> None:
    assert "data holds True (bool)" in refusal(datatype, [True, False])


def test_booleans() -> None:
    array = read("BOOL", [True, False, True])

    assert array.dtype == np.bool_
    assert array.tolist() == [True, False, True]


@pytest.mark.parametrize("values", [[0, 1], [1.0], ["true"], [None]])
def test_what_is_no_boolean(values: list[Any]) -> None:
    assert refusal("BOOL", values).endswith("accepted: true or false")


def test_strings_are_encoded_and_bytes_kept() -> None:
    array = read("BYTES", ["é", "", b"\xff\x00", "\x00a\x00"])

    assert array.dtype == object
    assert array.tolist() == [b"\xc3\xa9", b"", b"\xff\x00", b"\x00a\x00"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [([1], "int"), ([None], "NoneType"), ([{}], "dict"), (["a", True], "bool"), ([["a"]], "list")],
)
def test_what_is_no_string(values: list[Any], kind: str) -> None:
    assert refusal("BYTES", values) == (
        f"tensor 'x' has datatype BYTES, but data holds {kind}; accepted: strings"
    )


def test_a_lone_surrogate_has_no_utf8() -> None:
    assert "lone surrogate" in refusal("BYTES", ["\ud800"])


@pytest.mark.parametrize("datatype", ["INT32", "FP32"])
def test_nested_lists_are_flattened_in_row_major_order(datatype: str) -> None:
    assert read(datatype, [[1, 2], [3, 4]], rank=2).tolist() == [1, 2, 3, 4]
    assert read(datatype, [[[1], [2]], [[3], [4]]], rank=3).tolist() == [1, 2, 3, 4]
    assert read(datatype, [1, 2, 3, 4], rank=3).tolist() == [1, 2, 3, 4]


def test_nested_strings_are_flattened_in_row_major_order() -> None:
    assert read("BYTES", [["a", "b"], ["c", "d"]], rank=2).tolist() == [b"a", b"b", b"c", b"d"]
    assert read("BYTES", [[["a"], ["b"]]], rank=3).tolist() == [b"a", b"b"]


@pytest.mark.parametrize("datatype", ["INT32", "FP32", "BOOL"])
def test_nesting_deeper_than_the_shape(datatype: str) -> None:
    assert refusal(datatype, [[1], [2]], rank=1) == (
        "tensor 'x': data is nested 2 deep, but its shape has 1 dimensions"
    )


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("INT32", [[1, 2], [3]]),
        ("FP32", [[1.0], 2.0]),
        ("BOOL", [[True], [True, False]]),
        ("BYTES", [["a", "b"], ["c"]]),
        ("BYTES", [["a"], []]),
    ],
)
def test_ragged_nesting(datatype: str, values: list[Any]) -> None:
    assert refusal(datatype, values, rank=2) == "tensor 'x': data is nested unevenly"


@pytest.mark.parametrize("datatype", NUMPY_DTYPES)
@pytest.mark.parametrize(("values", "rank"), [([], 1), ([[], []], 2)])
def test_no_values(datatype: str, values: list[Any], rank: int) -> None:
    array = read(datatype, values, rank)

    assert array.shape == (0,)
    assert array.dtype == NUMPY_DTYPES[datatype]


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_unsigned_integers_are_exact(values: list[int]) -> None:
    assert read("UINT64", values).tolist() == values


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_signed_integers_are_exact(values: list[int]) -> None:
    assert read("INT64", values).tolist() == values


@given(st.lists(st.floats(width=32, allow_nan=False)))
def test_floats_are_exact(values: list[float]) -> None:
    assert read("FP32", values).tolist() == values
