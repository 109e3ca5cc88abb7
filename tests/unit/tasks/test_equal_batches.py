from __future__ import annotations

from infergraph.tasks.equal_batches import equal_batches


def test_only_equal_shapes_share_a_batch() -> None:
    assert equal_batches(["a", "b", "a", "a", "c", "b"], 2) == [[0, 2], [3], [1, 5], [4]]


def test_a_batch_is_no_larger_than_its_limit() -> None:
    shapes, sizes = ["a", "b", "a", "b", "a"], [40, 200, 40, 200, 40]

    # What is larger by itself is alone.
    assert equal_batches(shapes, 8, sizes=sizes, most=100) == [[0, 2], [4], [1], [3]]
    assert equal_batches(shapes, 2, sizes=sizes, most=500) == [[0, 2], [4], [1, 3]]


def test_nothing() -> None:
    assert equal_batches([], 3) == []
