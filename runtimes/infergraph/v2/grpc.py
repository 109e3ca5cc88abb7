"""V2 over gRPC: requests and answers to bytes and back, raw contents neither copied nor parsed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from ..errors import InvalidInput, MalformedRequest, StageFailure, TooLarge
from . import base64_bytes, raw
from .request import Form, InferRequest, Limits, RequestedOutput, quoted
from .schema import (
    HOP_REQUEST,
    RAW_INPUT_CONTENTS,
    RAW_OUTPUT_CONTENTS,
    HopRequest,
    InferParameter,
    ModelInferRequest,
    ModelInferResponse,
)
from .tensor import NUMPY_DTYPES, TEXT_CONTENT_TYPE, Message, Parameter, Tensor, is_text

_LENGTH_DELIMITED = 2
_COPIED_BYTES = 1 << 15
"""Smaller messages are parsed whole: protobuf copies their raw contents faster than a scan finds
them."""
_MOST_FIELDS = 1 << 14
"""Of a larger request: a field may take two bytes of it, but some hundred of Python's. Smaller ones
cannot have more."""
_SLICE = 1 << 16
"""Elements of typed contents that are read at a time, so that other threads get their turn."""

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


class Call:
    """A ModelInferRequest of which the tensors are not decoded yet.

    Attributes:
        header: The protobuf message; its raw contents are in `contents`.
        contents: The raw contents, in order.
        parsed_bytes: What protobuf had to parse: everything but large raw contents.
    """

    __slots__ = ("contents", "header", "parsed_bytes")

    def __init__(self, body: bytes, typed_limit: int) -> None:
        """Parses a request's bytes.

        Raises:
            MalformedRequest: they are no ModelInferRequest.
            TooLarge: without raw contents they are larger than `typed_limit`, or they have more
                fields than any request needs.
        """
        parts, self.contents = _split(body, RAW_INPUT_CONTENTS, _MOST_FIELDS)
        self.parsed_bytes = sum(map(len, parts))
        if self.parsed_bytes > typed_limit:
            raise TooLarge(
                f"the message has {self.parsed_bytes} bytes beside raw contents; accepted: at most "
                f"{typed_limit} (server setting 'max_typed_bytes'): send large tensors as "
                "raw_input_contents",
                cause="typed_bytes",
            )
        self.header = _parse(ModelInferRequest, parts)
        # Those of small messages, and those behind a field that the scan does not know.
        self.contents += self.header.raw_input_contents

    def outline(self) -> list[tuple[str, str, Sequence[int]]]:
        """Name, datatype and shape of each tensor."""
        return [(each.name, each.datatype, each.shape) for each in self.header.inputs]

    def check(self, limits: Limits) -> None:
        """Checks names, datatypes and shapes; raises as `Limits.check` does."""
        limits.check(self.outline(), len(self.header.outputs))

    def strings(self) -> int:
        """Elements of BYTES tensors, each of which becomes an object; of shapes that were checked,
        since the product of a million sizes takes hours."""
        return sum(math.prod(each.shape) for each in self.header.inputs if each.datatype == "BYTES")

    def decode(self, limits: Limits) -> InferRequest:
        """The request, its numbers as arrays that share the raw contents' memory, read-only.

        Raises:
            MalformedRequest: it contradicts itself.
            TooLarge: more than `limits`.
            InvalidInput: a parameter of an output that cannot be.
        """
        header = self.header
        self.check(limits)
        contents, form = self.contents, Form.RAW if self.contents else Form.TYPED
        if contents and len(contents) != len(header.inputs):
            raise MalformedRequest(
                f"{len(header.inputs)} tensors came with {len(contents)} raw contents"
            )
        tensors = []
        for index, given in enumerate(header.inputs):
            if contents and _has_values(given):
                raise MalformedRequest(
                    f"tensor {quoted(given.name)} has typed contents beside raw contents; "
                    "accepted: either kind, for all tensors"
                )
            try:
                tensors.append(_decode(given, contents[index] if contents else None))
            except (ValueError, OverflowError) as error:
                raise MalformedRequest(f"tensor {quoted(given.name)}: {error}") from None
        outputs = [
            RequestedOutput.of(each.name, parameter_values(each.parameters))
            for each in header.outputs
        ]
        message = Message(tensors, header.id, parameter_values(header.parameters))
        return InferRequest(message, outputs, form)


def encode_request(
    model: str,
    version: str,
    message: Message,
    parameters: Mapping[str, Parameter],
    exact_parameters: bool = True,
    outputs: Sequence[RequestedOutput] = (),
    form: Form = Form.RAW,
) -> bytes:
    """A serialised ModelInferRequest.

    Args:
        model: The model's name.
        version: The model's version; empty for the default.
        message: Tensors and id.
        parameters: The request's parameters.
        exact_parameters: Whether the server knows parameters of kinds that MLServer does not:
            fractions and integers from 2**63. They go as text otherwise.
        outputs: The outputs that are wanted; all of them when empty.
        form: RAW or TYPED contents.

    Raises:
        InvalidInput: a parameter that gRPC cannot carry, or a datatype that typed contents cannot.
    """
    request = ModelInferRequest(model_name=model, model_version=version, id=message.id)
    set_parameters(request.parameters, parameters, exact_parameters)
    for each in outputs:
        wanted = request.outputs.add(name=each.name)
        set_parameters(wanted.parameters, each.parameters, exact_parameters)
    if form is Form.TYPED:
        _set_typed("input", request.inputs, message.tensors)
        return bytes(request.SerializeToString())
    return b"".join(_contents_parts(request, request.inputs, message.tensors, RAW_INPUT_CONTENTS))


def encode_response(
    model: str,
    version: str,
    message: Message,
    parameters: Mapping[str, Parameter],
    form: Form,
    marks_text: bool = False,
) -> list[bytes | memoryview]:
    """The parts of a serialised ModelInferResponse, contents in the form in which they came.

    With `marks_text`, BYTES that are UTF-8 say so by their content_type.

    Raises:
        InvalidInput: FP16 or BF16 for a request of typed contents, which have no field for it.
        StageFailure: a parameter that gRPC cannot carry.
    """
    response = ModelInferResponse(model_name=model, model_version=version, id=message.id)
    try:
        set_parameters(response.parameters, parameters, True)
    except InvalidInput as error:
        raise StageFailure(f"its answer: {error}") from None
    if form is Form.RAW:
        return _contents_parts(
            response, response.outputs, message.tensors, RAW_OUTPUT_CONTENTS, marks_text
        )
    _set_typed("output", response.outputs, message.tensors, marks_text)
    return [response.SerializeToString()]


def _set_typed(side: str, target: Any, tensors: Sequence[Tensor], marks_text: bool = False) -> None:
    for tensor in tensors:
        field = _TYPED_FIELDS.get(tensor.datatype)
        if field is None:
            raise InvalidInput(
                f"{side} tensor '{tensor.name}' is {tensor.datatype}, which typed gRPC contents "
                "cannot hold; accepted: a request with raw contents, answered in kind"
            )
        values = getattr(_describe(target, tensor, marks_text).contents, field)
        flat = tensor.data.reshape(-1)
        for start in range(0, flat.size, _SLICE):
            values.extend(flat[start : start + _SLICE].tolist())


def decode_response(
    body: bytes, request_id: str, as_given: bool = False
) -> tuple[Message, dict[str, Parameter]]:
    """The message of a serialised ModelInferResponse, and its parameters.

    With `as_given` tensors keep theirs, too.

    Raises:
        ValueError: it is none, or contradicts itself.
    """
    parts, contents = _split(body, RAW_OUTPUT_CONTENTS)
    try:
        answer = _parse(ModelInferResponse, parts)
    except MalformedRequest as error:
        raise ValueError(str(error)) from None
    contents += answer.raw_output_contents
    used, tensors = 0, []
    for given in answer.outputs:
        if given.datatype not in NUMPY_DTYPES:
            raise ValueError(
                f"tensor '{given.name}' has datatype '{given.datatype}'; "
                f"accepted: {', '.join(NUMPY_DTYPES)}"
            )
        content = None
        if contents and not _has_values(given):
            if used == len(contents):
                break
            content, used = contents[used], used + 1
        try:
            tensor = _decode(given, content)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"tensor '{given.name}': {error}") from None
        if as_given and given.parameters:
            tensor.parameters = parameter_values(given.parameters)
        tensors.append(tensor)
    if used != len(contents) or len(tensors) != len(answer.outputs):
        raise ValueError(f"{len(answer.outputs)} tensors came with {len(contents)} raw contents")
    return Message(tensors, request_id), parameter_values(answer.parameters)


def embedded(field: int, parts: Sequence[bytes | memoryview]) -> bytes:
    """A serialised message as a field of another one, which it ends."""
    size = sum(each.nbytes if isinstance(each, memoryview) else len(each) for each in parts)
    return b"".join([bytes([field << 3 | _LENGTH_DELIMITED]), varint(size), *parts])


def parameter_values(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values of protobuf parameters; one that holds none is left out."""
    if not parameters:
        return {}
    return {
        name: getattr(value, kind)
        for name, value in parameters.items()
        if (kind := value.WhichOneof("parameter_choice")) is not None
    }


