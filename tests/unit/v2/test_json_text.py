from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infergraph.v2 import json_reader
from infergraph.v2.json_reader import SLICE
from infergraph.v2.json_text import array_to_json, loads
from infergraph.v2.values import LargeList, array_from_list, plain

SLICES = st.sampled_from([16, 17, 19, 32, 61, 256])
CROWDS = st.sampled_from([1, 3, 500])
LONG_TEXTS = ['"', "\\", '\\\\"', ":", "[", "]}", "\U0001f600" * 12, "é" * 40, "\x00" * 9]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.sampled_from(LONG_TEXTS)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=12)
        | st.dictionaries(st.text(max_size=20), inner, max_size=6)
        | st.lists(st.lists(st.floats(-9, 9), min_size=2, max_size=2), max_size=30)
        | st.lists(st.integers(0, 999), max_size=60)
        | st.lists(st.text(max_size=8), max_size=30)
    ),
    max_leaves=20,
)
WRITERS: list[Callable[[Any], bytes]] = [
    orjson.dumps,
    lambda value: json.dumps(value).encode(),
    lambda value: json.dumps(value, indent=9).encode(),
    lambda value: json.dumps(value, separators=(",   ", "  :\n")).encode(),
]
DAMAGES = [b"", b",", b"[", b"]", b"{", b"}", b'"', b"\\", b":", b"1", b" " * 40, b"\xff", b"\x00"]
DAMAGES += [b'"a":', b"\\ud800", b"[]", b",,", b"NaN", b"-Infinity", b"\xe2\x82", b"1e999"]


@contextmanager
def crowd_of(number: int) -> Iterator[None]:
    """Has slices shrink where they have more than so many lists and objects."""
    before = json_reader._CROWD
    json_reader._CROWD = number
    try:
        yield
    finally:
        json_reader._CROWD = before


def accepted_alike(text: bytes, slice_size: int) -> bool:
    """Whether a text is JSON, after a check that `loads` and orjson agree on that and its value."""
    try:
        expected = orjson.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"\w"):
            loads(text, slice_size=slice_size)
        return False
    if _has_a_key_twice(text):
        with pytest.raises(ValueError, match="twice"):
            loads(text, slice_size=slice_size)
        return False
    got = plain(loads(text, slice_size=slice_size))
    # Unlike ==, this tells 1 from 1.0 and from true.
    assert orjson.dumps(got) == orjson.dumps(expected)
    return True


def _has_a_key_twice(text: bytes) -> bool:
    twice = []

    def check(pairs: list[tuple[str, Any]]) -> None:
        twice.append(len(dict(pairs)) < len(pairs))

    json.loads(text, object_pairs_hook=check)
    return any(twice)


@settings(max_examples=100, deadline=None)
@given(VALUES, st.sampled_from(WRITERS), SLICES, CROWDS)
def test_slices_give_what_orjson_gives(
    value: Any, write: Callable[[Any], bytes], slice_size: int, crowd: int
) -> None:
    with crowd_of(crowd):
        assert accepted_alike(write(value), slice_size)


@settings(max_examples=200, deadline=None)
@given(VALUES, st.sampled_from(WRITERS), SLICES, CROWDS, st.data())
def test_slices_refuse_what_orjson_refuses(
    value: Any, write: Callable[[Any], bytes], slice_size: int, crowd: int, data: st.DataObject
) -> None:
    text = bytearray(write(value))
    start = data.draw(st.integers(0, len(text)))
    text[start : start + data.draw(st.integers(0, 3))] = data.draw(st.sampled_from(DAMAGES))

    with crowd_of(crowd):
        accepted_alike(bytes(text), slice_size)


