from __future__ import annotations

import numpy as np
import pytest

from infergraph.cli.report import (
    message_lines,
    milliseconds,
    said_by_step,
    trace_lines,
    unpadded,
    value_lines,
)
from infergraph.graph import parse_pipeline
from infergraph.v2 import Message, Tensor
from tests.unit.cli.workspaces import CHAIN, OUTER


def texts(name: str, *items: str) -> Tensor:
    return Tensor.of_bytes(name, [item.encode() for item in items])


def said(pipeline: str, *tensors: Tensor) -> dict[str, list[tuple[str, str]]]:
    by_step = said_by_step(parse_pipeline(pipeline, "p.yaml"), Message(list(tensors)))
    return {
        step: [(label, *value_lines(tensor)) for label, tensor in found]
        for step, found in by_step.items()
    }


def test_renamed_outputs_go_back_to_their_step() -> None:
    assert said(CHAIN, texts("text", "b"), texts("heard", "a")) == {
        "reply": [("text", '"b"')],
        "hear": [("text", '"a"')],
    }


def test_a_renamed_output_leaves_its_name_to_another_step() -> None:
    steps = "steps: [hear.outputs.text, reply.outputs.text]"
    swapped = CHAIN.replace("steps: [reply.outputs.text, hear.outputs.text]", steps)

    assert said(swapped, texts("heard", "a"), texts("text", "b")) == {
        "hear": [("text", '"a"')],
        "reply": [("text", '"b"')],
    }


def test_all_outputs_of_the_only_step() -> None:
    assert said(OUTER, texts("text", "a"), texts("other", "b")) == {
        "hear": [("text", '"a"'), ("other", '"b"')]
    }


def test_outputs_that_could_be_of_either_step_are_left_out() -> None:
    both = OUTER.replace("steps: [hear]", "steps: [hear, chain.outputs]")
    assert said(both, texts("text", "a")) == {}


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (texts("x", "a", "b"), '"a", "b"'),
        (texts("x", *"abcdef"), '"a", "b", "c", "d", and 2 more'),
        (texts("x", "a" * 100), '"' + "a" * 69 + '..."'),
        (Tensor.of_bytes("x", [b"\xff" * 1234]), "(1,234 bytes)"),
        (Tensor.of_bytes("x", [b"fLaC\xff"]), "(FLAC, 5 bytes)"),
        (Tensor.of("x", np.array([[0.12345678, 2]], np.float32)), "0.1235, 2"),
        (Tensor.of("x", np.array([True])), "True"),
    ],
)
def test_values_on_one_line(tensor: Tensor, text: str) -> None:
    assert value_lines(tensor) == [text]


def test_message_has_a_line_per_tensor() -> None:
    message = Message([texts("question", "Who?"), texts("context", "Marie")])
    assert list(message_lines(message)) == ['  question  "Who?"', '  context   "Marie"']


def test_answers_with_boxes_are_printed_without_padding() -> None:
    corners = np.zeros((1, 8, 4), np.float32)
    corners[0, :2] = [[1.2, 2.7, 30, 40], [5, 6, 7, 8]]
    classes = np.full((1, 8), -1)
    classes[0, :2] = [3, 0]
    scores = np.zeros((1, 8), np.float32)
    scores[0, :2] = [0.75, 0.5]
    answer = Message(
        [
            Tensor.of("num_detections", np.array([[2]])),
            Tensor.of("boxes", corners),
            Tensor.of("scores", scores),
            Tensor.of("classes", classes),
            Tensor.of_bytes("labels", [b"car", b"", *[b""] * 6], [1, 8]),
            Tensor.of("embedding", np.zeros((1, 3), np.float32)),
            Tensor.of("person_boxes", np.zeros((1, 8, 4), np.float32)),
        ],
        trace={"compute_us": 5},
    )
    shown = unpadded(answer)
    assert shown.trace == answer.trace
    assert [line.split(maxsplit=1) for line in message_lines(shown)] == [
        ["num_detections", "2"],
        ["boxes", "[1 3 30 40], [5 6 7 8]"],
        ["scores", "0.75, 0.5"],
        ["classes", "3, 0"],
        ["labels", '"car"'],
        ["embedding", "0, 0, 0"],
        ["person_boxes", "none"],
    ]


