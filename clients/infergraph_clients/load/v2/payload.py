"""`Payload` and `Answer`: requests and responses as plain tensors."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ... import bfloat16

NUMPY_DTYPES: dict[str, type[np.generic]] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    # Kept so, for want of a type of numpy's: see `infergraph_clients.bfloat16`.
    "BF16": np.float32,
}
DATATYPES = (*NUMPY_DTYPES, "BYTES")
BF16 = "BF16"
Values = npt.NDArray[Any] | list[bytes]


@dataclass(frozen=True)
class Tensor:
    """A named tensor.

    Attributes:
        name: Of the model's input or output.
        datatype: V2's: FP32, BYTES, ...
        shape: Its sizes.
        values: Flat: an array of the datatype's dtype, or for BYTES a list.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Values


@dataclass(frozen=True)
class Payload:
    """What one request sends.

    Attributes:
        name: Of its file, and its line or place in it; names it in reports.
        tensors: The inputs.
        parameters: Request parameters.
    """

    name: str
    tensors: tuple[Tensor, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a server said.

    Attributes:
        tensors: The outputs by name.
        trace: The response parameter `trace`, if there is one.
    """

    tensors: Mapping[str, Tensor]
    trace: Mapping[str, Any] | None = None


def tensor_from_json(document: object) -> Tensor:
    """A tensor of V2 JSON: nested or flat data, BYTES as text or, where it says so, base64.

    Numbers too may be base64: one text, of their raw contents.

    Raises:
        ValueError: it is not a V2 tensor.
    """
    if not isinstance(document, dict):
        raise ValueError("a tensor is not an object")
    missing = [key for key in ("name", "datatype", "shape", "data") if key not in document]
    if missing:
        raise ValueError(f"a tensor has no '{missing[0]}'")
    name, datatype = document["name"], document["datatype"]
    if datatype not in DATATYPES:
        raise ValueError(
            f"tensor '{name}' has datatype {datatype!r}; accepted: {', '.join(DATATYPES)}"
        )
    shape = tuple(document["shape"])
    encoded = (document.get("parameters") or {}).get("content_type") == "base64"
    if datatype == "BYTES":
        values: Values = [_element(name, each, encoded) for each in _flattened(document["data"])]
        count = len(values)
    elif encoded:
        (raw,) = (_element(name, each, encoded) for each in _flattened(document["data"]))
        values = raw_numbers(datatype, raw)
        count = values.size
    else:
        values = np.asarray(document["data"], NUMPY_DTYPES[datatype]).ravel()
        count = values.size
    if count != math.prod(shape):
        raise ValueError(f"tensor '{name}' has shape {list(shape)}, but {count} values")
    return Tensor(name, datatype, shape, values)


def raw_numbers(datatype: str, raw: bytes) -> npt.NDArray[Any]:
    """The flat values of raw contents; ValueError if these end within a value."""
    if datatype == BF16:
        return bfloat16.unpack(raw)
    return np.frombuffer(raw, np.dtype(NUMPY_DTYPES[datatype]).newbyteorder("<"))


def packed_numbers(datatype: str, values: npt.NDArray[Any]) -> bytes:
    """The raw contents of values, little-endian."""
    if datatype == BF16:
        return bfloat16.pack(values)
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def _flattened(data: object) -> list[object]:
    if not isinstance(data, list):
        return [data]
    return [element for each in data for element in _flattened(each)]


def _element(name: str, value: object, encoded: bool) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"tensor '{name}' of BYTES has an element that is not a text: {value!r}")
    if not encoded:
        return value.encode()
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"tensor '{name}' has an element that is not base64: {error}") from None
