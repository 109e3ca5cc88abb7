"""Between MLServer's request and response types and `Message`."""

from __future__ import annotations

import base64
import binascii
import enum
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from mlserver.types import (
    InferenceRequest,
    InferenceResponse,
    MetadataTensor,
    Parameters,
    ResponseOutput,
    TensorData,
)

from ..errors import InvalidInput, MalformedRequest, StageFailure
from ..request import (
    TIMEOUT_HEADER,
    TRACE_HEADER,
    TRACE_PARAMETER,
    Deadline,
    RequestContext,
    forwarded_headers,
    parse_timeout_ms,
)
from ..v2 import NUMPY_DTYPES, Message, Parameter, Tensor, raw
from ..v2.values import array_from_list
from .partial import ERROR_TENSORS, ITEM_SUFFIX, has_failed_items
from .spec import TensorSpec

BASE64 = "base64"
_TRUE = frozenset({"1", "true", "yes"})


class Wire(enum.Enum):
    """How a request's values came, and so how the answer's values go back."""

    JSON = "REST: lists and strings"
    BASE64 = "REST: numbers as base64 of their raw contents"
    TYPED = "gRPC: typed contents"
    RAW = "gRPC: raw contents"


class GrpcInferenceRequest(InferenceRequest):
    """A request that came over gRPC with typed contents."""


class RawInferenceRequest(GrpcInferenceRequest):
    """A request that came over gRPC with raw contents: its data are arrays."""


def decode_request(payload: InferenceRequest) -> tuple[Message, RequestContext, Wire]:
    """The message of a V2 request, what accompanies it, and its wire form.

    Raises:
        MalformedRequest: data that does not fill its shape, is not of its datatype, or is not
            base64 where base64 is announced; an unknown datatype; an impossible shape.
        InvalidInput: the timeout header is not a time.
    """
    if isinstance(payload, RawInferenceRequest):
        wire = Wire.RAW
    elif isinstance(payload, GrpcInferenceRequest):
        wire = Wire.TYPED
    elif any(map(_holds_base64_numbers, payload.inputs)):
        wire = Wire.BASE64
    else:
        wire = Wire.JSON
    tensors = [decode_tensor(each) for each in payload.inputs]
    if payload.parameters is None:
        return Message(tensors, payload.id or ""), RequestContext(), wire
    parameters = dict(payload.parameters.model_extra or {})
    trace = parameters.pop(TRACE_PARAMETER, False)
    headers = payload.parameters.headers or {}
    timeout = headers.get(TIMEOUT_HEADER)
    context = RequestContext(
        deadline=None if timeout is None else Deadline.after_ms(parse_timeout_ms(timeout)),
        trace=_is_true(trace) or _is_true(headers.get(TRACE_HEADER)),
        headers=forwarded_headers(headers),
    )
    return Message(tensors, payload.id or "", parameters), context, wire


def decode_tensor(tensor: Any) -> Tensor:
    """The tensor of a V2 input or output of MLServer's types; raises MalformedRequest."""
    name, datatype, shape = tensor.name, tensor.datatype, tensor.shape
    dtype = NUMPY_DTYPES.get(datatype)
    if dtype is None:
        raise MalformedRequest(
            f"tensor '{name}' has datatype '{datatype}'; accepted: {', '.join(NUMPY_DTYPES)}"
        )
    if any(size < 0 for size in shape):
        raise MalformedRequest(f"tensor '{name}' has shape {list(shape)}; sizes cannot be negative")
    values = tensor.data.root
    if _holds_base64_numbers(tensor):
        return Tensor(name, datatype, _numbers_from_base64(name, datatype, shape, values))
    if isinstance(values, np.ndarray):
        array: npt.NDArray[Any] = values
    elif isinstance(values, list):
        _check_nesting(name, values, shape)
        array = array_from_list(name, datatype, values, len(shape))
        # As with raw contents: a task that changes its inputs would change other steps' too.
        array.flags.writeable = False
    else:
        raise MalformedRequest(
            f"tensor '{name}': data is {type(values).__name__}; accepted: a list of values"
        )
    count = 1
    for size in shape:
        count *= size
    if array.size != count:
        raise MalformedRequest(
            f"tensor '{name}': shape {list(shape)} holds {count} values, but data has {array.size}"
        )
    if _says_base64(tensor):
        array = _from_base64(name, array)
    try:
        return Tensor(name, datatype, array.reshape(shape))
    except (ValueError, OverflowError) as error:
        # Too many dimensions, or a size beyond the machine's beside a size of 0.
        raise MalformedRequest(
            f"tensor '{name}': impossible shape {list(shape)} ({error})"
        ) from None


def _check_nesting(name: str, values: list[Any], shape: Sequence[int]) -> None:
    nested = []
    inner: Any = values
    while isinstance(inner, list):
        nested.append(len(inner))
        inner = inner[0] if inner else None
    if len(nested) > 1 and nested != list(shape):
        raise MalformedRequest(
            f"tensor '{name}': data is nested as {nested}, but its shape is {list(shape)}; "
            "accepted: that nesting, or a flat list"
        )