def set_parameters(target: Any, parameters: Mapping[str, Any], exact: bool) -> None:
    """Sets protobuf parameters, see `encode_request`; raises InvalidInput."""
    for name, value in parameters.items():
        target[name].CopyFrom(_parameter(name, value, exact))


def _parameter(name: str, value: object, exact: bool) -> Any:
    if isinstance(value, bool):
        return InferParameter(bool_param=value)
    if isinstance(value, int):
        if -(2**63) <= value < 2**63:
            return InferParameter(int64_param=value)
        if 0 <= value < 2**64:
            if exact:
                return InferParameter(uint64_param=value)
            return InferParameter(string_param=str(value))
        raise InvalidInput(
            f"parameter '{name}' is {value}; accepted over gRPC: integers of 64 bits"
        )
    if isinstance(value, str):
        return InferParameter(string_param=value)
    if isinstance(value, float):
        # As text it keeps every bit.
        return (
            InferParameter(double_param=value)
            if exact
            else InferParameter(string_param=repr(value))
        )
    raise InvalidInput(
        f"parameter '{name}' is a {type(value).__name__}; "
        "accepted over gRPC: bool, integer, number, string"
    )


def _decode(given: Any, content: bytes | memoryview | None) -> Tensor:
    """A tensor from its raw content, or where that is None its typed contents."""
    name, datatype, shape = given.name, given.datatype, tuple(given.shape)
    if content is not None:
        array = raw.unpack(datatype, shape, content)
    else:
        array = _typed_array(datatype, shape, given.contents)
    if given.parameters and base64_bytes.announced(
        given.parameters["content_type"].string_param, datatype
    ):
        array = base64_bytes.decode(array)
    return Tensor(name, datatype, array)


