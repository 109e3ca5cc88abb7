"""From what a task gave to the tensors of an answer. They are read-only: steps share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import StageFailure
from ..tensors import TensorSpec
from ..tensors.partial import item_tensor
from ..v2 import NUMPY_DTYPES, Tensor, datatype_of
from .items import Arrays, Outputs


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
            items = item_tensor(name, rows)
            items.data.flags.writeable = False
            tensors.append(items)
    return tensors


def join_arrays(
    blocks: Sequence[Mapping[str, Any]], declared: Sequence[TensorSpec], where: str
) -> list[Tensor]:
    """The tensors of an answer that was computed in blocks of rows; a lone block is not copied.

    Args:
        blocks: Arrays by output name, their first dimension that of `checked_rows`.
        declared: The model's outputs; when empty, all arrays are outputs.
        where: Names the model in error texts.

    Raises:
        StageFailure: as `join`.
    """
    if declared:
        _check_names(blocks, declared, where)
    specs = {spec.name: spec for spec in declared}
    names = list(specs) if declared else list(blocks[0])
    tensors: list[Tensor] = []
    for name in names:
        parts = [_array(block[name]) for block in blocks if name in block]
        if parts:
            whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
            tensors.append(_tensor(name, whole, specs.get(name), where))
    return tensors


def divided_rows(outputs: Mapping[str, Any], rows: Sequence[int], where: str) -> list[Arrays]:
    """The arrays of a batch, divided among the blocks of so many rows that it was made of.

    Raises:
        StageFailure: an array has not a row for each one of the batch.
    """
    total = sum(rows)
    arrays = {name: _array(value) for name, value in outputs.items()}
    for name, array in arrays.items():
        if array.shape[:1] != (total,):
            raise StageFailure(
                f"{where}: the model gave output '{name}' of shape {list(array.shape)} for "
                f"{total} rows"
            )
    if len(rows) == 1:
        return [arrays]
    ends = np.cumsum(rows).tolist()
    return [
        {name: array[end - count : end] for name, array in arrays.items()}
        for end, count in zip(ends, rows, strict=True)
    ]


def check_finite(tensors: Sequence[Tensor], where: str) -> None:
    """Raises StageFailure if an answer holds numbers that are none: NaN or infinite ones."""
    for tensor in tensors:
        if tensor.data.dtype.kind == "f" and not np.isfinite(tensor.data).all():
            row = int(np.argwhere(~np.isfinite(tensor.data))[0, 0])
            raise StageFailure(
                f"{where}: the model gave output '{tensor.name}' with NaN or infinity in row {row}"
            )


def _check_names(
    outputs: Sequence[Mapping[str, Any]], declared: Sequence[TensorSpec], where: str
) -> None:
    known = {spec.name for spec in declared}
    required = {spec.name for spec in declared if not spec.optional}
    for each in outputs:
        if not required <= each.keys() <= known:
            raise StageFailure(
                f"{where}: the model gave outputs {sorted(each)}; declared: {sorted(known)}"
                + (f", of them optional: {sorted(known - required)}" if known != required else "")
            )


def _stack(name: str, values: list[Any], spec: TensorSpec | None, where: str) -> Tensor:
    if isinstance(values[0], (str, bytes)):
        encoded = [value.encode() if isinstance(value, str) else value for value in values]
        return _tensor(name, Tensor.of_bytes(name, encoded).data, spec, where)
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
    return _tensor(name, stacked, spec, where)


def _tensor(name: str, data: npt.NDArray[Any], spec: TensorSpec | None, where: str) -> Tensor:
    """An output as declared, a read-only view of its array where the dtype is the declared one."""
    if spec is None:
        tensor = Tensor.of(name, data.view())
    else:
        dtype = NUMPY_DTYPES[spec.datatype]
        if data.dtype != dtype and np.can_cast(data.dtype, dtype, "same_kind"):
            data = data.astype(dtype)
        if len(spec.shape) == 1 and data.shape[1:] == (1,):
            data = data[:, 0]
        # Several datatypes may be held in one dtype.
        datatype = spec.datatype if data.dtype == dtype else datatype_of(data.dtype)
        tensor = Tensor(name, datatype, data.view())
        if tensor.datatype != spec.datatype or not spec.accepts_shape(tensor.shape):
            raise StageFailure(
                f"{where}: the model gave output '{name}' as {tensor.datatype} "
                f"{list(tensor.shape)}; declared: {spec.datatype} {list(spec.shape)}"
            )
    tensor.data.flags.writeable = False
    return tensor


def _array(value: Any) -> npt.NDArray[Any]:
    """An output as an array; strings, whose dtype V2 has no datatype for, become UTF-8 bytes."""
    array: npt.NDArray[Any] = np.asarray(value)
    if array.dtype.kind not in "USO":
        return array
    if isinstance(value, np.ndarray) and all(type(each) is bytes for each in array.flat):
        return array
    # From the value itself: numpy's own strings lose zero bytes at their end.
    elements = np.asarray(value, dtype=object)
    encoded = np.empty(elements.shape, dtype=object)
    for index, element in np.ndenumerate(elements):
        if not isinstance(element, (str, bytes)):
            raise TypeError(f"an output holds {type(element).__name__} beside numbers or strings")
        encoded[index] = element.encode() if isinstance(element, str) else element
    return encoded
