from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infergraph.errors import MalformedRequest
from infergraph.v2 import NUMPY_DTYPES
from infergraph.v2.json_text import loads
from infergraph.v2.values import SLICE, LargeList, array_from_list, plain, round_to_bf16

INTEGERS = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
FLOATS = ["BF16", "FP16", "FP32", "FP64"]
NUMBERS = INTEGERS + FLOATS
BF16_LARGEST = float(np.array(0x7F7F0000, np.uint32).view(np.float32))
LARGEST = {
    "BF16": BF16_LARGEST,
    "FP16": 65504.0,
    "FP32": float(np.finfo(np.float32).max),
    "FP64": float(np.finfo(np.float64).max),
}


def read(datatype: str, values: list[Any] | LargeList, rank: int = 1) -> np.ndarray[Any, Any]:
    return array_from_list("x", datatype, values, rank)


def refusal(datatype: str, values: list[Any] | LargeList, rank: int = 1) -> str:
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

    culprit = next(value for value in values if isinstance(value, float))
    assert text.startswith(
        f"tensor 'x' has datatype {datatype}, but data holds {culprit} (a floating-point number)"
    )
    assert text.endswith("accepted: integers" + (" from 0" if datatype[0] == "U" else ""))


@pytest.mark.parametrize("datatype", FLOATS)
def test_floats(datatype: str) -> None:
    largest = LARGEST[datatype]
    values = [0, -1, 0.5, -largest, largest, float("inf"), float("-inf")]

    array = read(datatype, values)

    assert array.dtype == (np.float32 if datatype == "BF16" else NUMPY_DTYPES[datatype])
    assert array.tolist() == values
    assert np.isnan(read(datatype, [float("nan"), 1]))[0]


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("FP16", 70000),
        ("FP16", -1e5),
        ("FP32", 1e39),
        ("FP32", 10**39),
        ("BF16", 1e39),
        # Between the largest BF16 and the largest FP32: the nearest one would be infinite.
        ("BF16", 3.4e38),
    ],
)
def test_floats_out_of_range_do_not_become_infinite(datatype: str, value: float) -> None:
    assert refusal(datatype, [1, value]) == (
        f"tensor 'x': {float(value)} is out of the range of {datatype}"
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
    assert "data holds null; accepted: integers" in refusal(datatype, values, rank=2)


@pytest.mark.parametrize("datatype", NUMBERS)
@pytest.mark.parametrize(
    ("values", "culprit"),
    [
        (["1"], "a string"),
        (["a", 1], "a string"),
        ([1, "a"], "a string"),
        ([[1.5], ["a"]], "a string"),
        ([b"1"], "a string"),
        ([{}], "an object"),
        ([1, {"a": 1}], "an object"),
        ([1, True], "true (a boolean)"),
        ([False, False], "false (a boolean)"),
        ([1, (2,)], "a tuple"),
    ],
)
def test_what_is_no_number(datatype: str, values: list[Any], culprit: str) -> None:
    accepted = {"U": "integers from 0", "I": "integers"}.get(datatype[0], "numbers")
    expected = {culprit}
    if datatype in INTEGERS and values == [[1.5], ["a"]]:
        expected.add("1.5 (a floating-point number)")

    assert refusal(datatype, values, rank=2) in {
        f"tensor 'x' has datatype {datatype}, but data holds {each}; accepted: {accepted}"
        for each in expected
    }


def test_strings_are_refused_before_numpy_pads_them() -> None:
    values = ["a"] * 1000 + ["b" * 1_000_000]
    tracemalloc.start()
    try:
        refusal("FP32", values)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 4_000_000


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
    [
        ([1], "1 (an integer)"),
        ([None], "null"),
        ([{}], "an object"),
        (["a", True], "true (a boolean)"),
    ],
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


@pytest.mark.parametrize(
    ("datatype", "values"),
    [("INT32", [[1], [2]]), ("FP32", [[1], [2]]), ("BOOL", [[True]]), ("BYTES", [["a"]])],
)
def test_nesting_deeper_than_the_shape(datatype: str, values: list[Any]) -> None:
    assert refusal(datatype, values, rank=1) == (
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
        ("BYTES", ["a", ["b"]]),
        ("INT32", [[1], None]),
        ("FP32", [[1.0]] * SLICE + [[1.0, 2.0]]),
        ("FP32", [1.0] * SLICE + [[2.0]]),
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


@pytest.mark.parametrize("datatype", ["FP32", "UINT64", "BYTES", "BOOL"])
def test_lists_of_many_slices(datatype: str) -> None:
    values: list[Any] = list(range(2 * SLICE + 2))
    if datatype == "BYTES":
        values = [str(value).encode() for value in values]
    elif datatype == "BOOL":
        values = [value % 3 == 0 for value in values]
    rows = [values[start : start + 2] for start in range(0, len(values), 2)]

    for array in (read(datatype, values), read(datatype, rows, 2), read(datatype, [values], 2)):
        assert array.dtype == NUMPY_DTYPES[datatype]
        assert array.tolist() == values


def test_a_value_in_the_last_slice_is_checked_too() -> None:
    ones = [1] * SLICE

    assert "256 is out of the range of UINT8" in refusal("UINT8", [*ones, 256])
    assert "data holds 0.5 (a floating-point number)" in refusal("UINT8", [*ones, 0.5])
    assert "data holds a string" in refusal("FP32", [*ones, "a"])
    assert read("UINT64", [*ones, 2**64 - 1])[-1] == 2**64 - 1
    assert np.isnan(read("FP64", [*ones, None])[-1])


def test_bf16_is_rounded_to_the_nearest_half_way_to_even() -> None:
    step = 2.0**-7  # of BF16 between 1 and 2

    assert read(
        "BF16", [1, 1 + step / 2, 1 + 1.5 * step, 1 + 0.51 * step, -1 - 0.51 * step, 1e-45]
    ).tolist() == [1, 1, 1 + 2 * step, 1 + step, -1 - step, 0]


def test_nan_of_any_payload_stays_nan_in_bf16() -> None:
    payloads = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0x7FC00000], np.uint32)

    assert np.isnan(round_to_bf16(payloads.view(np.float32))).all()