def _typed_array(datatype: str, shape: tuple[int, ...], contents: Any) -> npt.NDArray[Any]:
    field = _TYPED_FIELDS.get(datatype)
    count = math.prod(shape)
    others = [each.name for each, _ in contents.ListFields() if each.name != field]
    if others:
        raise ValueError(f"it has {', '.join(others)}; accepted for {datatype}: {field or 'none'}")
    if field is None:
        if count:
            raise ValueError(f"typed contents cannot hold {datatype}; accepted: raw contents")
        return np.empty(shape, NUMPY_DTYPES[datatype])
    values = getattr(contents, field)
    if len(values) != count:
        raise ValueError(f"shape {list(shape)} holds {count} values, but {field} has {len(values)}")
    dtype = NUMPY_DTYPES[datatype]
    narrow = field in ("int_contents", "uint_contents")
    array: npt.NDArray[Any] = np.empty(count, np.int64 if narrow else dtype)
    for start in range(0, count, _SLICE):
        array[start : start + _SLICE] = values[start : start + _SLICE]
    if narrow:
        limits = np.iinfo(dtype)
        if count and not limits.min <= array.min() <= array.max() <= limits.max:
            raise ValueError(f"a value is out of the range {limits.min} to {limits.max}")
        array = array.astype(dtype)
    array = array.reshape(shape)
    array.flags.writeable = False
    return array


