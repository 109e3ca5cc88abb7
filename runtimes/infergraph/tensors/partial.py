"""Answers in part: rows that name their item, items that failed, and the outputs asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..errors import InfergraphError, InvalidInput, from_status
from ..v2 import Message, Tensor
from ..v2.classification import classify
from ..v2.request import RequestedOutput, quoted

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


def select(
    message: Message, requested: Sequence[RequestedOutput], declared: Sequence[str], where: str
) -> Message:
    """The message with the requested outputs only; all of them where none is named.

    A requested output that is declared but not in this answer (a condition that did not hold) is
    left out. With an output that only some items have goes `<name>_item`, which says which. The
    errors of items that failed are always there. Classifications take their tensors' place.

    Raises:
        InvalidInput: a requested output is neither in the answer nor declared, or has no largest
            values.
    """
    if not requested:
        return message
    known = list(dict.fromkeys([*declared, *message.names()]))
    for each in requested:
        if each.name not in known:
            raise InvalidInput(
                f"{where}: no output tensor {quoted(each.name)}; "
                f"accepted: {', '.join(known) or 'none'}"
            )
    names = [each.name for each in requested]
    errors = ERROR_TENSORS if has_failed_items(message) else ()
    tensors = message.selected([*names, *(name + ITEM_SUFFIX for name in names), *errors])
    classes = {each.name: each.classification for each in requested if each.classification}
    if classes:
        tensors = [
            classify(each, classes[each.name]) if each.name in classes else each for each in tensors
        ]
    return replace(message, tensors=tensors)
