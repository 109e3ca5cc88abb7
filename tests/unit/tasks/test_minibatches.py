from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from infergraph.tasks.minibatches import call_cost, equal_batches, minibatches


def test_similar_lengths_share_a_batch() -> None:
    assert minibatches([10, 100, 90, 12, 51], 8) == [[1, 2], [4], [3, 0]]


def test_a_batch_is_no_larger_than_its_limit() -> None:
    assert minibatches([5, 5, 5, 5, 5], 2) == [[0, 1], [2, 3], [4]]


def test_only_equal_lengths_when_filled_fully() -> None:
    assert minibatches([7, 8, 7, 9], 8, min_fill=1) == [[3], [1], [0, 2]]


def test_a_call_that_costs_much_is_saved_by_padding() -> None:
    lengths = [10, 9, 6, 5]

    assert minibatches(lengths, 8) == [[0, 1], [2, 3]]
    assert minibatches(lengths, 8, call=40) == [[0, 1, 2, 3]]
    assert minibatches([9, 5, 4, 2, 1], 8, call=float("inf")) == [[0], [1, 2], [3, 4]]


def test_a_batch_is_no_more_work_than_its_limit() -> None:
    lengths = [500, 30, 30, 30, 20]

    # Padding counts, and what is more by itself is alone.
    assert minibatches(lengths, 8, min_fill=0, call=1000, most=100) == [[0], [1, 2, 3], [4]]


@pytest.mark.parametrize("shortest", [5, 20, 60])
@pytest.mark.parametrize("count", [16, 32, 128])
def test_less_than_a_tenth_is_padding_where_lengths_are_spread(shortest: int, count: int) -> None:
    lengths = [shortest + (120 - shortest) * index // count for index in range(count)]

    batches = minibatches(lengths, 32)

    computed = sum(lengths[batch[0]] * len(batch) for batch in batches)
    assert computed < sum(lengths) / 0.9
    assert len(batches) < count / 1.5


def test_thousands_of_pieces_are_divided_as_well() -> None:
    batches = minibatches([512] * 3000, 32, most=2**14)

    assert [len(batch) for batch in batches] == [32] * 93 + [24]


def test_a_small_network_is_called_less_often() -> None:
    small, large = torch.nn.Linear(100, 100), torch.nn.Linear(1000, 1000)

    assert call_cost(small) > call_cost(large) > 8
    assert call_cost(torch.nn.Linear(3, 3, device="meta")) == 1024


def test_nothing() -> None:
    assert minibatches([], 4) == []


@given(
    st.lists(st.integers(1, 500), max_size=40),
    st.integers(1, 8),
    st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    st.sampled_from([0.0, 30.0, 5000.0]),
    st.sampled_from([1.0, 700.0, float("inf")]),
)
def test_each_piece_once_in_a_full_enough_batch(
    lengths: list[int], max_size: int, min_fill: float, call: float, most: float
) -> None:
    batches = minibatches(lengths, max_size, min_fill=min_fill, call=call, most=most)

    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        sizes = [lengths[index] for index in batch]
        assert 1 <= len(batch) <= max_size
        assert min(sizes) >= min_fill * max(sizes)
        assert sizes == sorted(sizes, reverse=True)
        assert len(sizes) == 1 or len(sizes) * sizes[0] <= most


@pytest.mark.parametrize("max_size", [1, 3])
def test_the_same_lengths_are_always_divided_alike(max_size: int) -> None:
    lengths = [3, 9, 3, 9, 3]
    assert minibatches(lengths, max_size) == minibatches(list(lengths), max_size)


def test_only_equal_shapes_share_a_batch() -> None:
    assert equal_batches(["a", "b", "a", "a", "c", "b"], 2) == [[0, 2], [3], [1, 5], [4]]


def test_a_batch_of_equals_is_no_larger_than_its_limit() -> None:
    shapes, sizes = ["a", "b", "a", "b", "a"], [40, 200, 40, 200, 40]

    # What is larger by itself is alone.
    assert equal_batches(shapes, 8, sizes=sizes, most=100) == [[0, 2], [4], [1], [3]]
    assert equal_batches(shapes, 2, sizes=sizes, most=500) == [[0, 2], [4], [1, 3]]


def test_nothing_is_no_batch_of_equals() -> None:
    assert equal_batches([], 3) == []
