"""An answer item by item."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from infergraph.v2 import Tensor

from ..transports import Answer

ITEM_SUFFIX = "_item"
"""Ends the name of the tensor that tells the item of each row of the tensor before it."""
ERRORS = ("error", "error_status", "error_item")
"""End the answer of a pipeline that runs per item, where some items failed and others did not."""


@dataclass
class Item:
    """What an answer says of one item of the batch.

    Attributes:
        tensors: The rows of each output that the item has; mostly one row.
        errors: Status and text, where the item failed and others did not.
    """

    tensors: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    errors: list[tuple[int, str]] = field(default_factory=list)


def by_item(answer: Answer, count: int) -> list[Item] | None:
    """The items of the answer to a batch of `count`; None where its rows are no items."""
    tensors = list(answer.tensors)
    items = [Item() for _ in range(count)]
    if [tensor.name for tensor in tensors[-3:]] == list(ERRORS):
        error, status, item = (tensor.data.ravel() for tensor in tensors[-3:])
        if not _are_items(item, count) or not len(error) == len(status) == len(item):
            return None
        for text, code, number in zip(error, status, item, strict=True):
            items[int(number)].errors.append((int(code), text.decode(errors="replace")))
        del tensors[-3:]
    while tensors:
        tensor = tensors.pop(0)
        if not tensor.shape:
            return None
        if tensors and _tells_items(tensors[0], tensor):
            rows = tensors.pop(0).data.ravel()
        elif tensor.shape[0] == count:
            rows = np.arange(count)
        else:
            return None
        if not _are_items(rows, count):
            return None
        for number, item_ in enumerate(items):
            own = tensor.data[rows == number]
            if len(own):
                item_.tensors[tensor.name] = own
    return items


def _tells_items(tensor: Tensor, of: Tensor) -> bool:
    named = tensor.name == of.name + ITEM_SUFFIX and tensor.datatype == "INT64"
    return named and tensor.data.size == of.shape[0]


def _are_items(rows: npt.NDArray[Any], count: int) -> bool:
    return bool(np.all((rows >= 0) & (rows < count))) if rows.dtype.kind in "iu" else False
