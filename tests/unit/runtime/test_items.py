from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from infergraph.errors import InvalidInput, StageFailure
from infergraph.runtime.items import batch_key, join, split
from infergraph.tensors import TensorSpec
from infergraph.v2 import Message, Tensor

WHERE = "model 'm'"


def tensors_of(outputs: list[dict[str, Any]], *declared: TensorSpec) -> dict[str, tuple[str, Any]]:
    return {
        tensor.name: (tensor.datatype, tensor.data.tolist())
        for tensor in join(outputs, declared, WHERE)
    }


# split


def test_each_item_gets_its_own_row() -> None:
    message = Message(
        [
            Tensor.of_bytes("audio", [b"RIFF", b"fLaC"]),
            Tensor.of_bytes("question", ["é".encode(), b""]),
            Tensor.of("boxes", np.arange(12, dtype=np.float32).reshape(2, 3, 2)),
            Tensor.of("count", np.array([7, 8])),
        ]
    )

    first, second = split(message, 2, frozenset({"question"}), WHERE)

    assert [first["audio"], second["audio"]] == [b"RIFF", b"fLaC"]
    assert [first["question"], second["question"]] == ["é", ""]
    assert first["boxes"].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert second["boxes"].tolist() == [[6, 7], [8, 9], [10, 11]]
    assert np.shares_memory(first["boxes"], message.tensors[2].data)
    assert [first["count"], second["count"]] == [7, 8]


def test_several_elements_per_item_stay_an_array() -> None:
    labels = Tensor.of_bytes("labels", [b"car", b"bus", b"cat", b"dog"], [2, 2])

    items = split(Message([labels]), 2, frozenset(), WHERE)

    assert [item["labels"].tolist() for item in items] == [[b"car", b"bus"], [b"cat", b"dog"]]


@pytest.mark.parametrize(
    ("texts", "place"), [([b"\xc3"], "tensor 'q'"), ([b"a", b"\xc3"], "tensor 'q', item 1")]
)
def test_text_that_is_not_utf8_names_its_place(texts: list[bytes], place: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        split(Message([Tensor.of_bytes("q", texts)]), len(texts), frozenset({"q"}), WHERE)

    assert str(caught.value) == (
        f"{WHERE}: {place}: not valid UTF-8 (byte 0 is 0xc3); accepted: UTF-8 text"
    )


# batch_key


def numbers(*shape: int, name: str = "x", dtype: type = np.int64) -> Message:
    return Message([Tensor.of(name, np.zeros(shape, dtype))])


def test_the_key_ignores_values_and_batch_size() -> None:
    assert batch_key(numbers(1, 4), None) == batch_key(numbers(9, 4), None)
    assert hash(batch_key(numbers(1, 4), None)) == hash(batch_key(numbers(9, 4), None))


@pytest.mark.parametrize(
    "other",
    [
        numbers(1, 5),
        numbers(1, 4, 1),
        numbers(1, 4, name="z"),
        numbers(1, 4, dtype=np.int32),
        Message([*numbers(1, 4).tensors, *numbers(1, 4, name="z").tensors]),
    ],
)
def test_the_key_tells_apart_what_cannot_run_together(other: Message) -> None:
    assert batch_key(numbers(1, 4), None) != batch_key(other, None)


def test_the_key_tells_parameters_apart() -> None:
    assert batch_key(numbers(1, 4), "greedy") == batch_key(numbers(2, 4), "greedy")
    assert batch_key(numbers(1, 4), "greedy") != batch_key(numbers(1, 4), "beam")


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
