from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import pytest

from infergraph.v2 import NUMPY_DTYPES, Tensor
from infergraph_clients.infer.render import (
    answer_json,
    answer_lines,
    says_the_same,
    tensor_to_json,
    times_line,
    trace_lines,
)
from infergraph_clients.transports import Answer, Reply

EMPTY = Answer([])
WAV = b"RIFF\x00\xff\xfe"


def texts(name: str, *values: str | bytes) -> Tensor:
    encoded = [value.encode() if isinstance(value, str) else value for value in values]
    return Tensor.of_bytes(name, encoded)


def array(name: str, values: Any, dtype: str) -> Tensor:
    return Tensor.of(name, np.array(values, dtype))


def lines(count: int, *tensors: Tensor) -> list[str]:
    return list(answer_lines(Answer(tensors), count))


def test_one_item_is_one_block() -> None:
    assert lines(1, texts("transcript", "who"), array("score", [[0.98762]], "f4")) == [
        "  transcript  who",
        "  score       0.9876",
    ]


def test_a_batch_is_a_block_for_each_item() -> None:
    assert lines(2, texts("label", "good", "bad"), array("score", [[0.5], [0.25]], "f4")) == [
        "item 0",
        "  label  good",
        "  score  0.5",
        "item 1",
        "  label  bad",
        "  score  0.25",
    ]


def test_items_without_an_output_and_items_that_failed() -> None:
    answer = [
        texts("language", "fr", "en"),
        array("language_item", [[0], [2]], "i8"),
        texts("english", "a dog"),
        array("english_item", [[0]], "i8"),
        texts("error", "language 'it' is not supported"),
        array("error_status", [[400]], "i8"),
        array("error_item", [[1]], "i8"),
    ]
    assert lines(3, *answer) == [
        "item 0",
        "  language  fr",
        "  english   a dog",
        "item 1",
        "  error  400: language 'it' is not supported",
        "item 2",
        "  language  en",
    ]


def test_rows_that_are_no_items_are_shown_by_tensor() -> None:
    answer = [texts("part", "a", "b", "c"), array("loss", 0.5, "f8")]
    assert lines(1, *answer) == ["  part  [3, 1] a, b, c", "  loss  0.5"]


def test_an_empty_answer_has_no_lines() -> None:
    assert lines(1) == []


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (array("x", [[True]], "?"), "True"),
        (array("x", [[-7]], "i8"), "-7"),
        (array("x", [[1234567.0]], "f8"), "1.235e+06"),
        (array("x", [[math.nan]], "f4"), "nan"),
        (array("x", [[1, 2, 3]], "u1"), "1, 2, 3"),
        (array("x", [[[1, 2], [3, 4]]], "u1"), "[2, 2] 1, 2, 3, 4"),
        (array("x", [range(1000)], "f4"), "0, 1, 2, 3, 4, 5, 6, 7, ... 1,000 values"),
        (array("x", [[]], "f4"), "(no values)"),
        (texts("x", b"RIFF\xff" + bytes(2000)), "(WAV, 2,005 bytes)"),
        (texts("x", b"\xff\xd8\xff"), "(JPEG, 3 bytes)"),
        (texts("x", b"\x89PNG\r\n"), "(PNG, 6 bytes)"),
        (texts("x", b"fLaC\xff"), "(FLAC, 5 bytes)"),
        (texts("x", b"\xfe\xff"), "(binary, 2 bytes)"),
        (texts("x", ""), ""),
        (texts("x", "größer"), "größer"),
        # A server must not steer the terminal.
        (texts("x", "red \x1b[31m\x07text\r"), "red \ufffd[31m\ufffdtext\ufffd"),
        (texts("x", "two\nlines"), "two\n     lines"),
    ],
)
def test_a_value(tensor: Tensor, text: str) -> None:
    assert lines(1, tensor) == [f"  x  {text}"]


def test_a_failed_items_text_cannot_steer_the_terminal_either() -> None:
    answer = [
        texts("error", "\x1b[2J"),
        array("error_status", [[500]], "i8"),
        array("error_item", [[0]], "i8"),
    ]
    assert lines(1, *answer) == ["  error  500: \ufffd[2J"]


@pytest.mark.parametrize(
    ("seconds", "at_once", "text"),
    [
        ([0.0123], False, "12.3 ms"),
        ([1.5], True, "1,500.0 ms"),
        (
            [0.003, 0.001, 0.002],
            False,
            "3 requests in turn: shortest 1.0 ms, median 2.0 ms, longest 3.0 ms",
        ),
        (
            [0.001, 0.002],
            True,
            "2 requests at once: shortest 1.0 ms, median 1.5 ms, longest 2.0 ms",
        ),
    ],
)
def test_times(seconds: list[float], at_once: bool, text: str) -> None:
    assert times_line([Reply(EMPTY, each) for each in seconds], at_once) == text


def test_times_of_a_stream() -> None:
    reply = Reply(EMPTY, 0.5, 0.1, (0.03, 0.01, 0.02))
    assert times_line([reply], False) == (
        "500.0 ms; the first of 4 answers after 100.0 ms, the others each 20.0 ms (median) later"
    )
    assert times_line([Reply(EMPTY, 0.5, 0.5)], False) == (
        "500.0 ms; the first of 1 answers after 500.0 ms"
    )
    content = answer_json([reply], "m")
    assert content["stream"] == {"first_ms": 100.0, "gaps_ms": [30.0, 10.0, 20.0]}