@pytest.mark.parametrize("slice_size", [16, SLICE])
@pytest.mark.parametrize(
    "text",
    [
        "",
        " " * 40,
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" * 1025 + "]" * 1025,
        "[1," * 1025 + "1" + "]" * 1025,
        f"[{'1,' * 99}]",
        f"[,{'1,' * 99}1]",
        f"[{'1,' * 99},1]",
        f"[{'1,' * 99}1",
        f"[{'1,' * 99}1}}",
        f"[{'1,' * 99}1]]",
        f"[{'[1],' * 99}[1]}}",
        '["a"' + ',"a"' * 99 + "}",
        f'{{"a":[{"1," * 99}1],"b":1]',
        f"[{'1,' * 99}1] x",
        f"[{'1,' * 99}NaN]",
        f"[{'1,' * 99}-Infinity]",
        f"[{'1,' * 99}01]",
        f"[{'1,' * 99}1 1]",
        f"[{'[1],' * 99}[1][1]]",
        f"[[{'1,' * 99}1] [{'1,' * 99}1]]",
        f"[[{'1,' * 99}1]1]",
        f"[1[{'1,' * 99}1]]",
        f"[[{'1,' * 99}1],]",
        f'{{"a":[{"1," * 99}1],}}',
        f'{{"a"[{"1," * 99}1]}}',
        f"{{[{'1,' * 99}1]:1}}",
        f"{{{'a' * 99}:1}}",
        f'{{"a":{"1" * 400}}}',
        f'["{"a" * 99}',
        f'["{"a" * 99}\\"]',
        f'["{"a" * 99}\\ud83d"]',
        f'["{"a" * 99}\\ude00"]',
        f'["{"a" * 99}\x01"]',
        f'["{"a" * 99}"x]',
        b'["' + b"a" * 99 + b'\xff"]',
        b'["' + b"a" * 99 + b'\xed\xa0\x80"]',
        b"\xef\xbb\xbf[" + b"1," * 99 + b"1]",
    ],
)
def test_malformed(text: str | bytes, slice_size: int) -> None:
    assert not accepted_alike(text if isinstance(text, bytes) else text.encode(), slice_size)


@pytest.mark.parametrize(
    "text",
    [
        "1",
        f"{' ' * 99}null{' ' * 99}",
        f"[{' ' * 99}]",
        f"[{' ' * 99}1{' ' * 99},{' ' * 99}[{' ' * 99}]{' ' * 99}]",
        f'{{{" " * 99}"a"{" " * 99}:{" " * 99}1{" " * 99}}}',
        f"0.{'1' * 999}",
        f'{{"{"k" * 99}":{{"{"k" * 99}":"{"v" * 99}"}}}}',
        '["' + "\\\\" * 99 + '","' + "\\\\" * 98 + '\\""]',
        '["' + "\\ud83d\\ude00" * 20 + "\\u00e9" * 20 + '"]',
        '["' + "\U0001f600é" * 30 + '"]',
    ],
)
@pytest.mark.parametrize("slice_size", range(16, 30))
def test_valid(text: str, slice_size: int) -> None:
    assert accepted_alike(text.encode(), slice_size)