def test_entities_are_printed_without_padding() -> None:
    answer = Message(
        [
            Tensor.of("num_entities", np.array([[1]])),
            Tensor.of_bytes("entities", [b"Oslo", b"", b""], [1, 3]),
            Tensor.of("entity_scores", np.array([[0.75, 0, 0]], np.float32)),
            Tensor.of("starts", np.array([[0, -1, -1]])),
        ]
    )

    assert [line.split(maxsplit=1) for line in message_lines(unpadded(answer))] == [
        ["num_entities", "1"],
        ["entities", '"Oslo"'],
        ["entity_scores", "0.75"],
        ["starts", "0"],
    ]


def test_padding_of_a_batch_is_cut_behind_its_longest_item() -> None:
    corners = np.zeros((2, 8, 4), np.float32)
    corners[0, 0], corners[1, :3] = 1, 2
    shown = unpadded(Message([Tensor.of("boxes", corners)]))
    assert shown.tensors[0].shape == (2, 3, 4)


def test_answers_without_boxes_are_left_alone() -> None:
    answer = Message([Tensor.of("probabilities", np.zeros((1, 8), np.float32)), texts("x", "")])
    assert unpadded(answer).tensors == answer.tensors


def test_long_items_have_a_line_each() -> None:
    message = Message([texts("text", "a" * 71, "b" * 71, "c"), texts("label", "x", "y", "z")])
    assert list(message_lines(message)) == [
        '  text   "' + "a" * 71 + '"',
        '         "' + "b" * 71 + '"',
        '         "c"',
        '  label  "x", "y", "z"',
    ]


def test_rows_of_several_items_name_their_item() -> None:
    steps = [
        {"name": "a", "transport": "grpc", "start_us": 0, "duration_us": 1000, "item": 1},
        {"name": "a", "transport": "grpc", "start_us": 0, "duration_us": 1000, "item": 0},
        {"name": "b", "transport": "grpc", "start_us": 0, "duration_us": 1000, "item": 0},
    ]
    lines = list(trace_lines({"steps": steps}, {"a": [("text", texts("text", "x", "y"))]}))
    assert [line.split()[:2] for line in lines[1:]] == [["a", "[1]"], ["a", "[0]"], ["b", "[0]"]]
    alone = list(trace_lines({"steps": steps[1:]}, {"b": [("text", texts("text", "x"))]}))
    assert [line.split()[0] for line in alone[1:]] == ["a", "b", "text"]


def test_table_of_a_trace_with_a_nested_pipeline() -> None:
    trace = {
        "pipeline": "outer",
        "duration_us": 9000,
        "steps": [
            {
                "name": "chain",
                "model": "chain",
                "transport": "in-process",
                "start_us": 10,
                "duration_us": 7000,
                "steps": [
                    {
                        "name": "hear",
                        "model": "hear",
                        "transport": "grpc",
                        "start_us": 20,
                        "duration_us": 6500,
                        "queue_us": 100,
                        "compute_us": 6000,
                        "batch_size": 1,
                    }
                ],
            },
        ],
    }
    lines = list(trace_lines(trace, {"chain": [("text", texts("text", "a"))]}))
    assert [line.split() for line in lines] == [
        ["step", "transport", "start", "queue", "compute", "total"],
        ["chain", "in-process", "0.0", "ms", "-", "-", "7.0", "ms"],
        ["text", '"a"'],
        ["hear", "grpc", "0.0", "ms", "0.1", "ms", "6.0", "ms", "6.5", "ms"],
    ]
    assert len({len(lines[0]), len(lines[1]), len(lines[3])}) == 1


def test_milliseconds() -> None:
    assert [milliseconds(value) for value in (None, 0, 1234567)] == ["-", "0.0 ms", "1,234.6 ms"]
