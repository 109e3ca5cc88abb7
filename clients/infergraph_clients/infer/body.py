"""V2's JSON form of requests and answers."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from .errors import UsageError
from .tensors import BYTES, DTYPES, Parameter, Tensor, bytes_tensor_data, numbers

CONTENT_TYPE = "content_type"
BASE64 = "base64"


@dataclass(frozen=True)
class Body:
    """A request's body."""

    tensors: Sequence[Tensor]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    outputs: Sequence[str] = ()
    id: str = ""


def parse_body(text: str | bytes, source: str) -> Body:
    """A request in V2 JSON.

    Raises:
        UsageError: it is not JSON, or not a V2 request; names the tensor.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{source} is not JSON: {error}") from None
    inputs = content.get("inputs") if isinstance(content, dict) else None
    if not isinstance(inputs, list) or not inputs:
        raise UsageError(f"{source} is no V2 request: it has no list `inputs`")
    try:
        return Body(
            [tensor_of_json(each) for each in inputs],
            _scalars(content.get("parameters") or {}),
            [json_object(each, "an output")["name"] for each in content.get("outputs") or ()],
            str(content.get("id") or ""),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{source} is no V2 request: {problem_of(error)}") from None


def json_object(content: Any, what: str) -> dict[str, Any]:
    """The content as it is; TypeError if it is no JSON object."""
    if not isinstance(content, dict):
        raise TypeError(f"{what} is {type(content).__name__}; accepted: a JSON object")
    return content


def tensor_of_json(content: Any) -> Tensor:
    """A tensor of a request or an answer; its `data` may be flat or nested.

    Raises:
        ValueError, TypeError, KeyError: it is none; see `problem_of`.
    """
    content = json_object(content, "a tensor")
    name, datatype = str(content["name"]), content["datatype"]
    parameters = _scalars(content.get("parameters") or {})
    if datatype not in DTYPES:
        raise ValueError(f"tensor {name!r} has datatype {datatype!r}; accepted: {list(DTYPES)}")
    shape = tuple(content["shape"])
    values = _flat(content["data"])
    if len(values) != math.prod(shape):
        raise ValueError(f"tensor {name!r} of shape {list(shape)} holds {len(values)} values")
    if datatype != BYTES:
        try:
            data = numbers(values, DTYPES[datatype])
        except ValueError as error:
            raise ValueError(f"tensor {name!r} is {datatype}: {error}") from None
        return Tensor(name, datatype, data.reshape(shape), parameters)
    if any(not isinstance(value, str) for value in values):
        raise ValueError(f"tensor {name!r} is BYTES and holds other values than text")
    encoded = parameters.get(CONTENT_TYPE) == BASE64
    if encoded:
        del parameters[CONTENT_TYPE]
    try:
        decoded = [
            base64.b64decode(value, validate=True) if encoded else value.encode()
            for value in values
        ]
    except binascii.Error as error:
        raise ValueError(f"tensor {name!r} is not base64: {error}") from None
    return Tensor(name, datatype, bytes_tensor_data(decoded, shape), parameters)


def tensor_to_json(tensor: Tensor) -> dict[str, Any]:
    """A tensor with flat data: BYTES as text, or all as base64 where any is not UTF-8.

    JSON has no NaN and no infinity: both become null.
    """
    values = tensor.data.ravel().tolist()
    parameters = dict(tensor.parameters)
    if tensor.datatype == BYTES:
        if is_text(tensor.data):
            values = [value.decode() for value in values]
        else:
            values = [base64.b64encode(value).decode() for value in values]
            parameters[CONTENT_TYPE] = BASE64
    elif tensor.data.dtype.kind == "f":
        values = [value if math.isfinite(value) else None for value in values]
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": list(tensor.shape),
        **({"parameters": parameters} if parameters else {}),
        "data": values,
    }


def is_text(data: npt.NDArray[Any]) -> bool:
    """Whether every element of a BYTES tensor is UTF-8."""
    try:
        for value in data.ravel():
            value.decode()
    except UnicodeDecodeError:
        return False
    return True


def problem_of(error: Exception) -> str:
    """What a content that is not V2 lacks, as text."""
    return f"no field {error}" if isinstance(error, KeyError) else str(error)


def _scalars(parameters: Any) -> dict[str, Parameter]:
    for name, value in json_object(parameters, "`parameters`").items():
        if not isinstance(value, (bool, int, float, str)):
            raise TypeError(f"parameter {name!r} is {value!r}; accepted: a boolean, number or text")
    return dict(parameters)


def _flat(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise TypeError(f"`data` is {type(data).__name__}; accepted: a list")
    if not any(isinstance(value, list) for value in data):
        return data
    return [value for each in data for value in _flat(each)]
