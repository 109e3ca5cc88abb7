"""V2 over REST: JSON bodies, with raw contents behind the JSON where they are announced.

The second part is V2's extension of binary tensor data: the header
`Inference-Header-Content-Length` gives the length of the JSON, and the contents of the tensors that
have a `binary_data_size` follow in their order.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from ..errors import InvalidInput, MalformedRequest, StageFailure, TooLarge
from . import base64_bytes, raw
from .json_text import array_to_json, loads
from .request import Form, InferRequest, Limits, RequestedOutput, quoted
from .tensor import TEXT_CONTENT_TYPE, Message, Parameter, Tensor
from .values import LargeList, array_from_list, check_nesting

LENGTH_HEADER = "inference-header-content-length"
EXTENSION = "binary_tensor_data"
"""What a server's metadata lists when it takes and gives raw contents over REST."""

_INLINE_ELEMENTS = 1 << 14
"""Larger arrays are written in slices."""

Body = bytes | memoryview


def decode_request(
    body: bytes, json_size: int | None, limits: Limits, as_given: bool = False
) -> InferRequest:
    """The request of a body.

    Args:
        body: All of it.
        json_size: What `LENGTH_HEADER` says; None without it.
        limits: Checked before values are decoded.
        as_given: Whether tensors keep their parameters, and the request `binary_data_output`: for
            clients, who send the request on.

    Raises:
        MalformedRequest: not JSON, not a V2 inference request, or it contradicts itself.
        TooLarge: more than `limits`.
        InvalidInput: a parameter of an output that cannot be.
    """
    return _request(_document(body, json_size), body, json_size, limits, as_given)


def decode_node(body: bytes, limits: Limits) -> InferRequest:
    """What the executor of a graph sends a node: a request, or an answer that becomes one.

    Raises as `decode_request`.
    """
    return _request(_as_request(_document(body, None)), body, None, limits)


def decode_nodes(body: bytes, limits: Limits) -> list[InferRequest]:
    """A JSON list of answers, as the executor of a graph sends them to the node that joins them.

    Raises as `decode_request`, also for an empty list.
    """
    try:
        documents = loads(body)
    except ValueError as error:
        raise _not_v2(f"not JSON: {error}") from None
    if not isinstance(documents, (list, LargeList)) or not len(documents):
        raise _not_v2("accepted: a list of answers, at least one")
    if len(documents) > limits.tensors:
        raise TooLarge(
            f"the body has {len(documents)} answers; accepted: at most {limits.tensors} (server "
            "setting 'max_tensors')",
            cause="tensors",
        )
    for index, each in enumerate(documents):
        if not isinstance(each, dict):
            raise _not_v2(f"answer {index} is {_kind(each)}; accepted: an object")
    return [_request(_as_request(each), body, None, limits) for each in documents]


def _as_request(document: dict[str, Any]) -> dict[str, Any]:
    if "inputs" in document or "outputs" not in document:
        return document
    return {**{k: v for k, v in document.items() if k != "outputs"}, "inputs": document["outputs"]}


def _request(
    document: dict[str, Any],
    body: bytes,
    json_size: int | None,
    limits: Limits,
    as_given: bool = False,
) -> InferRequest:
    parameters = dict(_mapping(document, "parameters", ""))
    request_id = _text(document, "id", "", "")
    inputs = _list(document, "inputs", limits.tensors, required=True)
    outputs = [
        _requested_output(each, index)
        for index, each in enumerate(_list(document, "outputs", limits.tensors))
    ]
    headers = [_Header(each, index) for index, each in enumerate(inputs)]
    limits.check([(each.name, each.datatype, each.shape) for each in headers], len(outputs))
    contents = _Contents(body, len(body) if json_size is None else json_size)
    tensors = [each.decode(contents, json_size, as_given) for each in headers]
    contents.check_used()
    binary = parameters.get("binary_data_output")
    if not as_given:
        parameters.pop("binary_data_output", None)
    if binary is not None and type(binary) is not bool:
        raise InvalidInput(
            f"parameter 'binary_data_output' is {binary!r:.100}; accepted: true or false"
        )
    if binary:
        form = Form.BINARY
    else:
        form = Form.BASE64 if any(each.holds_base64_numbers for each in headers) else Form.JSON
    return InferRequest(Message(tensors, request_id, parameters), outputs, form)


