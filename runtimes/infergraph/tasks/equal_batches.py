"""Divides pieces of many shapes (images, crops) into batches that need no padding at all."""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def equal_batches(shapes: Sequence[Hashable], max_size: int) -> list[list[int]]:
    """Indices of the pieces, in batches of one shape each, in order of first appearance.

    Args:
        shapes: What pieces must share to run together.
        max_size: Most pieces of one batch.

    Returns:
        Batches of indices into `shapes`; each index is in exactly one.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, shape in enumerate(shapes):
        groups.setdefault(shape, []).append(index)
    return [
        group[start : start + max_size]
        for group in groups.values()
        for start in range(0, len(group), max_size)
    ]
