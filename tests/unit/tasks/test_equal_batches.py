from __future__ import annotations

from infergraph.tasks.equal_batches import equal_batches


def test_only_equal_shapes_share_a_batch() -> None:
    assert equal_batches(["a", "b", "a", "a", "c", "b"], 2) == [[0, 2], [3], [1, 5], [4]]


def test_nothing() -> None:
    assert equal_batches([], 3) == []
