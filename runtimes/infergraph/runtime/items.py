"""From a message to what a task works on: its items, or arrays of its rows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidInput
from ..v2 import Message

Item = dict[str, Any]
"""One item's inputs as they came, by tensor name.

`str` for text, `bytes` for other BYTES, an array for numbers. Arrays have the item's shape, without
the batch dimension; BYTES of more than one element per item are object arrays.
"""

Arrays = dict[str, npt.NDArray[Any]]
"""Arrays by tensor name; BYTES, text too, are object arrays of `bytes`. Never write into one."""

Outputs = dict[str, Any]
"""One item's outputs by tensor name: `str`, `bytes`, a number, or an array of the item's shape."""


def split(message: Message, batch: int, text_inputs: frozenset[str], where: str) -> list[Item]:
    """One dictionary per item of a message's batch.

    Args:
        message: A validated message; its names are unique.
        batch: The number of items.
        text_inputs: BYTES tensors that hold UTF-8 text.
        where: Names the model in error texts.

    Raises:
        InvalidInput: text that is not UTF-8; names the tensor, and the item when there are several.
    """
    items: list[Item] = [{} for _ in range(batch)]
    for tensor in message.tensors:
        name, data = tensor.name, tensor.data
        values: Any = data
        if tensor.datatype == "BYTES" and data.size == batch:
            values = data.ravel()
            if name in text_inputs:
                values = [
                    _text(value, name, index if batch > 1 else None, where)
                    for index, value in enumerate(values)
                ]
        for item, value in zip(items, values, strict=True):
            item[name] = value
    return items


def batch_key(message: Message, parameters: Hashable) -> Hashable:
    """What items must share to run together: names, datatypes, item shapes and parameters."""
    tensors = tuple(
        (tensor.name, tensor.datatype, tensor.data.shape[1:]) for tensor in message.tensors
    )
    return (tensors, parameters)


def rows_of(message: Message, batch: int, at_most: int) -> list[tuple[Arrays, int]]:
    """A message's arrays in blocks of at most so many rows, and the rows of each; all are views.

    Args:
        message: A validated message.
        batch: The size of all first dimensions.
        at_most: Rows of the largest block.
    """
    arrays = {tensor.name: tensor.data for tensor in message.tensors}
    if batch <= at_most:
        return [(arrays, batch)]
    return [
        (
            {name: data[start : start + at_most] for name, data in arrays.items()},
            min(at_most, batch - start),
        )
        for start in range(0, batch, at_most)
    ]


def merged_rows(blocks: Sequence[Arrays]) -> Arrays:
    """The arrays of several blocks, row after row, read-only; of a lone one as they are."""
    if len(blocks) == 1:
        return blocks[0]
    merged = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    for array in merged.values():
        array.flags.writeable = False
    return merged


def held_bytes(message: Message) -> int:
    """The bytes of a message's tensors: of their arrays, and of their BYTES elements."""
    size = 0
    for tensor in message.tensors:
        size += tensor.data.nbytes
        if tensor.datatype == "BYTES":
            size += sum(map(len, tensor.data.ravel().tolist()))
    return size


def _text(value: bytes, name: str, index: int | None, where: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        item = "" if index is None else f", item {index}"
        raise InvalidInput(
            f"{where}: tensor '{name}'{item}: not valid UTF-8 (byte {error.start} is "
            f"0x{value[error.start]:02x}); accepted: UTF-8 text"
        ) from None
