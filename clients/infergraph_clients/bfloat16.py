"""BF16, which numpy lacks: values are kept as float32, of which it is the upper half."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

ITEM_BYTES = 2


def pack(values: npt.NDArray[Any]) -> bytes:
    """The raw contents of float32 values: little-endian, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    # Rounding could turn a NaN into an infinity.
    halves = np.where(np.isnan(values), (bits >> 16) | 0x40, rounded)
    return halves.astype("<u2").tobytes()


def unpack(raw: bytes) -> npt.NDArray[np.float32]:
    """The float32 values of raw contents; ValueError if these end within a value."""
    if len(raw) % ITEM_BYTES:
        raise ValueError(f"{len(raw)} bytes are no BF16 values, of {ITEM_BYTES} bytes each")
    return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