def encode_request(
    message: Message,
    parameters: Mapping[str, Parameter],
    binary: bool,
    outputs: Sequence[RequestedOutput] = (),
) -> tuple[list[Body], int | None]:
    """The parts of a request's body, and the length of its JSON where raw contents follow it.

    Args:
        message: Tensors and id.
        parameters: The request's parameters.
        binary: Whether the server takes and gives raw contents.
        outputs: The outputs that are wanted; all of them when empty.

    Raises:
        InvalidInput: infinity without `binary`, or a parameter, that JSON cannot carry.
    """
    head: dict[str, Any] = {"id": message.id} if message.id else {}
    given: dict[str, Any] = dict(parameters)
    if binary:
        given["binary_data_output"] = True
    if given:
        head["parameters"] = given
    if outputs:
        # Triton heeds binary_data_output for outputs alone that no request names.
        default = {"binary_data": True} if binary else {}
        head["outputs"] = [
            _requested(each.name, {**default, **each.parameters}) for each in outputs
        ]
    form = Form.BINARY if binary else Form.JSON
    try:
        return _encode(head, "inputs", [(each, form) for each in message.tensors])
    except StageFailure as error:
        raise InvalidInput(str(error)) from None


def encode_response(
    model: str,
    version: str | None,
    message: Message,
    parameters: Mapping[str, Parameter],
    request: InferRequest,
    marks_text: bool = False,
) -> tuple[list[Body], int | None]:
    """The parts of an answer's body, and the length of its JSON where raw contents follow it.

    Numbers go as they came, unless an output says otherwise. BYTES that are not UTF-8 go as base64
    and say so, and NaN is null. With `marks_text`, those that are say that, too.

    Raises:
        StageFailure: infinity as a JSON number, or a parameter, that JSON cannot carry.
    """
    head: dict[str, Any] = {"model_name": model}
    if version:
        head["model_version"] = version
    if message.id:
        head["id"] = message.id
    if parameters:
        head["parameters"] = dict(parameters)
    asked = {each.name: each.binary for each in request.outputs if each.binary is not None}
    forms = [
        (each, _form(asked[each.name], request.form) if each.name in asked else request.form)
        for each in message.tensors
    ]
    return _encode(head, "outputs", forms, marks_text)


def decode_response(
    body: bytes, json_size: int | None, request_id: str, as_given: bool = False
) -> tuple[Message, dict[str, Parameter]]:
    """The message of an answer, and its parameters; with `as_given` tensors keep theirs, too.

    Raises:
        ValueError: it is not V2, or contradicts itself.
    """
    try:
        document = _document(body, json_size)
        headers = [
            _Header(each, index)
            for index, each in enumerate(
                _list(document, "outputs", _ANY_SIZE.tensors, required=True)
            )
        ]
        _ANY_SIZE.check([(each.name, each.datatype, each.shape) for each in headers])
        contents = _Contents(body, len(body) if json_size is None else json_size)
        tensors = [each.decode(contents, json_size, as_given) for each in headers]
        contents.check_used()
        return Message(tensors, request_id), dict(_mapping(document, "parameters", ""))
    except MalformedRequest as error:
        raise ValueError(str(error)) from None


_ANY_SIZE = Limits(tensors=1 << 30, elements=1 << 62, strings=1 << 62)


class _Contents:
    """The raw contents behind the JSON, taken from the front."""

    def __init__(self, body: Body, start: int) -> None:
        self._left = memoryview(body)[start:]

    def take(self, name: str, size: int) -> memoryview:
        if size > len(self._left):
            raise MalformedRequest(
                f"tensor {quoted(name)}: binary_data_size is {size}, but {len(self._left)} bytes "
                "are left behind the JSON"
            )
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def check_used(self) -> None:
        if len(self._left):
            raise MalformedRequest(
                f"{len(self._left)} bytes behind the JSON belong to no tensor's binary_data_size"
            )