def large(text: str) -> LargeList:
    """A list of JSON that is read in slices of 64 bytes."""
    values = loads(text.encode(), slice_size=64)
    assert isinstance(values, LargeList)
    return values


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("FP32", [value / 4 for value in range(100)]),
        ("FP64", [1, 2**64 - 1, -1, 0.25, 1e300] * 10),
        ("UINT64", [1, 2**64 - 1, 2**63] * 10),
        ("INT64", [-(2**63), 2**63 - 1] * 10),
        ("UINT8", list(range(100))),
        ("BOOL", [True, False, False] * 30),
        ("BYTES", ["é", "a", "", "b" * 200, '"\\"'] * 10),
    ],
)
def test_a_large_list_is_the_array_of_its_list(datatype: str, values: list[Any]) -> None:
    rows = [values[start : start + 5] for start in range(0, len(values) // 5 * 5, 5)]
    expected = read(datatype, values).tolist()

    for nested, rank in ((values, 1), (rows, 2), ([values, values], 2), ([rows, rows], 3)):
        array = read(datatype, large(orjson.dumps(nested).decode()), rank)
        assert array.dtype == NUMPY_DTYPES[datatype]
        assert array[: len(rows) * 5].tolist() == expected[: len(rows) * 5]
        assert array.tolist() == read(datatype, nested, rank).tolist()


@pytest.mark.parametrize(
    ("text", "datatype", "rank", "refused"),
    [
        (f"[{'1,' * 99}0.5]", "INT32", 1, "data holds 0.5 (a floating-point number)"),
        (f"[{'1,' * 99}null]", "INT32", 1, "data holds null"),
        (f"[{'0.5,' * 99}true]", "FP32", 1, "data holds true (a boolean)"),
        (f'[{"1," * 99}"a"]', "FP32", 1, "data holds a string"),
        (f'["a",{"1," * 99}1]', "BYTES", 1, "data holds 1 (an integer)"),
        (f"[{'1,' * 99}256]", "UINT8", 1, "256 is out of the range of UINT8, 0 to 255"),
        (f"[{'1,' * 99}-1]", "UINT8", 1, "-1 is out of the range of UINT8, 0 to 255"),
        (f"[{'1,' * 99}1e39]", "FP32", 1, "1e+39 is out of the range of FP32"),
        (f"[{'[1],' * 99}[1,2]]", "FP32", 2, "data is nested unevenly"),
        (f"[{'[1],' * 99}2]", "FP32", 2, "data is nested unevenly"),
        (f"[[{'1,' * 99}1],[{'1,' * 99}1,1]]", "FP32", 2, "data is nested unevenly"),
        (f"[{'[1],' * 99}[1]]", "FP32", 1, "data is nested 2 deep, but its shape has 1"),
        (f"[[{'1,' * 99}1]]", "FP32", 1, "data is nested 2 deep, but its shape has 1"),
        (f"[{'{},' * 99}{{}}]", "FP32", 1, "data holds an object"),
        (f"[[{'1,' * 99}1],[{'{},' * 99}1]]", "FP32", 2, "data holds an object"),
        (f"[{{}},[{'1,' * 99}1]]", "FP32", 2, "data is nested unevenly"),
        (f"[[{'1,' * 99}1],{{}}]", "FP32", 2, "data is nested unevenly"),
    ],
)
def test_what_a_large_list_may_not_hold(text: str, datatype: str, rank: int, refused: str) -> None:
    assert refused in refusal(datatype, large(text), rank)


@pytest.mark.parametrize("value", [[[0.5, 1, None]] * 40, ["a", 1, [2] * 90, "c" * 200] * 9])
def test_a_large_list_gives_its_elements_each_time(value: list[Any]) -> None:
    values = large(orjson.dumps(value).decode())

    assert len(values) == len(value)
    for _ in range(2):
        assert plain(list(values)) == value
    assert plain({"a": [values]}) == {"a": [value]}


def test_large_lists_nested_to_the_depth_that_json_may_have() -> None:
    text = "[" * 64 + "0," * 200 + "0" + "]" * 64

    assert "data is nested 64 deep" in refusal("FP32", large(text), 2)
    assert orjson.dumps(innermost(plain(large(text)))) == orjson.dumps([0] * 201)


def innermost(value: Any) -> Any:
    while isinstance(value[0], list):
        value = value[0]
    return value
