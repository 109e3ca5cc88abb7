"""Reads V2 gRPC answers. Apart from the transport, so that no gRPC library is needed to test it."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import bfloat16
from .message import Answer
from .tensors import BF16, BYTES, DTYPES, Tensor, bytes_tensor_data

_CONTENTS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents", "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}  # fmt: skip


def read_answer(message: Any) -> Answer:
    """The answer in a `ModelInferResponse`; raw contents, or typed ones, of any size.

    tritonclient's `as_numpy` reads raw contents and BYTES only.

    Raises:
        ValueError: it contradicts itself; names the tensor.
    """
    raw = list(message.raw_output_contents)
    if raw and len(raw) != len(message.outputs):
        raise ValueError(f"{len(message.outputs)} outputs with {len(raw)} raw contents")
    contents = raw or [None] * len(message.outputs)
    return Answer(
        message.model_name,
        [_read_output(*each) for each in zip(message.outputs, contents, strict=True)],
        _parameters(message.parameters),
        message.id,
    )


def _read_output(output: Any, raw: bytes | None) -> Tensor:
    name, datatype, shape = output.name, output.datatype, tuple(output.shape)
    where = f"tensor {name!r} {datatype} {list(shape)}"
    if datatype not in DTYPES:
        raise ValueError(f"{where}; accepted: {', '.join(DTYPES)}")
    values: Sequence[Any]
    if raw is None:
        values = getattr(output.contents, _CONTENTS[datatype]) if datatype in _CONTENTS else ()
        data = bytes_tensor_data(values, (-1,)) if datatype == BYTES else _array(values, datatype)
    elif datatype == BYTES:
        values = _elements(raw, where)
        data = bytes_tensor_data(values, (-1,))
    elif datatype == BF16:
        data = bfloat16.unpack(raw)
    elif len(raw) % DTYPES[datatype].itemsize:
        raise ValueError(f"{where} comes with {len(raw)} bytes")
    else:
        data = np.frombuffer(raw, dtype=DTYPES[datatype])
    if data.size != math.prod(shape):
        raise ValueError(f"{where} holds {data.size} values")
    return Tensor(name, datatype, data.reshape(shape), _parameters(output.parameters))


def _array(values: Sequence[Any], datatype: str) -> Any:
    return np.array(list(values), dtype=DTYPES[datatype])


def _elements(raw: bytes, where: str) -> list[bytes]:
    """V2's raw BYTES: before each element its length, in 4 bytes."""
    elements = []
    offset = 0
    while offset < len(raw):
        if offset + 4 > len(raw):
            raise ValueError(f"{where} ends within a length")
        (length,) = struct.unpack_from("<I", raw, offset)
        offset += 4
        if offset + length > len(raw):
            raise ValueError(f"{where} ends within an element")
        elements.append(raw[offset : offset + length])
        offset += length
    return elements


def _parameters(parameters: Any) -> dict[str, Any]:
    chosen = (
        (name, value, value.WhichOneof("parameter_choice")) for name, value in parameters.items()
    )
    return {name: getattr(value, kind) for name, value, kind in chosen if kind}
