"""Between MLServer's request and response types, whose values are lists, and `Message`."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mlserver.types import (
    InferenceRequest,
    InferenceResponse,
    MetadataTensor,
    Parameters,
    RequestInput,
    ResponseOutput,
    TensorData,
)

from .errors import MalformedRequest, StageFailure
from .request import RequestContext, read_context, take_trace
from .tensors import TensorSpec
from .v2 import Message, Tensor, base64_bytes, raw
from .v2.request import Form, InferRequest, Limits, RequestedOutput, quoted
from .v2.values import array_from_list, check_nesting


def declared_specs(
    tensors: Sequence[MetadataTensor] | None, optional: Sequence[str]
) -> tuple[TensorSpec, ...]:
    """A model's declared tensors; `optional` names those that may be absent."""
    return tuple(
        TensorSpec(each.name, str(each.datatype), tuple(each.shape), each.name in optional)
        for each in tensors or ()
    )


def read_request(payload: InferenceRequest) -> tuple[InferRequest, RequestContext]:
    """The request of MLServer's types, and what accompanies it.

    Raises:
        MalformedRequest: data that does not fill its shape, is not of its datatype, or is not
            base64 where base64 is announced; an unknown datatype; an impossible shape.
        InvalidInput: the timeout header is not a time, or an output asks for what cannot be.
    """
    Limits().check([(each.name, str(each.datatype), each.shape) for each in payload.inputs])
    tensors = [_read_tensor(each) for each in payload.inputs]
    outputs = [
        RequestedOutput.of(each.name, (each.parameters and each.parameters.model_extra) or {})
        for each in payload.outputs or ()
    ]
    parameters: dict[str, Any] = {}
    headers: Mapping[str, str] = {}
    if payload.parameters is not None:
        parameters = dict(payload.parameters.model_extra or {})
        headers = payload.parameters.headers or {}
    context = read_context(headers)
    take_trace(parameters, context)
    message = Message(tensors, payload.id or "", parameters)
    base64_numbers = any(map(_holds_base64_numbers, payload.inputs))
    return InferRequest(message, outputs, Form.BASE64 if base64_numbers else Form.JSON), context


def write_response(
    message: Message, parameters: Mapping[str, Any], model: str, version: str | None, form: Form
) -> InferenceResponse:
    """The V2 response of a message, in MLServer's types."""
    response = InferenceResponse.model_construct(
        model_name=model,
        id=message.id,
        outputs=[_write_tensor(tensor, form) for tensor in message.tensors],
    )
    if version:
        response.model_version = version
    if parameters:
        response.parameters = Parameters(**parameters)
    return response


def write_request(
    request: InferRequest, parameters: Mapping[str, Any], headers: Mapping[str, str]
) -> InferenceRequest:
    """The request in MLServer's types, as MLServer makes it of the same values over gRPC."""
    return InferenceRequest.model_construct(
        id=request.message.id or None,
        parameters=Parameters(**{**parameters, "headers": dict(headers)}),
        inputs=[
            RequestInput.model_construct(
                name=each.name,
                shape=list(each.shape),
                datatype=each.datatype,
                parameters=None,
                data=TensorData.model_construct(root=each.data.reshape(-1).tolist()),
            )
            for each in request.message.tensors
        ],
        outputs=None,
    )


def read_response(response: InferenceResponse) -> tuple[Message, dict[str, Any]]:
    """The message of a stock model's response, and its parameters without headers.

    Raises:
        StageFailure: the response contradicts itself.
    """
    try:
        tensors = [_read_tensor(each) for each in response.outputs]
    except MalformedRequest as error:
        raise StageFailure(f"its answer is malformed: {error}") from None
    given = response.parameters
    parameters = {} if given is None else dict(given.model_extra or {})
    if given is not None and given.content_type is not None:
        parameters["content_type"] = given.content_type
    return Message(tensors, response.id or ""), parameters


def _read_tensor(tensor: Any) -> Tensor:
    name, datatype, shape = tensor.name, str(tensor.datatype), list(tensor.shape)
    values = tensor.data.root
    try:
        if _holds_base64_numbers(tensor):
            return Tensor(name, datatype, base64_bytes.decode_numbers(datatype, shape, values))
        if isinstance(values, np.ndarray):
            array = values.view()
        elif isinstance(values, list):
            check_nesting(name, values, shape)
            array = array_from_list(name, datatype, values, len(shape))
        else:
            raise ValueError(f"data is {type(values).__name__}; accepted: a list of values")
        count = 1
        for size in shape:
            count *= size
        if array.size != count:
            raise ValueError(f"shape {shape} holds {count} values, but data has {array.size}")
        if tensor.parameters is not None and base64_bytes.announced(
            tensor.parameters.content_type, datatype
        ):
            array = base64_bytes.decode(array)
        array = array.reshape(shape)
    except (ValueError, OverflowError) as error:
        raise MalformedRequest(f"tensor {quoted(name)}: {error}") from None
    # A task that changes its inputs would change those of other steps too.
    array.flags.writeable = False
    return Tensor(name, datatype, array)


def _write_tensor(tensor: Tensor, form: Form) -> ResponseOutput:
    fields: dict[str, Any] = {
        "name": tensor.name,
        "shape": list(tensor.data.shape),
        "datatype": tensor.datatype,
    }
    values = tensor.data.ravel().tolist()
    if form is Form.BASE64 and tensor.datatype != "BYTES":
        values = [base64.b64encode(raw.pack(tensor.datatype, tensor.data)).decode("ascii")]
        fields["parameters"] = Parameters(content_type=base64_bytes.CONTENT_TYPE)
    elif tensor.datatype == "BYTES":
        try:
            values = [item.decode() for item in values]
        except UnicodeDecodeError:
            values = base64_bytes.encode(values)
            fields["parameters"] = Parameters(content_type=base64_bytes.CONTENT_TYPE)
    return ResponseOutput.model_construct(**fields, data=TensorData.model_construct(root=values))


def _holds_base64_numbers(tensor: Any) -> bool:
    return (
        str(tensor.datatype) != "BYTES"
        and tensor.parameters is not None
        and tensor.parameters.content_type == base64_bytes.CONTENT_TYPE
    )
