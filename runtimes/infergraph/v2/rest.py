"""V2 over REST: requests and answers as bodies; `rest_tensors` has the tensors in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import InvalidInput, MalformedRequest, StageFailure, TooLarge
from .json_text import loads
from .request import Form, InferRequest, Limits, RequestedOutput, quoted
from .rest_tensors import (
    LENGTH_HEADER,
    Body,
    RawContents,
    TensorHeader,
    encode_message,
    kind_of,
    mapping_of,
    not_v2,
)
from .tensor import Message, Parameter
from .values import LargeList

EXTENSION = "binary_tensor_data"
"""What a server's metadata lists when it takes and gives raw contents over REST."""


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
        raise not_v2(f"not JSON: {error}") from None
    if not isinstance(documents, (list, LargeList)) or not len(documents):
        raise not_v2("accepted: a list of answers, at least one")
    if len(documents) > limits.tensors:
        raise TooLarge(
            f"the body has {len(documents)} answers; accepted: at most {limits.tensors} (server "
            "setting 'max_tensors')",
            cause="tensors",
        )
    for index, each in enumerate(documents):
        if not isinstance(each, dict):
            raise not_v2(f"answer {index} is {kind_of(each)}; accepted: an object")
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
    parameters = dict(mapping_of(document, "parameters", ""))
    request_id = _text(document, "id", "", "")
    inputs = _list(document, "inputs", limits.tensors, required=True)
    outputs = [
        _requested_output(each, index)
        for index, each in enumerate(_list(document, "outputs", limits.tensors))
    ]
    headers = [TensorHeader(each, index) for index, each in enumerate(inputs)]
    limits.check([(each.name, each.datatype, each.shape) for each in headers], len(outputs))
    contents = RawContents(body, len(body) if json_size is None else json_size)
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
        return encode_message(head, "inputs", [(each, form) for each in message.tensors])
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
    return encode_message(head, "outputs", forms, marks_text)


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
            TensorHeader(each, index)
            for index, each in enumerate(
                _list(document, "outputs", _ANY_SIZE.tensors, required=True)
            )
        ]
        _ANY_SIZE.check([(each.name, each.datatype, each.shape) for each in headers])
        contents = RawContents(body, len(body) if json_size is None else json_size)
        tensors = [each.decode(contents, json_size, as_given) for each in headers]
        contents.check_used()
        return Message(tensors, request_id), dict(mapping_of(document, "parameters", ""))
    except MalformedRequest as error:
        raise ValueError(str(error)) from None


_ANY_SIZE = Limits(tensors=1 << 30, elements=1 << 62, strings=1 << 62)


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
        raise not_v2(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise not_v2(f"it is {kind_of(document)}; accepted: an object")
    return document


def _requested_output(given: Any, index: int) -> RequestedOutput:
    if not isinstance(given, dict) or type(given.get("name")) is not str:
        raise not_v2(f"requested output {index} has no name; accepted: an object with a name")
    name = given["name"]
    return RequestedOutput.of(name, mapping_of(given, "parameters", f"output {quoted(name)}: "))


def _list(document: Mapping[str, Any], field: str, most: int, required: bool = False) -> list[Any]:
    value = document.get(field)
    if value is None and not required:
        return []
    if not isinstance(value, (list, LargeList)):
        raise not_v2(f"{field} is {kind_of(value)}; accepted: a list")
    if len(value) > most:
        raise TooLarge(
            f"{field} has {len(value)} tensors; accepted: at most {most} (server setting "
            "'max_tensors')",
            cause="tensors",
        )
    return list(value)


def _text(document: Mapping[str, Any], field: str, where: str, default: str) -> str:
    value = document.get(field)
    if value is None:
        return default
    if type(value) is not str:
        raise not_v2(f"{where}{field} is {kind_of(value)}; accepted: a string")
    return value


def _requested(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "parameters": dict(parameters)} if parameters else {"name": name}


def _form(binary: bool | None, form: Form) -> Form:
    if binary:
        return Form.BINARY
    return Form.JSON if form is Form.BINARY else form


def without_binary(request: InferRequest) -> InferRequest:
    """The request, its answer all in JSON: an event of a stream has no room for raw contents."""
    outputs = [replace(each, binary=None) for each in request.outputs]
    form = Form.JSON if request.form is Form.BINARY else request.form
    return InferRequest(request.message, outputs, form)
