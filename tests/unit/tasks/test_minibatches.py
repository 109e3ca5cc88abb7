from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infergraph.tasks.minibatches import minibatches


def test_similar_lengths_share_a_batch() -> None:
    assert minibatches([10, 100, 90, 12, 51], 8) == [[1, 2, 4], [3, 0]]


def test_a_batch_is_no_larger_than_its_limit() -> None:
    assert minibatches([5, 5, 5, 5, 5], 2) == [[0, 1], [2, 3], [4]]


def test_only_equal_lengths_when_filled_fully() -> None:
    assert minibatches([7, 8, 7, 9], 8, min_fill=1) == [[3], [1], [0, 2]]


def test_nothing() -> None:
    assert minibatches([], 4) == []


@given(
    st.lists(st.integers(1, 500), max_size=40),
    st.integers(1, 8),
    st.sampled_from([0.0, 0.5, 0.9, 1.0]),
)
def test_each_piece_once_in_a_full_enough_batch(
    lengths: list[int], max_size: int, min_fill: float
) -> None:
    batches = minibatches(lengths, max_size, min_fill=min_fill)

    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        sizes = [lengths[index] for index in batch]
        assert 1 <= len(batch) <= max_size
        assert min(sizes) >= min_fill * max(sizes)
        assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("max_size", [1, 3])
def test_the_same_lengths_are_always_divided_alike(max_size: int) -> None:
    lengths = [3, 9, 3, 9, 3]
    assert minibatches(lengths, max_size) == minibatches(list(lengths), max_size)
