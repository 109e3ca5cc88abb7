"""Requests of a chosen number of items, made of the items of other requests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from infergraph.v2 import Tensor

from ...payloads import Payload
from ..errors import LoadError

_MOST_BATCHES = 64


def batches_of(payloads: Sequence[Payload], size: int) -> list[Payload]:
    """Requests of `size` items each, in which all items of the payloads have their turn.

    Items whose tensors differ in anything but the values, or whose parameters do, never share a
    request.

    Raises:
        LoadError: a payload has no items that it could be divided into.
    """
    kinds: dict[object, list[Payload]] = {}
    for item in items_of(payloads):
        kinds.setdefault(_kind(item), []).append(item)
    batches = []
    for items in kinds.values():
        # Few enough to be encoded before the run, and at least one.
        for number in range(min(math.ceil(len(items) / size), _MOST_BATCHES)):
            start = number * size
            chosen = [items[(start + place) % len(items)] for place in range(size)]
            batches.append(_joined(chosen))
    return batches


def items_of(payloads: Sequence[Payload]) -> list[Payload]:
    """Each item as a request of its own.

    Raises:
        LoadError: the tensors of a payload do not begin with one same count of items.
    """
    items = []
    for payload in payloads:
        shapes = {tensor.name: list(tensor.shape) for tensor in payload.tensors}
        counts = {tensor.shape[0] if tensor.shape else 0 for tensor in payload.tensors}
        if len(counts) > 1 or 0 in counts:
            shown = ", ".join(f"'{name}' {shape}" for name, shape in shapes.items())
            raise LoadError(
                f"payload '{payload.name}' cannot be divided into items: {shown}; accepted: "
                "inputs whose first size is the same count of items"
            )
        (count,) = counts
        items += [_item(payload, place, count) for place in range(count)]
    return items


def _item(payload: Payload, place: int, count: int) -> Payload:
    tensors = [replace(tensor, data=tensor.data[place : place + 1]) for tensor in payload.tensors]
    name = payload.name if count == 1 else f"{payload.name}[{place}]"
    return replace(payload, name=name, tensors=tensors)


def _kind(item: Payload) -> object:
    tensors = [
        (each.name, each.datatype, each.shape, repr(each.parameters)) for each in item.tensors
    ]
    return (*tensors, repr(sorted(item.parameters.items())), repr(item.outputs))


def _joined(items: Sequence[Payload]) -> Payload:
    first = items[0]
    tensors: list[Tensor] = [
        replace(tensor, data=np.concatenate([item.tensors[place].data for item in items]))
        for place, tensor in enumerate(first.tensors)
    ]
    name = first.name if len(items) == 1 else f"{len(items)} from {first.name}"
    return replace(first, name=name, tensors=tensors)
