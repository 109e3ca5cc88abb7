from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from infergraph.v2 import Tensor
from infergraph_clients.infer.items import by_item
from infergraph_clients.transports import Answer


def texts(name: str, *values: str) -> Tensor:
    return Tensor.of_bytes(name, [value.encode() for value in values])


def integers(name: str, *values: int, datatype: str = "INT64") -> Tensor:
    dtype = {"INT64": np.int64, "INT32": np.int32}[datatype]
    return Tensor(name, datatype, np.array(values, dtype).reshape(-1, 1))


def told(count: int, *tensors: Tensor) -> Any:
    """Per item its values by name, and its errors."""
    items = by_item(Answer(tensors), count)
    if items is None:
        return None
    return [
        ({name: rows.ravel().tolist() for name, rows in item.tensors.items()}, item.errors)
        for item in items
    ]


def test_each_row_is_an_item() -> None:
    assert told(2, texts("label", "good", "bad"), integers("score", 3, 4)) == [
        ({"label": [b"good"], "score": [3]}, []),
        ({"label": [b"bad"], "score": [4]}, []),
    ]


def test_a_tensor_of_some_items_comes_with_their_numbers() -> None:
    assert told(3, texts("french", "oui", "non"), integers("french_item", 2, 0)) == [
        ({"french": [b"non"]}, []),
        ({}, []),
        ({"french": [b"oui"]}, []),
    ]


def test_an_item_may_have_several_rows_and_its_tensor_none() -> None:
    assert told(2, texts("part", "a", "b"), integers("part_item", 1, 1)) == [
        ({}, []),
        ({"part": [b"a", b"b"]}, []),
    ]


def test_failed_items_have_status_and_text() -> None:
    answer = [
        texts("label", "good"),
        integers("label_item", 0),
        texts("error", "it is Italian"),
        integers("error_status", 400),
        integers("error_item", 1),
    ]
    assert told(2, *answer) == [({"label": [b"good"]}, []), ({}, [(400, "it is Italian")])]


def test_an_output_may_be_called_error() -> None:
    assert told(1, texts("error", "none")) == [({"error": [b"none"]}, [])]


def test_a_tensor_that_only_ends_like_a_companion_is_an_output() -> None:
    assert told(2, texts("last", "a", "b"), texts("last_item", "c", "d")) == [
        ({"last": [b"a"], "last_item": [b"c"]}, []),
        ({"last": [b"b"], "last_item": [b"d"]}, []),
    ]
    assert told(2, integers("n", 7, 8), integers("n_item", 0, 1, datatype="INT32")) == [
        ({"n": [7], "n_item": [0]}, []),
        ({"n": [8], "n_item": [1]}, []),
    ]


@pytest.mark.parametrize(
    "tensors",
    [
        [texts("label", "a", "b", "c")],
        [texts("label", "a"), integers("label_item", 2)],
        [texts("label", "a"), integers("label_item", -1)],
        [Tensor("loss", "FP32", np.array(0.5, np.float32))],
        [texts("error", "x"), integers("error_status", 400), integers("error_item", 9)],
        [texts("error", "x", "y"), integers("error_status", 400), integers("error_item", 0)],
    ],
)
def test_rows_that_are_no_items(tensors: list[Tensor]) -> None:
    assert told(2, *tensors) is None
