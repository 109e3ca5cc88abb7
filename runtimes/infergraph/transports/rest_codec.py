"""`Message` as V2 JSON: flat lists of numbers; strings, or base64 where BYTES are not UTF-8."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import orjson

from ..errors import InvalidInput, MalformedRequest, StageFailure
from ..v2 import NUMPY_DTYPES, Message, Tensor
from ..v2.values import array_from_list
from . import base64_bytes, hop


def encode_request(message: Message, trace: bool) -> bytes:
    """The JSON body of an inference request.

    NaN goes as null, which V2 servers take for NaN in a floating-point tensor.

    Raises:
        InvalidInput: an infinite value, or a parameter, that JSON cannot carry.
    """
    body: dict[str, Any] = {"inputs": [_encode_tensor(tensor) for tensor in message.tensors]}
    if message.id:
        body["id"] = message.id
    parameters = hop.request_parameters(message, trace)
    if parameters:
        body["parameters"] = parameters
    try:
        return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise InvalidInput(f"the request cannot be sent as JSON: {error}") from None


def decode_answer(body: bytes, request_id: str) -> Message:
    """The message of a JSON answer.

    Raises:
        StageFailure: it is not V2, or contradicts itself.
    """
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise StageFailure(f"its answer is not JSON: {error}") from None
    outputs = answer.get("outputs") if isinstance(answer, dict) else None
    if not isinstance(outputs, list):
        raise StageFailure("its answer is not V2: it has no list 'outputs'")
    given = answer.get("parameters")
    parameters, trace = hop.answer_parameters(given if isinstance(given, dict) else {})
    return Message([_decode_tensor(output) for output in outputs], request_id, parameters, trace)


def _encode_tensor(tensor: Tensor) -> dict[str, Any]:
    data = tensor.data
    fields: dict[str, Any] = {
        "name": tensor.name,
        "shape": list(data.shape),
        "datatype": tensor.datatype,
    }
    if tensor.datatype != "BYTES":
        if data.dtype.kind == "f" and np.isinf(data).any():
            raise InvalidInput(
                f"tensor '{tensor.name}' holds an infinite value, which JSON cannot carry; "
                "a grpc:// endpoint can"
            )
        fields["data"] = np.ascontiguousarray(data).reshape(-1)
        return fields
    items = data.ravel().tolist()
    try:
        fields["data"] = [item.decode() for item in items]
    except UnicodeDecodeError:
        fields["data"] = base64_bytes.encode(items)
        fields["parameters"] = {"content_type": base64_bytes.CONTENT_TYPE}
    return fields


def _decode_tensor(output: Any) -> Tensor:
    name = output.get("name") if isinstance(output, dict) else None
    if not isinstance(name, str):
        raise StageFailure("its answer is not V2: an output tensor has no name")
    datatype, shape, values = output.get("datatype"), output.get("shape"), output.get("data")
    parameters = output.get("parameters")
    try:
        if not isinstance(datatype, str) or datatype not in NUMPY_DTYPES:
            raise ValueError(f"datatype {datatype!r}; accepted: {', '.join(NUMPY_DTYPES)}")
        if not _is_shape(shape):
            raise ValueError(f"shape {shape!r:.100}; accepted: a list of sizes from 0")
        if not isinstance(values, list):
            raise ValueError(f"data is {type(values).__name__}; accepted: a list")
        array = array_from_list(name, datatype, values, len(shape))
        if array.size != math.prod(shape):
            raise ValueError(
                f"shape {shape} holds {math.prod(shape)} values, but data has {array.size}"
            )
        if isinstance(parameters, dict) and base64_bytes.announced(
            parameters.get("content_type"), datatype
        ):
            array = base64_bytes.decode(array)
    except ValueError as error:
        raise StageFailure(f"its answer is malformed: tensor '{name}': {error}") from None
    except MalformedRequest as error:
        raise StageFailure(f"its answer is malformed: {error}") from None
    return Tensor(name, datatype, array.reshape(shape))


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)
