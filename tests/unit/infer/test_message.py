from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from infergraph_clients.infer.message import Answer, Request
from infergraph_clients.infer.tensors import Tensor


def tensor(name: str = "x", *shape: int, fill: float = 0.0) -> Tensor:
    return Tensor(name, "FP32", np.full(shape, fill, np.float32))


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
    assert Request("m", [tensor("x", *shape) for shape in shapes]).items == items


@pytest.mark.parametrize(
    ("parameters", "trace"),
    [
        ({"trace": '{"duration_us": 5}'}, {"duration_us": 5}),
        ({}, None),
        ({"trace": True}, None),
        ({"trace": "no JSON"}, None),
        ({"trace": "[1]"}, None),
    ],
)
def test_the_trace_is_json_in_a_parameter(parameters: dict[str, Any], trace: Any) -> None:
    assert Answer("m", [], parameters).trace == trace


def test_answers_that_say_the_same() -> None:
    text = Tensor("text", "BYTES", np.array([[b"a"]], dtype=object))
    one = Answer("m", [tensor("x", 1, 2), text], {"trace": "1"}, "id-1")
    assert one.says_the_same(Answer("", [tensor("x", 1, 2), text], {"trace": "2"}, "id-2"))


@pytest.mark.parametrize(
    "other",
    [
        [],
        [tensor("y", 1, 2)],
        [tensor("x", 2, 1)],
        [tensor("x", 1, 2, fill=1e-45)],
        [tensor("x", 1, 2), tensor("y", 1, 2)],
        [Tensor("x", "INT32", np.zeros((1, 2), np.int32))],
    ],
)
def test_answers_that_differ(other: list[Tensor]) -> None:
    assert not Answer("m", [tensor("x", 1, 2)]).says_the_same(Answer("m", other))
