"""`Message` as V2 gRPC: requests as serialised bytes, answers from their protobuf."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from mlserver.grpc import dataplane_pb2 as pb

from ..errors import InvalidInput, StageFailure
from ..v2 import NUMPY_DTYPES, Message, Tensor, raw
from . import base64_bytes, hop

_RAW_CONTENTS_TAG = bytes(
    [pb.ModelInferRequest.DESCRIPTOR.fields_by_name["raw_input_contents"].number << 3 | 2]
)
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


def encode_request(model: str, message: Message, trace: bool) -> bytes:
    """A serialised ModelInferRequest with raw contents.

    The contents are laid down after the serialised rest, as protobuf would: fields of a message may
    be concatenated. It saves two of three copies of each tensor (4.9 MB: 0.13 ms against 0.85).

    Raises:
        InvalidInput: a parameter that gRPC cannot carry.
    """
    request = pb.ModelInferRequest(model_name=model, id=message.id)
    for name, value in hop.request_parameters(message, trace).items():
        _set_parameter(request.parameters[name], name, value)
    parts = [b""]
    for tensor in message.tensors:
        header = request.inputs.add()
        header.name = tensor.name
        header.datatype = tensor.datatype
        header.shape.extend(tensor.data.shape)
        contents = raw.pack(tensor.datatype, tensor.data)
        size = contents.nbytes if isinstance(contents, memoryview) else len(contents)
        parts += (_RAW_CONTENTS_TAG, _varint(size), contents)  # type: ignore[arg-type]
    parts[0] = request.SerializeToString()
    return b"".join(parts)


def decode_answer(answer: pb.ModelInferResponse, request_id: str) -> Message:
    """The message of an answer with raw or typed contents.

    Raises:
        StageFailure: the answer contradicts itself.
    """
    contents = list(answer.raw_output_contents)
    used = 0
    tensors = []
    for output in answer.outputs:
        name, datatype, shape = output.name, output.datatype, tuple(output.shape)
        try:
            if datatype not in NUMPY_DTYPES:
                raise ValueError(f"unknown datatype; accepted: {', '.join(NUMPY_DTYPES)}")
            if any(size < 0 for size in shape):
                raise ValueError(f"shape {list(shape)} has a negative size")
            if contents and not output.contents.ByteSize():
                if used == len(contents):
                    raise ValueError(f"{len(answer.outputs)} tensors came with {used} raw contents")
                array = raw.unpack(datatype, shape, contents[used])
                used += 1
            else:
                array = _typed_array(datatype, shape, output.contents)
            if output.parameters and base64_bytes.announced(
                output.parameters["content_type"].string_param, datatype
            ):
                array = base64_bytes.decode(array)
        except ValueError as error:
            raise StageFailure(
                f"its answer is malformed: tensor '{name}' of datatype '{datatype}': {error}"
            ) from None
        tensors.append(Tensor(name, datatype, array))
    if used != len(contents):
        raise StageFailure(
            f"its answer is malformed: {len(tensors)} tensors came with {len(contents)} raw "
            "contents"
        )
    parameters, trace = hop.answer_parameters(parameter_values(answer.parameters))
    return Message(tensors, request_id, parameters, trace)


def parameter_values(parameters: Mapping[str, pb.InferParameter]) -> dict[str, Any]:
    """Plain values of protobuf parameters."""
    return {
        name: getattr(value, kind)
        for name, value in parameters.items()
        if (kind := value.WhichOneof("parameter_choice")) is not None
    }


def _set_parameter(parameter: pb.InferParameter, name: str, value: object) -> None:
    if isinstance(value, bool):
        parameter.bool_param = value
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise InvalidInput(
                f"parameter '{name}' is {value}; accepted over gRPC: integers of 64 bits"
            )
        parameter.int64_param = value
    elif isinstance(value, str):
        parameter.string_param = value
    elif isinstance(value, float):
        # V2 gRPC has no float parameter; the text keeps every bit of the number.
        parameter.string_param = repr(value)
    else:
        raise InvalidInput(
            f"parameter '{name}' is a {type(value).__name__}; "
            "accepted over gRPC: bool, integer, number, string"
        )


def _typed_array(
    datatype: str, shape: tuple[int, ...], contents: pb.InferTensorContents
) -> npt.NDArray[Any]:
    field = _TYPED_FIELDS.get(datatype)
    count = math.prod(shape)
    if field is None:
        if count:
            raise ValueError("it has no raw contents, and typed contents cannot hold it")
        return np.empty(shape, NUMPY_DTYPES[datatype])
    values = getattr(contents, field)
    if len(values) != count:
        raise ValueError(f"shape {list(shape)} holds {count} values, but {field} has {len(values)}")
    if datatype == "BYTES":
        array: npt.NDArray[Any] = np.empty(count, dtype=object)
        array[:] = list(values)
        return array.reshape(shape)
    dtype = NUMPY_DTYPES[datatype]
    if field not in ("int_contents", "uint_contents"):
        return np.fromiter(values, dtype, count).reshape(shape)
    wide = np.fromiter(values, np.int64, count)
    limits = np.iinfo(dtype)
    if count and not limits.min <= wide.min() <= wide.max() <= limits.max:
        raise ValueError(f"a value is out of the range {limits.min} to {limits.max}")
    return wide.astype(dtype).reshape(shape)


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
