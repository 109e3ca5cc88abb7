from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from mlserver.errors import MLServerError

from infergraph.errors import StageFailure
from infergraph.runtime import Item, Outputs, Runtime
from infergraph.runtime.outputs import divided_rows, join, join_arrays
from infergraph.tensors import TensorSpec
from infergraph.v2 import Tensor
from tests.unit.runtime.workbench import build, load, rest, values

WHERE = "model 'm'"
ROUTED = {
    "text": ("BYTES", [-1, 1]),
    "accepted": ("FP32", [-1, 1]),
    "escalate": ("FP32", [-1, 1]),
}


class Router(Runtime):
    """Accepts even numbers and escalates odd ones."""

    def predict_batch(self, items: Sequence[Item], parameters: Any) -> list[Outputs]:
        return [
            {"text": str(value), "escalate" if value % 2 else "accepted": value / 2}
            for item in items
            for value in [int(item["x"][0])]
        ]


async def routed(numbers: list[int], outputs: Sequence[str] = ()) -> dict[str, list[Any]]:
    model = await load(Router, outputs=ROUTED, optional_outputs=["accepted", "escalate"])
    return values(await model.predict(rest(numbers, outputs=outputs)))


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([2], {"text": ["2"], "accepted": [1.0]}),
        ([3], {"text": ["3"], "escalate": [1.5]}),
        ([2, 4], {"text": ["2", "4"], "accepted": [1.0, 2.0]}),
        (
            [2, 3, 5, 6],
            {
                "text": ["2", "3", "5", "6"],
                "accepted": [1.0, 3.0],
                "accepted_item": [0, 3],
                "escalate": [1.5, 2.5],
                "escalate_item": [1, 2],
            },
        ),
    ],
)
async def test_conditional_outputs(numbers: list[int], expected: dict[str, list[Any]]) -> None:
    assert await routed(numbers) == expected


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        (["text"], {"text": ["2", "3"]}),
        (["escalate_item", "escalate"], {"escalate": [1.5], "escalate_item": [1]}),
    ],
)
async def test_requested_outputs(requested: list[str], expected: dict[str, list[Any]]) -> None:
    assert await routed([2, 3], requested) == expected


class Fixed(Runtime):
    """Gives one set of outputs for each item, whatever the item."""

    given: list[Outputs]

    def predict_batch(self, items: Sequence[Item], parameters: Any) -> list[Outputs]:
        return self.given[: len(items)]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            [{"y": 1, "extra": 2}],
            "the model gave outputs ['extra', 'y']; declared: ['maybe', 'y'], "
            "of them optional: ['maybe']",
        ),
        (
            [{"maybe": "a"}],
            "the model gave outputs ['maybe']; declared: ['maybe', 'y'], "
            "of them optional: ['maybe']",
        ),
        (
            [{"y": 1.5}],
            "the model gave output 'y' as FP64 [1, 1]; declared: INT64 [-1, 1]",
        ),
        (
            [{"y": "a"}],
            "the model gave output 'y' as BYTES [1, 1]; declared: INT64 [-1, 1]",
        ),
        (
            [{"y": np.zeros(3, np.int64)}],
            "the model gave output 'y' as INT64 [1, 3]; declared: INT64 [-1, 1]",
        ),
    ],
)
async def test_outputs_that_are_not_as_declared(given: list[Outputs], text: str) -> None:
    outputs = {"y": ("INT64", [-1, 1]), "maybe": ("BYTES", [-1, 1])}
    model = build(Fixed, outputs=outputs, optional_outputs=["maybe"])
    await model.load()
    model.given = given

    with pytest.raises(MLServerError) as caught:
        await model.predict(rest([0] * len(given)))

    assert caught.value.status_code == 500
    assert str(caught.value) == f"model 'model': {text}"


async def test_a_model_that_does_not_implement_predict_batch() -> None:
    model = await load(Runtime)

    with pytest.raises(MLServerError, match="it failed with NotImplementedError"):
        await model.predict(rest([1]))


