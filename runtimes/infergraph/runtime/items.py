"""Between a message and the list of items that a task works on."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidInput, StageFailure
from ..tensors import TensorSpec
from ..tensors.partial import item_tensor
from ..v2 import NUMPY_DTYPES, Message, Tensor

Item = dict[str, Any]
"""One item's inputs by tensor name: `str` for text, `bytes` for other BYTES, an array for numbers.

Arrays have the item's shape, without the batch dimension; BYTES of more than one element per item
are object arrays.
"""

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


def join(outputs: Sequence[Outputs], declared: Sequence[TensorSpec], where: str) -> list[Tensor]:
    """The tensors of the answers of all items.

    A tensor that only some items produced holds just their rows, and `<name>_item` INT64 [rows, 1]
    names the item of each row.

    Args:
        outputs: One dictionary per item.
        declared: The model's outputs; when empty, datatypes follow from the values.
        where: Names the model in error texts.

    Raises:
        StageFailure: an output that is not declared, misses though it is not optional, or does not
            fit its declaration or the other items' shape.
    """
    if declared:
        names = [spec.name for spec in declared]
        _check_names(outputs, declared, where)
    else:
        names = list(dict.fromkeys(name for each in outputs for name in each))
    specs = {spec.name: spec for spec in declared}
    tensors: list[Tensor] = []
    for name in names:
        rows = [index for index, each in enumerate(outputs) if name in each]
        if not rows:
            continue
        tensors.append(_stack(name, [outputs[row][name] for row in rows], specs.get(name), where))
        if len(rows) < len(outputs):
            tensors.append(item_tensor(name, rows))
    return tensors


def _text(value: bytes, name: str, index: int | None, where: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        item = "" if index is None else f", item {index}"
        raise InvalidInput(
            f"{where}: tensor '{name}'{item}: not valid UTF-8 (byte {error.start} is "
            f"0x{value[error.start]:02x}); accepted: UTF-8 text"
        ) from None


def _check_names(outputs: Sequence[Outputs], declared: Sequence[TensorSpec], where: str) -> None:
    known = {spec.name for spec in declared}
    required = {spec.name for spec in declared if not spec.optional}
    for each in outputs:
        if not required <= each.keys() <= known:
            raise StageFailure(
                f"{where}: the model gave outputs {sorted(each)}; declared: {sorted(known)}"
                + (f", of them optional: {sorted(known - required)}" if known != required else "")
            )


def _stack(name: str, values: list[Any], spec: TensorSpec | None, where: str) -> Tensor:
    first = values[0]
    if isinstance(first, (str, bytes)):
        tensor = Tensor.of_bytes(
            name, [value.encode() if isinstance(value, str) else value for value in values]
        )
    else:
        tensor = _stack_arrays(name, values, spec, where)
    if spec is not None and len(spec.shape) == 1 and tensor.data.shape[1:] == (1,):
        tensor.data = tensor.data[:, 0]
    if spec is not None and (
        tensor.datatype != spec.datatype or not spec.accepts_shape(tensor.shape)
    ):
        raise StageFailure(
            f"{where}: the model gave output '{name}' as {tensor.datatype} {list(tensor.shape)}; "
            f"declared: {spec.datatype} {list(spec.shape)}"
        )
    return tensor


def _stack_arrays(name: str, values: list[Any], spec: TensorSpec | None, where: str) -> Tensor:
    arrays: list[npt.NDArray[Any]] = [_array(value) for value in values]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise StageFailure(
            f"{where}: the items' outputs '{name}' have different shapes: {sorted(shapes)}"
        )
    # A lone item's array is shared, not copied: a view with a batch dimension in front.
    stacked = arrays[0][None] if len(arrays) == 1 else np.stack(arrays)
    if stacked.ndim == 1:
        stacked = stacked[:, None]
    if spec is None:
        return Tensor.of(name, stacked)
    dtype = NUMPY_DTYPES[spec.datatype]
    if stacked.dtype != dtype and np.can_cast(stacked.dtype, dtype, "same_kind"):
        stacked = stacked.astype(dtype)
    return Tensor.of(name, stacked)


def _array(value: Any) -> npt.NDArray[Any]:
    """An output as an array; strings, whose dtype V2 has no datatype for, become UTF-8 bytes."""
    array = np.asarray(value)
    if array.dtype.kind not in "USO":
        return array
    # From the value itself: numpy's own strings lose zero bytes at their end.
    elements = np.asarray(value, dtype=object)
    encoded = np.empty(elements.shape, dtype=object)
    for index, element in np.ndenumerate(elements):
        if not isinstance(element, (str, bytes)):
            raise TypeError(f"an output holds {type(element).__name__} beside numbers or strings")
        encoded[index] = element.encode() if isinstance(element, str) else element
    return encoded
