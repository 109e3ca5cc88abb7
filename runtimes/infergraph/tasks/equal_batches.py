"""Divides pieces of many shapes (images, crops) into batches that need no padding at all."""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def equal_batches(
    shapes: Sequence[Hashable],
    max_size: int,
    *,
    sizes: Sequence[int] | None = None,
    most: int | None = None,
) -> list[list[int]]:
    """Indices of the pieces, in batches of one shape each, in order of first appearance.

    Args:
        shapes: What pieces must share to run together.
        max_size: Most pieces of one batch.
        sizes: How large each piece is (its pixels), the same for pieces of one shape.
        most: The most that a batch is together, if it holds more than one piece.

    Returns:
        Batches of indices into `shapes`; each index is in exactly one.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, shape in enumerate(shapes):
        groups.setdefault(shape, []).append(index)
    batches: list[list[int]] = []
    for group in groups.values():
        count = max_size
        if sizes is not None and most is not None:
            count = min(count, max(1, most // max(1, sizes[group[0]])))
        batches += [group[start : start + count] for start in range(0, len(group), count)]
    return batches