def _has_values(given: Any) -> bool:
    """Whether a tensor has typed contents; beside raw ones MLServer sets the field, but empty."""
    return given.HasField("contents") and bool(given.contents.ListFields())


def _describe(target: Any, tensor: Tensor, marks_text: bool = False) -> Any:
    described = target.add(name=tensor.name, datatype=tensor.datatype)
    described.shape.extend(tensor.data.shape)
    if tensor.parameters:
        given = base64_bytes.without_announcement(tensor.parameters)
        set_parameters(described.parameters, given, True)
    if marks_text and is_text(tensor):
        described.parameters["content_type"].string_param = TEXT_CONTENT_TYPE
    return described


def _contents_parts(
    message: Any, target: Any, tensors: Sequence[Tensor], field: int, marks_text: bool = False
) -> list[bytes | memoryview]:
    """A message's bytes in parts, its raw contents laid down after the rest, as protobuf would."""
    tag = bytes([field << 3 | _LENGTH_DELIMITED])
    parts: list[bytes | memoryview] = [b""]
    for tensor in tensors:
        _describe(target, tensor, marks_text)
        content = raw.pack(tensor.datatype, tensor.data)
        size = content.nbytes if isinstance(content, memoryview) else len(content)
        parts += (tag + varint(size), content)
    parts[0] = message.SerializeToString()
    return parts


def parse(kind: Any, body: bytes) -> Any:
    """The protobuf message of its bytes; MalformedRequest if they are none."""
    return _parse(kind, [body])


def _parse(kind: Any, parts: Sequence[bytes | memoryview]) -> Any:
    try:
        return kind.FromString(parts[0] if len(parts) == 1 else b"".join(parts))
    except DecodeError as error:
        raise MalformedRequest(f"not a {kind.DESCRIPTOR.name} of V2: {error}") from None


def hop_request(frame: bytes) -> tuple[bytes, dict[str, str]]:
    """The ModelInferRequest of a serialised HopRequest, and what is its metadata.

    Raises:
        MalformedRequest: it is none.
        TooLarge: it has more fields than a hop needs.
    """
    parts, requests = _split(frame, HOP_REQUEST, _MOST_FIELDS)
    hop = _parse(HopRequest, parts)
    request: bytes = hop.request
    if not request and requests:
        request = bytes(requests[-1])
    return request, dict(hop.headers)


def _split(
    body: bytes, field: int, most_fields: int | None = None
) -> tuple[Sequence[bytes | memoryview], list[bytes | memoryview]]:
    """A message without its raw contents, and these; small messages are left whole."""
    if len(body) <= _COPIED_BYTES:
        return [body], []
    view = memoryview(body)
    parts: list[bytes | memoryview] = []
    contents: list[bytes | memoryview] = []
    position = kept_from = fields = 0
    try:
        while position < len(body):
            start = position
            fields += 1
            if most_fields is not None and fields > most_fields:
                raise TooLarge(
                    f"the message has more than {most_fields} tensors, contents and parameters "
                    "together; accepted: at most that",
                    cause="fields",
                )
            tag, position = _read_varint(body, position)
            if tag & 7 != _LENGTH_DELIMITED:
                # No field of the messages: protobuf shall say what it thinks of it.
                break
            size, position = _read_varint(body, position)
            end = position + size
            if end > len(body):
                break
            if tag >> 3 == field:
                parts.append(view[kept_from:start])
                contents.append(view[position:end])
                kept_from = end
            position = end
    except IndexError:
        pass
    parts.append(view[kept_from:])
    return parts, contents


def _read_varint(body: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = body[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7
        if shift > 63:
            raise IndexError


def varint(number: int) -> bytes:
    """A number as protobuf writes lengths."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