@pytest.mark.parametrize("slice_size", [16, 100, SLICE])
@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ("[1,", "]"), ('{"a":', "}"), ('[{"a":', "}]")]
)
def test_the_depth_that_is_accepted(opening: str, closing: str, slice_size: int) -> None:
    depth = (1024 if slice_size == SLICE else 64) // len(closing)
    loads(f"{opening * depth}1{closing * depth}".encode(), slice_size=slice_size)

    for deeper in ("[1]", '{"b":1}'):
        with pytest.raises(ValueError, match=r"nested|depth"):
            loads(f"{opening * depth}{deeper}{closing * depth}".encode(), slice_size=slice_size)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1,2," + " " * 40 + "3 4]", "near byte 4"),
        (
            '{"a":[1,2,3,4,5,6,7,8,9,10] "b":1}',
            "unexpected character: byte 28; accepted: ',' or '}'",
        ),
        ("[1,2,3,4,5,6,7,8,9", "unexpected end of data: byte 18"),
        ('["aaaaaaaaaaaaaaaaaaaaa', "a string has no end: near byte"),
        ("[1,2,3,4,5,6,7,8,9" + " " * 20 + ",]", "a value is missing: near byte 39"),
    ],
)
def test_errors_say_what_and_where(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        loads(text.encode(), slice_size=16)


LARGE = f"[{'1,' * 99}1]"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"inputs": [1], "inputs": [2]}', "inputs"),
        ('{"inputs": [{"name": "x", "data": [1], "data": [2]}]}', "data"),
        ('{"inputs": [{"parameters": {"a": 1, "a": 1}}]}', "a"),
        ('{"parameters": {"a": 1, "a": 1}}', "a"),
        ('{"parameters": {"b": ":", "a": ":", "a": "}"}}', "a"),
        ('{"a": 1, "\\u0061": 2}', "a"),
        ('[[{"a": 1, "a": 2}]]', "a"),
        (f'{{"inputs": {LARGE}, "inputs": {LARGE}}}', "inputs"),
        (f'{{"inputs": {LARGE}, "b": "{"c" * 50}", "inputs": 1}}', "inputs"),
        (f'{{"inputs": 1, "b": "{"c" * 50}", "inputs": {LARGE}}}', "inputs"),
        (f'{{"inputs": [{LARGE}, {{"a": 1, "a": 2}}]}}', "a"),
        ('{"' + "k" * 200 + '": 1, "' + "k" * 200 + '": 1}', "k" * 80),
    ],
)
@pytest.mark.parametrize("slice_size", [16, 64, SLICE])
def test_a_key_that_comes_twice_is_refused(text: str, key: str, slice_size: int) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the whole text is compared
        loads(text.encode(), slice_size=slice_size)

    assert str(caught.value) == f"an object has the key '{key}' twice; accepted: each key once"


@pytest.mark.parametrize(
    "value",
    [
        {"inputs": [{"name": '"a": 1, "a": 2', "data": ["::", '\\":', "\\"]}], "id": "a:b"},
        {"a": [[{"a": 1}, {"a": {"a": [{"a": ":"}]}}]], "b": [1, {"a": ""}]},
        {"": {"": {"": ""}}},
        ":",
        [":", {":": ":"}],
    ],
)
@pytest.mark.parametrize("slice_size", [16, 64, SLICE])
def test_what_only_looks_like_a_key_twice_is_accepted(value: Any, slice_size: int) -> None:
    assert accepted_alike(orjson.dumps(value), slice_size)


def request(data: str, size: int, datatype: str = "FP32") -> bytes:
    return (
        f'{{"id":"a","inputs":[{{"name":"x","shape":[{size}],"datatype":"{datatype}",'
        f'"data":{data}}},{{"name":"y","shape":[1],"datatype":"FP32","data":[1]}}]}}'
    ).encode()


def test_only_the_data_of_a_large_request_is_a_large_list() -> None:
    body = loads(request("[" + "0.25," * 100_000 + "1]", 100_001))

    first, second = body.pop("inputs")
    data = first.pop("data")
    assert body == {"id": "a"}
    assert first == {"name": "x", "shape": [100_001], "datatype": "FP32"}
    assert second == {"name": "y", "shape": [1], "datatype": "FP32", "data": [1]}
    assert isinstance(data, LargeList)
    assert array_from_list("x", "FP32", data, 1).tolist() == [0.25] * 100_000 + [1]


def test_many_small_tensors_are_read_one_after_the_other() -> None:
    each = {"name": "x", "shape": [1], "datatype": "FP32", "data": [0.5]}
    inputs = loads(orjson.dumps({"inputs": [each] * 5000}))["inputs"]

    assert isinstance(inputs, LargeList)
    assert len(inputs) == 5000
    assert all(tensor == each for tensor in inputs)


def test_a_long_string_among_data_is_its_utf8() -> None:
    text = "é\n😀" * 50_000
    data = loads(orjson.dumps({"inputs": [{"data": ["a", text, "b"]}]}))["inputs"][0]["data"]

    assert array_from_list("x", "BYTES", data, 1).tolist() == [b"a", text.encode(), b"b"]