def declared_specs(
    tensors: Sequence[MetadataTensor] | None, optional: Sequence[str]
) -> tuple[TensorSpec, ...]:
    """A model's declared tensors; `optional` names those that may be absent."""
    return tuple(
        TensorSpec(each.name, str(each.datatype), tuple(each.shape), each.name in optional)
        for each in tensors or ()
    )


def encode_response(
    message: Message,
    model: str,
    version: str | None,
    wire: Wire,
    requested: Sequence[str] | None,
    declared: Sequence[str] = (),
) -> InferenceResponse:
    """The V2 response of a message; only the requested outputs, when any are named.

    A requested output that is declared but not in this answer (a condition that did not hold) is
    left out. With an output that only some items have goes `<name>_item`, which says which. The
    errors of items that failed are always there.

    Raises:
        InvalidInput: a requested output is neither in the answer nor declared.
    """
    tensors = message.tensors
    if requested:
        known = list(dict.fromkeys([*declared, *message.names()]))
        for name in requested:
            if name not in known:
                raise InvalidInput(
                    f"model '{model}': no output tensor '{name}'; "
                    f"accepted: {', '.join(known) or 'none'}"
                )
        errors = ERROR_TENSORS if has_failed_items(message) else ()
        items = [name + ITEM_SUFFIX for name in requested]
        tensors = message.selected([*requested, *items, *errors])
    parameters: dict[str, Any] = dict(message.parameters)
    if message.trace is not None:
        parameters[TRACE_PARAMETER] = orjson.dumps(message.trace).decode()
    response = InferenceResponse.model_construct(
        model_name=model,
        id=message.id,
        outputs=[encode_tensor(tensor, wire) for tensor in tensors],
    )
    if version:
        response.model_version = version
    if parameters:
        response.parameters = Parameters(**parameters)
    return response


def encode_tensor(tensor: Tensor, wire: Wire) -> ResponseOutput:
    """A V2 output; over REST, BYTES that are not UTF-8 go as base64 and say so, and NaN is null.

    Raises:
        StageFailure: infinity as a JSON number, which JSON does not have.
        InvalidInput: FP16 for a request of typed contents, which have no field for it.
    """
    fields: dict[str, Any] = {
        "name": tensor.name,
        "shape": list(tensor.data.shape),
        "datatype": tensor.datatype,
    }
    values: Any
    if wire is Wire.RAW:
        values = tensor.data
    elif wire is Wire.TYPED and tensor.datatype == "FP16":
        raise InvalidInput(
            f"output tensor '{tensor.name}' is FP16, which typed gRPC contents cannot hold; "
            "accepted: a request with raw contents, answered in kind"
        )
    elif wire is Wire.BASE64 and tensor.datatype != "BYTES":
        values = [base64.b64encode(raw.pack(tensor.datatype, tensor.data)).decode("ascii")]
        fields["parameters"] = Parameters(content_type=BASE64)
    else:
        values = tensor.data.ravel().tolist()
        if tensor.datatype == "BYTES" and wire in (Wire.JSON, Wire.BASE64):
            try:
                values = [item.decode() for item in values]
            except UnicodeDecodeError:
                values = [base64.b64encode(item).decode("ascii") for item in values]
                fields["parameters"] = Parameters(content_type=BASE64)
        elif wire is Wire.JSON and tensor.data.dtype.kind == "f" and np.isinf(tensor.data).any():
            raise StageFailure(
                f"output tensor '{tensor.name}' holds infinity, which JSON cannot carry; gRPC can"
            )
    return ResponseOutput.model_construct(**fields, data=TensorData.model_construct(root=values))


def _says_base64(tensor: Any) -> bool:
    return tensor.parameters is not None and tensor.parameters.content_type == BASE64


def _holds_base64_numbers(tensor: Any) -> bool:
    return tensor.datatype != "BYTES" and _says_base64(tensor)


def _numbers_from_base64(
    name: str, datatype: str, shape: Sequence[int], values: Any
) -> npt.NDArray[Any]:
    """Numbers that came as one text, the base64 of their little-endian raw contents."""
    if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], str):
        raise MalformedRequest(
            f"tensor '{name}': content_type base64 with datatype {datatype} needs data of one "
            "string, the base64 of the tensor's little-endian values"
        )
    try:
        return raw.unpack(datatype, shape, base64.b64decode(values[0], validate=True))
    except binascii.Error as error:
        raise MalformedRequest(f"tensor '{name}': not valid base64 ({error})") from None
    except (ValueError, OverflowError) as error:
        raise MalformedRequest(f"tensor '{name}': {error}") from None


def _from_base64(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    decoded = np.empty(array.shape, dtype=object)
    for index, item in np.ndenumerate(array):
        try:
            decoded[index] = base64.b64decode(item, validate=True)
        except (binascii.Error, ValueError) as error:
            raise MalformedRequest(f"tensor '{name}': not valid base64 ({error})") from None
    return decoded


def _is_true(value: Parameter | None) -> bool:
    return value is True or str(value).lower() in _TRUE
