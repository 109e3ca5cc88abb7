from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from infergraph.errors import InvalidInput
from infergraph.tensors.partial import ERROR_TENSORS, select
from infergraph.v2 import Message, Tensor
from infergraph.v2.request import RequestedOutput


def message(*names: str, **fields: Any) -> Message:
    return Message([Tensor.of(name, np.array([[1, 5]])) for name in names], "7", **fields)


def names(given: Message, *requested: str, declared: tuple[str, ...] = ()) -> list[str]:
    outputs = [RequestedOutput(name) for name in requested]
    return select(given, outputs, declared, "model 'asr'").names()


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        ([], ["a", "b", "c"]),
        (["b"], ["b"]),
        (["c", "a"], ["a", "c"]),
        (["a", "a"], ["a"]),
    ],
)
def test_requested_outputs(requested: list[str], expected: list[str]) -> None:
    assert names(message("a", "b", "c"), *requested) == expected


def test_the_rest_of_the_message_stays() -> None:
    given = message("a", parameters={"p": 1}, trace={"t": 1})

    found = select(given, [RequestedOutput("a")], (), "model 'asr'")

    assert (found.id, found.parameters, found.trace) == ("7", {"p": 1}, {"t": 1})


def test_a_requested_output_that_is_not_there() -> None:
    with pytest.raises(InvalidInput) as caught:
        names(message("a", "b"), "a", "z")
    assert str(caught.value) == "model 'asr': no output tensor 'z'; accepted: a, b"

    with pytest.raises(InvalidInput, match="no output tensor 'z'; accepted: none"):
        names(message(), "z")


def test_a_declared_output_that_this_answer_leaves_out_may_be_requested() -> None:
    given = message("a", "b", "b_item")

    assert names(given, "b", "c", declared=("a", "b", "c")) == ["b", "b_item"]


def test_errors_of_items_are_there_whatever_outputs_are_requested() -> None:
    given = message("a", "a_item", "b", "b_item", *ERROR_TENSORS)

    assert names(given, "b", declared=("a", "b")) == ["b", "b_item", *ERROR_TENSORS]


def test_classes_take_their_tensors_place() -> None:
    given = message("a", "b")

    found = select(given, [RequestedOutput("b", 1), RequestedOutput("a")], (), "model 'asr'")

    assert [each.datatype for each in found.tensors] == ["INT64", "BYTES"]
    assert found.tensors[1].data.tolist() == [[b"5:1"]]
    assert given.tensors[1].datatype == "INT64"


def test_a_long_name_is_cut_in_the_error() -> None:
    with pytest.raises(InvalidInput) as caught:
        names(message("a"), "z" * 10_000)
    assert len(str(caught.value)) < 400
