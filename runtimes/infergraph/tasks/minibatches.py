"""Divides pieces of uneven length (audio chunks, text windows) into batches that pad little."""

from __future__ import annotations

from collections.abc import Sequence


def minibatches(lengths: Sequence[int], max_size: int, *, min_fill: float = 0.5) -> list[list[int]]:
    """Indices of the pieces, longest first, in batches of similar length.

    Args:
        lengths: The length of each piece.
        max_size: Most pieces of one batch.
        min_fill: The shortest piece of a batch is at least this share of its longest; 1 puts only
            pieces of equal length together.

    Returns:
        Batches of indices into `lengths`; each index is in exactly one.
    """
    batches: list[list[int]] = []
    # Equal lengths keep their order, so that the same request is always divided alike.
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if (
            not batches
            or len(batches[-1]) == max_size
            or lengths[index] < min_fill * lengths[batches[-1][0]]
        ):
            batches.append([])
        batches[-1].append(index)
    return batches
