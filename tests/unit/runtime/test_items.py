from __future__ import annotations

import numpy as np
import pytest

from infergraph.errors import InvalidInput
from infergraph.runtime.items import batch_key, held_bytes, merged_rows, rows_of, split
from infergraph.v2 import Message, Tensor

WHERE = "model 'm'"


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


# rows


def test_a_request_that_fits_is_handed_over_as_it_came() -> None:
    message = numbers(4, 3)

    ((arrays, rows),) = rows_of(message, 4, 4)

    assert rows == 4
    assert arrays["x"] is message.tensors[0].data


def test_a_larger_request_is_cut_into_blocks_of_rows_that_share_its_memory() -> None:
    message = Message([Tensor.of("x", np.arange(10).reshape(5, 2)), Tensor.of("y", np.arange(5.0))])

    blocks = rows_of(message, 5, 2)

    assert [rows for _, rows in blocks] == [2, 2, 1]
    assert [arrays["y"].tolist() for arrays, _ in blocks] == [[0, 1], [2, 3], [4]]
    assert blocks[2][0]["x"].tolist() == [[8, 9]]
    assert all(np.shares_memory(arrays["x"], message.tensors[0].data) for arrays, _ in blocks)


def test_blocks_are_merged_row_after_row() -> None:
    first, second = {"x": np.array([[1], [2]])}, {"x": np.array([[3]])}

    merged = merged_rows([first, second])

    assert merged["x"].tolist() == [[1], [2], [3]]
    # As a lone request's arrays, which come from the wire or from another step.
    assert not merged["x"].flags.writeable
    assert merged_rows([first]) is first


# size


def test_the_size_of_a_message_counts_what_its_bytes_elements_hold() -> None:
    text = Tensor.of_bytes("text", [b"a" * 100, b""])

    assert held_bytes(numbers(4, 3)) == 96
    assert held_bytes(Message([text])) == 100 + text.data.nbytes
    assert held_bytes(Message([*numbers(4, 3).tensors, text])) == 196 + text.data.nbytes