class _Header:
    """A tensor as its JSON describes it; its values are not decoded yet."""

    __slots__ = ("_given", "_parameters", "datatype", "holds_base64_numbers", "name", "shape")

    def __init__(self, given: Any, index: int) -> None:
        if not isinstance(given, dict):
            raise _not_v2(f"tensor {index} is {_kind(given)}; accepted: an object")
        name = given.get("name")
        if type(name) is not str:
            raise _not_v2(f"tensor {index}: its name is {_kind(name)}; accepted: a string")
        self.name = name
        datatype, shape = given.get("datatype"), given.get("shape")
        if type(datatype) is not str:
            raise _not_v2(
                f"tensor {quoted(name)}: its datatype is {_kind(datatype)}; accepted: a string"
            )
        # A boolean is an integer to Python.
        if type(shape) is not list or any(type(size) is not int for size in shape):
            raise _not_v2(
                f"tensor {quoted(name)}: its shape is {shape!r:.100}; accepted: a list of integers"
            )
        self.datatype, self.shape = datatype, shape
        self._given = given
        self._parameters = _mapping(given, "parameters", f"tensor {quoted(name)}: ")
        self.holds_base64_numbers = (
            self._parameters.get("content_type") == base64_bytes.CONTENT_TYPE
            and datatype != "BYTES"
        )

    def decode(self, contents: _Contents, json_size: int | None, as_given: bool) -> Tensor:
        name, datatype, shape = self.name, self.datatype, self.shape
        try:
            array = self._array(contents, json_size).reshape(shape)
        except (ValueError, OverflowError) as error:
            raise MalformedRequest(f"tensor {quoted(name)}: {error}") from None
        # A task that changes its inputs would change those of other steps too.
        array.flags.writeable = False
        return Tensor(name, datatype, array, self._kept() if as_given else None)

    def _kept(self) -> dict[str, Any] | None:
        kept = {name: each for name, each in self._parameters.items() if name != "binary_data_size"}
        return kept or None

    def _array(self, contents: _Contents, json_size: int | None) -> npt.NDArray[Any]:
        name, datatype, shape = self.name, self.datatype, self.shape
        values, size = self._given.get("data"), self._parameters.get("binary_data_size")
        if size is not None:
            if type(size) is not int or size < 0:
                raise ValueError(
                    f"binary_data_size is {size!r:.100}; accepted: a number of bytes from 0"
                )
            if json_size is None:
                raise ValueError(
                    f"it has binary_data_size, but the request has no header {LENGTH_HEADER}, "
                    "which tells where binary data begins"
                )
            if values is not None:
                raise ValueError("it has both data and binary_data_size; accepted: one of them")
            return raw.unpack(datatype, shape, contents.take(name, size))
        if self.holds_base64_numbers:
            return base64_bytes.decode_numbers(datatype, shape, values)
        if not isinstance(values, (list, LargeList)):
            raise ValueError(f"its data is {_kind(values)}; accepted: a list of values")
        check_nesting(name, values, shape)
        array = array_from_list(name, datatype, values, len(shape))
        count = 1
        for each in shape:
            count *= each
        if array.size != count:
            raise ValueError(f"shape {shape} holds {count} values, but data has {array.size}")
        if base64_bytes.announced(self._parameters.get("content_type"), datatype):
            array = base64_bytes.decode(array)
        return array


