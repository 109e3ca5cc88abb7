"""Raw gRPC tensors stay arrays, end to end.

MLServer turns each raw tensor into a Python list and back: 340 ms of codec time for 4.9 MB of FP32.
The replacements share the buffer instead. Values are bit for bit those of the stock codec, which a
test checks; NaN passes. Requests keep what they came as (`GrpcInferenceRequest`,
`RawInferenceRequest`), so that answers go back in the same form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlserver.grpc.converters as converters
import mlserver.raw as mlserver_raw
import numpy as np
import numpy.typing as npt
from mlserver.errors import MLServerError
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.types import InferenceRequest, RequestInput, RequestOutput, TensorData

from ..tensors.v2 import GrpcInferenceRequest, RawInferenceRequest
from ..v2 import NUMPY_DTYPES, raw

_stock_to_types = converters.ModelInferRequestConverter.to_types.__func__  # type: ignore[attr-defined]


def unpack(tensor: Any, contents: bytes) -> npt.NDArray[Any]:
    """The flat array of a tensor's raw contents; most share the message's buffer, read-only.

    Raises:
        MLServerError: 422; unknown datatype, or contents that do not fill the shape.
    """
    try:
        return raw.unpack(tensor.datatype, tensor.shape, contents).ravel()
    except ValueError as error:
        raise _malformed(f"tensor '{tensor.name}': {error}") from None


def pack(tensor: Any) -> bytes:
    """The raw contents of a tensor's data, an array or a list."""
    values = tensor.data.root if isinstance(tensor.data, TensorData) else tensor.data
    if not isinstance(values, np.ndarray):
        if tensor.datatype == "BYTES":
            return raw.pack_bytes(values)
        values = np.array(values, NUMPY_DTYPES[tensor.datatype])
    return bytes(raw.pack(tensor.datatype, values))


def inject_raw(tensors: list[Any], raw_contents: Sequence[bytes]) -> list[Any]:
    """Gives each tensor without data its raw contents, in order: an array, or for BYTES a list."""
    contents = iter(raw_contents)
    for tensor in tensors:
        if len(tensor.data) == 0:
            try:
                values = unpack(tensor, next(contents))
            except StopIteration:
                raise _malformed(
                    f"tensor '{tensor.name}' has no data: {len(tensors)} tensors came with "
                    f"{len(raw_contents)} raw contents"
                ) from None
            # MLServer's codecs for texts take an array for one odd string, and decode it to "".
            root = values.tolist() if tensor.datatype == "BYTES" else values
            tensor.data = TensorData.model_construct(root=root)
    if next(contents, None) is not None:
        raise _malformed(f"{len(tensors)} tensors came with {len(raw_contents)} raw contents")
    return tensors


def extract_raw(tensors: list[Any]) -> tuple[list[Any], list[bytes]]:
    """Takes the data out of tensors, as raw contents in their order."""
    contents = [pack(tensor) for tensor in tensors]
    for tensor in tensors:
        tensor.data = TensorData.model_construct(root=[])
    return tensors, contents


def to_types(cls: type, pb_object: pb.ModelInferRequest) -> InferenceRequest:
    """MLServer's converter, with a result that remembers how its values came."""
    request: InferenceRequest = _stock_to_types(cls, pb_object)
    kind = RawInferenceRequest if pb_object.raw_input_contents else GrpcInferenceRequest
    return kind.model_construct(request.model_fields_set, **request.__dict__)


def install() -> None:
    """Replaces MLServer's codecs; the converters hold two of them by name."""
    replaced: Any = mlserver_raw
    replaced.unpack, replaced.pack = unpack, pack
    for replaced in (mlserver_raw, converters):
        replaced.inject_raw, replaced.extract_raw = inject_raw, extract_raw
    converters.ModelInferRequestConverter.to_types = classmethod(to_types)  # type: ignore[assignment]
    kind: Any
    for kind in (InferenceRequest, RequestInput, RequestOutput):
        # The converters call pydantic's old name of it, which takes its time to warn, each time.
        kind.construct = classmethod(kind.model_construct.__func__)


def _malformed(text: str) -> MLServerError:
    return MLServerError(text, 422)