def floats(name: str = "x", *shape: int, fill: float = 0.0) -> Tensor:
    return Tensor(name, "FP32", np.full(shape, fill, np.float32))


def test_answers_that_say_the_same() -> None:
    one = Answer([floats("x", 1, 2), texts("text", "a")], {"trace": "1"}, "m", "id-1")
    other = Answer([floats("x", 1, 2), texts("text", "a")], {"trace": "2"}, "", "id-2")
    assert says_the_same(one, other)


@pytest.mark.parametrize(
    "other",
    [
        [],
        [floats("y", 1, 2)],
        [floats("x", 2, 1)],
        [floats("x", 1, 2, fill=1e-45)],
        [floats("x", 1, 2), floats("y", 1, 2)],
        [Tensor("x", "INT32", np.zeros((1, 2), np.int32))],
    ],
)
def test_answers_that_differ(other: list[Tensor]) -> None:
    assert not says_the_same(Answer([floats("x", 1, 2)]), Answer(other))


@pytest.mark.parametrize("datatype", [name for name in NUMPY_DTYPES if name != "BYTES"])
def test_every_numeric_datatype_as_json(datatype: str) -> None:
    data = np.array([[0, 1], [1, 0]]).astype(NUMPY_DTYPES[datatype])
    content = tensor_to_json(Tensor("x", datatype, data, {"a": 1}))
    assert content == {
        "name": "x", "datatype": datatype, "shape": [2, 2], "parameters": {"a": 1},
        "data": data.ravel().tolist(),
    }  # fmt: skip


def test_bytes_are_text_where_all_are() -> None:
    # Even if they were base64 on their way.
    tensor = Tensor("x", "BYTES", texts("x", "a", "größer").data, {"content_type": "base64"})
    assert tensor_to_json(tensor) == {
        "name": "x", "datatype": "BYTES", "shape": [2, 1], "data": ["a", "größer"],
    }  # fmt: skip


def test_bytes_are_base64_where_one_is_not_text() -> None:
    tensor = Tensor("x", "BYTES", texts("x", "a", WAV).data, {"rate": 16000})
    content = tensor_to_json(tensor)
    assert content["data"] == ["YQ==", base64.b64encode(WAV).decode()]
    assert content["parameters"] == {"rate": 16000, "content_type": "base64"}


def test_what_json_has_not_becomes_null() -> None:
    data = np.array([1.5, math.nan, math.inf, -math.inf], np.float32)
    assert tensor_to_json(Tensor("x", "FP32", data))["data"] == [1.5, None, None, None]


def step(name: str, **values: Any) -> dict[str, Any]:
    times = {"start_us": 100, "queue_us": 200, "compute_us": 3000, "duration_us": 3400}
    return {"name": name, "transport": "grpc", **times, "batch_size": 2, **values}


def test_a_trace_is_a_table() -> None:
    trace = {"steps": [step("hear"), step("reply", start_us=3_500_000)], "duration_us": 3_600_000}
    assert list(trace_lines(trace)) == [
        "  step   transport       start   queue  compute   total  batch",
        "  hear   grpc           0.1 ms  0.2 ms   3.0 ms  3.4 ms      2",
        "  reply  grpc       3,500.0 ms  0.2 ms   3.0 ms  3.4 ms      2",
        "  in all: 3,600.0 ms",
    ]


def test_a_pipeline_inside_a_pipeline_is_indented() -> None:
    inner = {"name": "inner", "transport": "in-process", "steps": [step("deep")]}
    _, outer, deep, _ = trace_lines({"steps": [inner]})
    assert outer.startswith("  inner  ")
    assert outer.split() == ["inner", "in-process", *["-"] * 5]
    assert deep.startswith("    deep  ")


def test_steps_of_items_have_a_column_for_them() -> None:
    head, *rows = trace_lines({"steps": [step("a", item=0), step("b", item=12)]})
    assert head.split()[:3] == ["step", "item", "transport"]
    assert [row.split()[1] for row in rows[:2]] == ["0", "12"]
    assert rows[2] == "  in all: -"


def test_a_model_has_no_steps() -> None:
    trace = {"queue_us": 300, "compute_us": 1500, "batch_size": 4}
    assert list(trace_lines(trace)) == ["  queue 0.3 ms, compute 1.5 ms, batch of 4"]
    assert list(trace_lines({})) == ["  queue -, compute -, batch of -"]


def test_json_is_v2_with_trace_and_times() -> None:
    trace = {"duration_us": 5}
    answer = Answer(
        [texts("text", "größer")], {"trace": json.dumps(trace), "content_type": "str"}, "m", "seven"
    )
    assert answer_json([Reply(EMPTY, 0.0012345), Reply(answer, 0.5)], "asked") == {
        "model_name": "m",
        "id": "seven",
        "parameters": {"content_type": "str"},
        "outputs": [{"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": ["größer"]}],
        "times_ms": [1.234, 500.0],
        "trace": trace,
    }


def test_json_names_the_model_that_was_asked_where_the_answer_does_not() -> None:
    content = answer_json([Reply(Answer([]), 0.1)], "sum-qa.pipeline")
    assert content["model_name"] == "sum-qa.pipeline"
    assert "trace" not in content
