"""Answers of which some items have no part: rows that name their item, and items that failed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import InfergraphError, from_status
from ..v2 import Message, Tensor

ITEM_SUFFIX = "_item"
"""Ends the name of the tensor that tells the item of each row of another tensor."""

ERROR_TENSORS = ("error", "error_status", "error_item")
"""Of the items that failed where others did not, each [failed, 1]: BYTES texts, INT64 HTTP
statuses, and INT64 items. They end a message."""


def item_tensor(name: str, items: npt.ArrayLike) -> Tensor:
    """`<name>_item` INT64 [rows, 1], the item of each row of `name`."""
    return Tensor(name + ITEM_SUFFIX, "INT64", np.array(items, dtype=np.int64).reshape(-1, 1))


def error_tensors(failed: Sequence[tuple[int, InfergraphError]]) -> list[Tensor]:
    """The `ERROR_TENSORS` of items and their errors."""
    error, status, _ = ERROR_TENSORS
    statuses = np.array([[each.status_code] for _, each in failed], dtype=np.int64)
    return [
        Tensor.of_bytes(error, [str(each).encode() for _, each in failed]),
        Tensor(status, "INT64", statuses),
        item_tensor(error, [item for item, _ in failed]),
    ]


def has_failed_items(message: Message) -> bool:
    """Whether the message ends with `ERROR_TENSORS`."""
    return bool(message.tensors) and message.tensors[-1].name == ERROR_TENSORS[-1]


def first_failure(message: Message) -> InfergraphError:
    """The error of the first item that failed, its text after ``item <i>``."""
    error, status, item = (tensor.data.ravel()[0] for tensor in message.tensors[-3:])
    return from_status(int(status), f"item {int(item)}: {error.decode()}")