def _document(body: bytes, json_size: int | None) -> dict[str, Any]:
    """The JSON of a body, an object."""
    if json_size is not None and not 0 < json_size <= len(body):
        raise MalformedRequest(
            f"the header {LENGTH_HEADER} is {json_size}, but the body has {len(body)} bytes; "
            "accepted: the length of the JSON at its beginning"
        )
    text = body if json_size is None else body[:json_size]
    try:
        document = loads(text)
    except ValueError as error:
        raise _not_v2(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise _not_v2(f"it is {_kind(document)}; accepted: an object")
    return document


def _requested_output(given: Any, index: int) -> RequestedOutput:
    if not isinstance(given, dict) or type(given.get("name")) is not str:
        raise _not_v2(f"requested output {index} has no name; accepted: an object with a name")
    name = given["name"]
    return RequestedOutput.of(name, _mapping(given, "parameters", f"output {quoted(name)}: "))


def _list(document: Mapping[str, Any], field: str, most: int, required: bool = False) -> list[Any]:
    value = document.get(field)
    if value is None and not required:
        return []
    if not isinstance(value, (list, LargeList)):
        raise _not_v2(f"{field} is {_kind(value)}; accepted: a list")
    if len(value) > most:
        raise TooLarge(
            f"{field} has {len(value)} tensors; accepted: at most {most} (server setting "
            "'max_tensors')",
            cause="tensors",
        )
    return list(value)


def _mapping(document: Mapping[str, Any], field: str, where: str) -> dict[str, Any]:
    value = document.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _not_v2(f"{where}{field} is {_kind(value)}; accepted: an object")
    return value


def _text(document: Mapping[str, Any], field: str, where: str, default: str) -> str:
    value = document.get(field)
    if value is None:
        return default
    if type(value) is not str:
        raise _not_v2(f"{where}{field} is {_kind(value)}; accepted: a string")
    return value


def _not_v2(problem: str) -> MalformedRequest:
    return MalformedRequest(f"the body is not a V2 inference message: {problem}")


def _kind(value: Any) -> str:
    if value is None:
        return "missing or null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return names.get(type(value)) or ("an object" if isinstance(value, dict) else "a list")


def _form(binary: bool | None, form: Form) -> Form:
    if binary:
        return Form.BINARY
    return Form.JSON if form is Form.BINARY else form


def _encode(
    head: dict[str, Any],
    side: str,
    tensors: Sequence[tuple[Tensor, Form]],
    marks_text: bool = False,
) -> tuple[list[Body], int | None]:
    fields: list[dict[str, Any]] = []
    large: dict[int, npt.NDArray[Any]] = {}
    contents: list[Body] = []
    for index, (tensor, form) in enumerate(tensors):
        field, content = _field(tensor, form, marks_text)
        if content is not None:
            contents.append(content)
        elif tensor.datatype != "BYTES" and "data" not in field:
            array = tensor.data.reshape(-1)
            if array.size > _INLINE_ELEMENTS:
                large[index] = array
            else:
                field["data"] = np.ascontiguousarray(array)
        fields.append(field)
    try:
        if not large:
            head[side] = fields
            text = [orjson.dumps(head, option=orjson.OPT_SERIALIZE_NUMPY)]
        else:
            text = _in_slices(head, side, fields, large)
    except TypeError as error:
        raise StageFailure(f"JSON cannot carry it: {error}") from None
    if not contents:
        return [*text], None
    return [*text, *contents], sum(map(len, text))


def _field(tensor: Tensor, form: Form, marks_text: bool) -> tuple[dict[str, Any], Body | None]:
    """A tensor's JSON, without its data where those are long; and its raw contents, if they go."""
    data, datatype = tensor.data, tensor.datatype
    field: dict[str, Any] = {"name": tensor.name, "shape": list(data.shape), "datatype": datatype}
    given: dict[str, Any] = {}
    encoded = False
    if tensor.parameters:
        given = base64_bytes.without_announcement(tensor.parameters)
        encoded = tensor.parameters.get("content_type") == base64_bytes.CONTENT_TYPE
    if form is Form.BINARY:
        content = raw.pack(datatype, data)
        if isinstance(content, memoryview):
            content = content.cast("B") if content.nbytes else b""
        field["parameters"] = {**given, "binary_data_size": len(content)}
        return field, content
    if given:
        field["parameters"] = given
    if datatype == "BYTES":
        items = data.ravel().tolist()
        try:
            field["data"] = base64_bytes.encode(items) if encoded else _decoded(items)
            if marks_text:
                field["parameters"] = {"content_type": TEXT_CONTENT_TYPE}
        except UnicodeDecodeError:
            encoded = True
            field["data"] = base64_bytes.encode(items)
    elif form is Form.BASE64 or encoded:
        encoded = True
        field["data"] = [base64.b64encode(raw.pack(datatype, data)).decode("ascii")]
    elif data.dtype.kind == "f" and np.isinf(data).any():
        raise StageFailure(
            f"tensor '{tensor.name}' holds infinity, which JSON cannot carry; "
            "binary tensor data and gRPC can"
        )
    if encoded:
        field["parameters"] = {**given, "content_type": base64_bytes.CONTENT_TYPE}
    return field, None


def _decoded(items: list[bytes]) -> list[str]:
    return [item.decode() for item in items]


def _requested(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "parameters": dict(parameters)} if parameters else {"name": name}


def _in_slices(
    head: dict[str, Any],
    side: str,
    fields: Sequence[dict[str, Any]],
    large: Mapping[int, npt.NDArray[Any]],
) -> list[bytes]:
    """The JSON in parts, of which none takes long to make."""
    parts = [orjson.dumps(head)[:-1] + (b"," if head else b"") + b'"' + side.encode() + b'":[']
    for index, field in enumerate(fields):
        text = orjson.dumps(field, option=orjson.OPT_SERIALIZE_NUMPY)
        if index:
            parts.append(b",")
        if index in large:
            parts += [text[:-1], b',"data":', *array_to_json(large[index]), b"}"]
        else:
            parts.append(text)
    parts.append(b"]}")
    return parts


def without_binary(request: InferRequest) -> InferRequest:
    """The request, its answer all in JSON: an event of a stream has no room for raw contents."""
    outputs = [replace(each, binary=None) for each in request.outputs]
    form = Form.JSON if request.form is Form.BINARY else request.form
    return InferRequest(request.message, outputs, form)