def tensors_of(outputs: list[dict[str, Any]], *declared: TensorSpec) -> dict[str, tuple[str, Any]]:
    return {
        tensor.name: (tensor.datatype, tensor.data.tolist())
        for tensor in join(outputs, declared, WHERE)
    }


# join: stacking


@pytest.mark.parametrize(
    ("values", "tensor"),
    [
        ([1, 2], ("INT64", [[1], [2]])),
        ([0.5], ("FP64", [[0.5]])),
        ([True, False], ("BOOL", [[True], [False]])),
        ([np.float32(0.25)], ("FP32", [[0.25]])),
        (["é", b"\xff"], ("BYTES", [["é".encode()], [b"\xff"]])),
        ([np.zeros(2, np.int8), np.ones(2, np.int8)], ("INT8", [[0, 0], [1, 1]])),
        ([[1, 2]], ("INT64", [[1, 2]])),
        ([["car", "é"]], ("BYTES", [[b"car", "é".encode()]])),
        ([[b"a\x00", b""]], ("BYTES", [[b"a\x00", b""]])),
        ([np.array(["car", b"\x00"], object)], ("BYTES", [[b"car", b"\x00"]])),
        (
            [np.array(["car", "bus"]), np.array(["a", "b"])],
            ("BYTES", [[b"car", b"bus"], [b"a", b"b"]]),
        ),
        ([np.zeros((0, 4), np.float32)], ("FP32", [[]])),
    ],
)
def test_undeclared_outputs_follow_from_the_values(
    values: list[Any], tensor: tuple[str, Any]
) -> None:
    assert tensors_of([{"y": value} for value in values]) == {"y": tensor}


@pytest.mark.parametrize(
    ("datatype", "value", "expected"),
    [
        ("FP32", 0.5, 0.5),
        ("FP16", np.float32(0.5), 0.5),
        ("FP32", 3, 3.0),
        ("INT32", 7, 7),
        ("INT64", np.int8(7), 7),
        ("UINT8", np.uint8(7), 7),
        ("FP64", np.float32(0.5), 0.5),
    ],
)
def test_numbers_take_the_declared_datatype(datatype: str, value: Any, expected: Any) -> None:
    spec = TensorSpec("y", datatype, (-1, 1))

    assert tensors_of([{"y": value}], spec) == {"y": (datatype, [[expected]])}


def test_declared_shapes_of_one_dimension_are_honoured() -> None:
    declared = (TensorSpec("text", "BYTES", (-1,)), TensorSpec("score", "FP32", (-1,)))
    outputs = [{"text": "a", "score": 0.5}, {"text": "b", "score": 0.25}]

    assert tensors_of(outputs, *declared) == {
        "text": ("BYTES", [b"a", b"b"]),
        "score": ("FP32", [0.5, 0.25]),
    }


def test_declared_outputs_come_in_the_declared_order() -> None:
    declared = (TensorSpec("b", "INT64", (-1, 1)), TensorSpec("a", "INT64", (-1, 1)))

    assert list(tensors_of([{"a": 1, "b": 2}], *declared)) == ["b", "a"]


def test_a_lone_items_array_is_not_copied() -> None:
    boxes = np.zeros((1000, 4), np.float32)

    (tensor,) = join([{"boxes": boxes}], (), WHERE)

    assert tensor.shape == (1, 1000, 4)
    assert np.shares_memory(tensor.data, boxes)


@pytest.mark.parametrize("values", [[[1, 2], [1]], [[[1]], [1]], [[b"a", b"b"], [b"c"]]])
def test_items_of_different_shapes_do_not_stack(values: list[Any]) -> None:
    with pytest.raises(StageFailure, match="the items' outputs 'y' have different shapes"):
        join([{"y": value} for value in values], (), WHERE)


@pytest.mark.parametrize("value", [None, [None], ["a", 1], object()])
def test_what_is_neither_number_nor_string(value: Any) -> None:
    with pytest.raises(TypeError, match=r"an output holds .* beside numbers or strings"):
        join([{"y": value}], (), WHERE)


# join: conditions


