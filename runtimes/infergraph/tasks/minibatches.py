"""Divides pieces into batches: of uneven length (audio chunks, windows of text) into such that pad
little, of many shapes (images, crops) into such that pad nothing."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

MAX_BATCH_TOKENS = 2**14
"""Most tokens of texts that run together, unless a setting says otherwise: 32 of 512."""

_DEAREST = 1e12
_CALL_SHARE = 1 / 8
"""What a network call costs at least, as a share of the longest piece: with it, some tenth of what
is computed is padding where lengths are spread evenly."""


def minibatches(
    lengths: Sequence[int],
    max_size: int,
    *,
    min_fill: float = 0.5,
    call: float = 0,
    most: float = float("inf"),
) -> list[list[int]]:
    """Indices of the pieces, longest first, in batches of similar length.

    Of all divisions it is the one that costs least: padding is computed like anything else, and
    each network call costs something too.

    Args:
        lengths: The length of each piece.
        max_size: Most pieces of one batch.
        min_fill: The shortest piece of a batch is at least this share of its longest; 1 puts only
            pieces of equal length together.
        call: What a network call costs, in the unit of the lengths, if more than an eighth of the
            longest piece; see `call_cost`. Infinity gives the fewest batches.
        most: The most that a batch is together, padding included, if it holds more than one piece.

    Returns:
        Batches of indices into `lengths`; each index is in exactly one.
    """
    # Equal lengths keep their order, so that the same request is always divided alike.
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    call = min(max([call, *(_CALL_SHARE * lengths[index] for index in order[:1])]), _DEAREST)
    # The least that the first pieces cost, for any number of them, and where their last batch
    # begins.
    costs, begins = [0.0], [0]
    for end in range(1, len(order) + 1):
        best, begin = float("inf"), end - 1
        for first in range(end - 1, max(0, end - max_size) - 1, -1):
            longest, count = lengths[order[first]], end - first
            if count > 1 and (
                lengths[order[end - 1]] < min_fill * longest or count * longest > most
            ):
                break
            cost = costs[first] + count * longest + call
            if cost < best:
                best, begin = cost, first
        costs.append(best)
        begins.append(begin)
    batches: list[list[int]] = []
    end = len(order)
    while end:
        batches.append(order[begins[end] : end])
        end = begins[end]
    return batches[::-1]


def call_cost(network: Any) -> float:
    """What a call of a network costs whatever its size, in tokens or frames.

    Measured on a CPU: the weights are read once, which is as much as some tokens, and each layer is
    begun, which matters to small networks. On other devices it is the beginning that counts.
    """
    weights = list(network.parameters())
    if any(weight.device.type != "cpu" for weight in weights):
        return 1024
    count: int = sum(weight.numel() for weight in weights)
    return 8 + 4e7 / max(1, count)


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
