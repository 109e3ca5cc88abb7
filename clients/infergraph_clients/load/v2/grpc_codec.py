"""V2 gRPC: serialised requests with raw contents, and answers."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from .json_codec import parse_trace
from .messages import ModelInferRequest, ModelInferResponse
from .payload import NUMPY_DTYPES, Answer, Payload, Tensor, Values, packed_numbers, raw_numbers

_TYPED_FIELDS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def encode_grpc(
    payload: Payload,
    request_id: str,
    model: str,
    version: str | None,
    *,
    trace: bool,
    typed: bool = False,
) -> bytes:
    """A serialised ModelInferRequest, of raw contents or with `typed` of typed ones.

    Raises:
        ValueError: FP16 with `typed`, which has no field for it.
    """
    request = ModelInferRequest(model_name=model, model_version=version or "", id=request_id)
    parameters = {**payload.parameters, "trace": True} if trace else payload.parameters
    for name, value in parameters.items():
        _set(request.parameters[name], value)
    for tensor in payload.tensors:
        header = request.inputs.add(name=tensor.name, datatype=tensor.datatype)
        header.shape.extend(tensor.shape)
        if typed:
            _set_typed(header.contents, tensor)
        else:
            request.raw_input_contents.append(_packed(tensor))
    serialised: bytes = request.SerializeToString()
    return serialised


def decode_grpc(body: bytes) -> Answer:
    """An answer of raw or typed contents; ValueError if it has no outputs or contradicts itself."""
    message = ModelInferResponse.FromString(body)
    if not message.outputs:
        raise ValueError("the answer has no outputs")
    contents = iter(message.raw_output_contents)
    tensors = {}
    for output in message.outputs:
        shape = tuple(output.shape)
        if message.raw_output_contents:
            raw = next(contents, None)
            if raw is None:
                raise ValueError(f"output '{output.name}' has no raw contents")
            values = _unpacked(output.name, output.datatype, raw)
        else:
            values = _typed(output)
        if len(values) != math.prod(shape):
            raise ValueError(
                f"output '{output.name}' has shape {list(shape)}, but {len(values)} values"
            )
        tensors[output.name] = Tensor(output.name, output.datatype, shape, values)
    trace = message.parameters["trace"].string_param if "trace" in message.parameters else None
    return Answer(tensors, parse_trace(trace))


def _set(parameter: Any, value: object) -> None:
    if isinstance(value, bool):
        parameter.bool_param = value
    elif isinstance(value, int):
        parameter.int64_param = value
    else:
        # Not every server knows double parameters.
        parameter.string_param = value if isinstance(value, str) else repr(value)


def _set_typed(contents: Any, tensor: Tensor) -> None:
    field = _TYPED_FIELDS.get(tensor.datatype)
    if field is None:
        raise ValueError(f"tensor '{tensor.name}' of {tensor.datatype} has no typed contents")
    values = tensor.values
    getattr(contents, field).extend(values if isinstance(values, list) else values.tolist())


def _packed(tensor: Tensor) -> bytes:
    values = tensor.values
    if isinstance(values, list):
        return b"".join(struct.pack("<I", len(each)) + each for each in values)
    return packed_numbers(tensor.datatype, values)


def _unpacked(name: str, datatype: str, raw: bytes) -> Values:
    if datatype in NUMPY_DTYPES:
        return raw_numbers(datatype, raw)
    if datatype != "BYTES":
        raise ValueError(f"output '{name}' has datatype '{datatype}', which is unknown")
    values, start = [], 0
    while start < len(raw):
        size = int.from_bytes(raw[start : start + 4], "little")
        start += 4
        if start + size > len(raw):
            raise ValueError(f"output '{name}' has raw contents that end too early")
        values.append(raw[start : start + size])
        start += size
    return values


def _typed(output: Any) -> Values:
    field = _TYPED_FIELDS.get(output.datatype)
    if field is None:
        raise ValueError(f"output '{output.name}' of '{output.datatype}' has no raw contents")
    values = list(getattr(output.contents, field))
    return values if output.datatype == "BYTES" else np.array(values, NUMPY_DTYPES[output.datatype])