def peak_of(function: Callable[[], Any]) -> int:
    """The most bytes of Python and numpy that a call had at once beside what was there."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "datatype", "rank"),
    [
        ("[" + "0.125," * 400_000 + "1]", "FP32", 1),
        ("[" + "[0.5]," * 50_000 + "[1]]", "FP32", 2),
        ('["' + "QUJD" * 800_000 + '"]', "BYTES", 1),
    ],
    ids=["numbers", "rows", "base64"],
)
def test_memory_is_a_small_multiple_of_the_text(text: str, datatype: str, rank: int) -> None:
    body = text.encode()

    peak = peak_of(lambda: array_from_list("x", datatype, loads(body), rank))

    assert peak < 3 * len(body) + 1_500_000


@pytest.mark.parametrize("element", ["{}", "[]", '{"a":[]}', '[[],"a"]'])
def test_what_no_tensor_holds_takes_no_memory(element: str) -> None:
    body = f"[{(element + ',') * 50_000}{element}]".encode()

    assert peak_of(lambda: loads(body)) < 2_000_000


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_a_large_text_of_brackets_alone_is_refused_early(opening: str) -> None:
    with pytest.raises(ValueError, match="nested more than 64 deep"):
        loads(opening.encode() * 1_000_000)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"[0.{'0' * SLICE}1,{'1,' * SLICE}1]", "a number has more than 131072 characters"),
        (
            "{" + ",".join(f'"{number}":{number}' for number in range(100_000)) + "}",
            "the members of objects take more than 1048576 bytes",
        ),
        (f'{{"a":"{"b" * 17_000_000}"}}', "a string outside of arrays has more than 16777216"),
    ],
    ids=["number", "object", "string"],
)
def test_what_no_request_of_tensors_has_is_bounded(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        loads(text.encode())


def test_a_long_string_in_an_object_is_a_string() -> None:
    value = {"parameters": {"text": "é" * 1_000_000, "id": 1}}

    assert loads(orjson.dumps(value)) == value


def written(array: np.ndarray[Any, Any]) -> Any:
    return orjson.loads(b"".join(array_to_json(array)))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i1", "u8", "<i8", ">i2", "?"])
@pytest.mark.parametrize("shape", [(0,), (1,), (2, 3), (70_000,), (3, 0, 2), ()])
def test_numbers_are_written_in_row_major_order(dtype: str, shape: tuple[int, ...]) -> None:
    array = (np.arange(np.prod(shape, dtype=int)) % 127).reshape(shape).astype(dtype)

    values = written(array)

    assert values == array.ravel().tolist()
    assert written(array.T) == array.T.ravel().tolist()
    if dtype == "?":
        assert all(type(value) is bool for value in values)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_written_floats_are_exact_and_nan_is_null(dtype: str) -> None:
    array = np.array([0.1, -1e-4, 3.14159, np.nan], dtype)

    values = written(array)

    assert np.array(values[:3], dtype).tolist() == array[:3].tolist()
    assert values[3] is None


@pytest.mark.parametrize("position", [0, 70_000])
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_is_not_written(position: int, value: float) -> None:
    array = np.zeros(70_001, np.float32)
    array[position] = value

    with pytest.raises(ValueError, match="infinite"):
        list(array_to_json(array))


@pytest.mark.parametrize(
    "items",
    [
        [],
        ["a"],
        ['é"\\\n', "", "b"],
        ["a" * SLICE, "b", "c" * SLICE],
        ["a", "😀é" * 100_000, "b"],
        ["é😀" * 100_000, "😀é" * 100_001],
        ["ab"] * 140_000,
    ],
)
def test_texts_are_written_in_pieces(items: list[str]) -> None:
    array = np.empty(len(items), object)
    array[:] = [item.encode() for item in items]

    pieces = list(array_to_json(array))

    assert orjson.loads(b"".join(pieces)) == items
    assert max(map(len, pieces)) <= 3 * SLICE


@pytest.mark.parametrize("item", [b"\xff", b"a" * SLICE + b"\xe2\x82"])
def test_bytes_that_are_not_utf8_are_not_written(item: bytes) -> None:
    array = np.empty(2, object)
    array[:] = [b"a", item]

    with pytest.raises(UnicodeDecodeError):
        list(array_to_json(array))
