"""Raw V2 contents: the bytes of one tensor, little-endian, and arrays that share them."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .tensor import NUMPY_DTYPES

_LENGTH = struct.Struct("<I")
_WIRE_DTYPES = {datatype: dtype.newbyteorder("<") for datatype, dtype in NUMPY_DTYPES.items()}


def pack(datatype: str, data: npt.NDArray[Any]) -> bytes | memoryview:
    """The raw contents of an array. Those of a contiguous array share its memory."""
    if datatype == "BYTES":
        return pack_bytes(data.ravel().tolist())
    return np.ascontiguousarray(data, _WIRE_DTYPES[datatype]).data


def unpack(datatype: str, shape: Sequence[int], contents: bytes) -> npt.NDArray[Any]:
    """The array of raw contents, of that shape; read-only, since it shares their memory.

    Raises:
        ValueError: an unknown datatype; contents that do not fill the shape, or end within an
            element.
    """
    if datatype == "BYTES":
        array = unpack_bytes(contents)
        if array.size != math.prod(shape):
            raise ValueError(
                f"shape {list(shape)} holds {math.prod(shape)} elements, "
                f"but raw contents have {array.size}"
            )
        return array.reshape(shape)
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
    return np.frombuffer(contents, dtype).reshape(shape)


def pack_bytes(items: Iterable[bytes | str]) -> bytes:
    """The raw contents of BYTES elements, each after its 4-byte length; texts become UTF-8."""
    length = _LENGTH.pack
    encoded = [item.encode() if isinstance(item, str) else item for item in items]
    return b"".join([part for item in encoded for part in (length(len(item)), item)])


def unpack_bytes(contents: bytes) -> npt.NDArray[Any]:
    """The elements of a raw BYTES tensor, as a flat object array.

    Raises:
        ValueError: the contents end within an element.
    """
    items: list[bytes] = []
    length = _LENGTH.unpack_from
    offset, end = 0, len(contents)
    while offset < end:
        if offset + 4 > end:
            raise ValueError("raw contents end within the length of an element")
        (size,) = length(contents, offset)
        offset += 4 + size
        if offset > end:
            raise ValueError(f"an element of {size} bytes is cut off after {end - offset + size}")
        items.append(contents[offset - size : offset])
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array
