"""Raw V2 contents: the bytes of one tensor, little-endian, and arrays that share them."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .tensor import NUMPY_DTYPES
from .values import round_to_bf16

_LENGTH = struct.Struct("<I")
_WIRE_DTYPES = {
    **{datatype: dtype.newbyteorder("<") for datatype, dtype in NUMPY_DTYPES.items()},
    "BF16": np.dtype("<u2"),
}


def pack(datatype: str, data: npt.NDArray[Any]) -> bytes | memoryview:
    """The raw contents of an array. Those of a contiguous array share its memory."""
    if datatype == "BYTES":
        return pack_bytes(data.ravel().tolist())
    if datatype == "BF16":
        return _upper_halves(data).data
    return np.ascontiguousarray(data, _WIRE_DTYPES[datatype]).data


def unpack(datatype: str, shape: Sequence[int], contents: bytes | memoryview) -> npt.NDArray[Any]:
    """The array of raw contents, of that shape; read-only, since it shares their memory.

    Raises:
        ValueError: an unknown datatype; contents that do not fill the shape, or end within an
            element.
    """
    if datatype == "BYTES":
        return unpack_bytes(bytes(contents), math.prod(shape)).reshape(shape)
    dtype = _WIRE_DTYPES.get(datatype)
    if dtype is None:
        raise ValueError(f"unknown datatype '{datatype}'; accepted: {', '.join(NUMPY_DTYPES)}")
    size = math.prod(shape) * dtype.itemsize
    if len(contents) != size:
        raise ValueError(
            f"shape {list(shape)} of {datatype} takes {size} bytes, "
            f"but raw contents have {len(contents)}"
        )
    if datatype == "BOOL":
        # Any byte but 0 is true; numpy's own bools are 0 or 1.
        truth: npt.NDArray[Any] = np.frombuffer(contents, np.uint8) != 0
        return truth.reshape(shape)
    if datatype == "BF16":
        upper = np.frombuffer(contents, dtype).astype(np.uint32)
        widened: npt.NDArray[Any] = (upper << 16).view(np.float32).reshape(shape)
        widened.flags.writeable = False
        return widened
    array = np.frombuffer(contents, dtype).reshape(shape)
    array.flags.writeable = False
    return array


def pack_bytes(items: Iterable[bytes | str]) -> bytes:
    """The raw contents of BYTES elements, each after its 4-byte length; texts become UTF-8."""
    length = _LENGTH.pack
    encoded = [item.encode() if isinstance(item, str) else item for item in items]
    return b"".join([part for item in encoded for part in (length(len(item)), item)])


def unpack_bytes(contents: bytes, count: int) -> npt.NDArray[Any]:
    """The elements of a raw BYTES tensor, as a flat object array of `count` elements.

    Raises:
        ValueError: the contents hold more or fewer elements, or end within one.
    """
    items: list[bytes] = []
    length = _LENGTH.unpack_from
    offset, end = 0, len(contents)
    while offset < end:
        if offset + 4 > end:
            raise ValueError("raw contents end within the length of an element")
        if len(items) == count:
            raise ValueError(f"the shape holds {count} elements, but raw contents have more")
        (size,) = length(contents, offset)
        offset += 4 + size
        if offset > end:
            raise ValueError(f"an element of {size} bytes is cut off after {end - offset + size}")
        items.append(contents[offset - size : offset])
    if len(items) != count:
        raise ValueError(f"the shape holds {count} elements, but raw contents have {len(items)}")
    array = np.empty(count, dtype=object)
    array[:] = items
    return array


def _upper_halves(data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """BF16 of float32, rounded to the nearest, ties to even; NaN stays NaN."""
    rounded = round_to_bf16(np.ascontiguousarray(data, np.float32))
    return (rounded.view(np.uint32) >> 16).astype("<u2")