def test_a_tensor_of_some_items_names_them() -> None:
    outputs = [{"a": 1}, {"a": 2, "b": "x"}, {"a": 3}, {"a": 4, "b": "y"}]

    assert tensors_of(outputs) == {
        "a": ("INT64", [[1], [2], [3], [4]]),
        "b": ("BYTES", [[b"x"], [b"y"]]),
        "b_item": ("INT64", [[1], [3]]),
    }


def test_a_tensor_of_no_item_is_left_out() -> None:
    spec = TensorSpec("y", "INT64", (-1, 1), optional=True)

    assert tensors_of([{}, {}], spec) == {}


def test_a_required_output_that_one_item_lacks() -> None:
    spec = TensorSpec("y", "INT64", (-1, 1))

    with pytest.raises(StageFailure) as caught:
        join([{"y": 1}, {}], (spec,), WHERE)

    assert str(caught.value) == f"{WHERE}: the model gave outputs []; declared: ['y']"


# join_arrays


def arrays_of(*blocks: dict[str, Any], declared: tuple[TensorSpec, ...] = ()) -> dict[str, Any]:
    return {
        tensor.name: (tensor.datatype, tensor.data.tolist())
        for tensor in join_arrays(blocks, declared, WHERE)
    }


def test_blocks_are_put_together_in_order() -> None:
    assert arrays_of({"y": np.array([[1], [2]])}, {"y": np.array([[3]])}) == {
        "y": ("INT64", [[1], [2], [3]])
    }


def test_arrays_take_the_declared_datatype_and_order() -> None:
    declared = (TensorSpec("b", "FP32", (-1,)), TensorSpec("a", "BYTES", (-1, 2)))

    assert arrays_of({"a": np.array([["é", "x"]]), "b": np.array([3])}, declared=declared) == {
        "b": ("FP32", [3.0]),
        "a": ("BYTES", [["é".encode(), b"x"]]),
    }


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ({}, "the model gave outputs []; declared: ['y']"),
        ({"y": np.zeros((2, 1)), "z": np.zeros((2, 1))}, "the model gave outputs ['y', 'z']"),
        (
            {"y": np.zeros((2, 3), np.int64)},
            "the model gave output 'y' as INT64 [2, 3]; declared: INT64 [-1, 1]",
        ),
        ({"y": np.zeros((2, 1))}, "the model gave output 'y' as FP64 [2, 1]; declared: INT64"),
    ],
)
def test_arrays_that_are_not_as_declared(block: dict[str, Any], text: str) -> None:
    with pytest.raises(StageFailure) as caught:
        join_arrays([block], (TensorSpec("y", "INT64", (-1, 1)),), WHERE)

    assert str(caught.value).startswith(f"{WHERE}: {text}")


def test_the_rows_of_a_batch_go_to_the_blocks_that_they_came_from() -> None:
    parts = divided_rows({"y": np.arange(6).reshape(6, 1)}, [1, 3, 2], WHERE)

    assert [part["y"].ravel().tolist() for part in parts] == [[0], [1, 2, 3], [4, 5]]


@pytest.mark.parametrize("value", [np.zeros((5, 1)), np.zeros(()), 3])
def test_arrays_without_a_row_for_each_one_of_the_batch_are_not_divided(value: Any) -> None:
    with pytest.raises(StageFailure, match=r"output 'y' of shape .* for 6 rows"):
        divided_rows({"y": value}, [1, 3, 2], WHERE)


# Sharing


@pytest.mark.parametrize("count", [1, 2])
def test_tensors_of_an_answer_cannot_be_written_into(count: int) -> None:
    given = np.zeros(3)
    outputs = [{"x": given, "n": 1, "text": "a"} | ({"some": 2} if n else {}) for n in range(count)]
    tensors: list[Tensor] = [
        *join(outputs, (), WHERE),
        *join(outputs, (), WHERE),
        *join_arrays([{"x": np.zeros((2, 3))}] * count, (), WHERE),
    ]

    for tensor in tensors:
        with pytest.raises(ValueError, match="read-only"):
            tensor.data[...] = tensor.data
    # The task's own array is left as it was.
    given[0] = 1
