"""Raw gRPC tensors stay arrays, end to end.

MLServer turns each raw tensor into a Python list and back: 340 ms of codec time for 4.9 MB of FP32.
The replacements share the buffer instead. Values are bit for bit those of the stock codec, which a
test checks; NaN passes. Requests keep what they came as (`GrpcInferenceRequest`,
`RawInferenceRequest`), so that answers go back in the same form.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import mlserver.grpc.converters as converters
import mlserver.raw as raw
import numpy as np
import numpy.typing as npt
from mlserver.errors import MLServerError
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.types import InferenceRequest, TensorData

from ..tensors.tensor import NUMPY_DTYPES
from ..tensors.v2 import GrpcInferenceRequest, RawInferenceRequest

_LENGTH = struct.Struct("<I")
_stock_to_types = converters.ModelInferRequestConverter.to_types.__func__  # type: ignore[attr-defined]


def unpack_bytes(contents: bytes) -> npt.NDArray[Any]:
    """Elements of a raw BYTES tensor, each after its 4-byte little-endian length.

    Raises:
        ValueError: the contents end within an element.
    """
    items: list[bytes] = []
    offset, end = 0, len(contents)
    while offset < end:
        if offset + 4 > end:
            raise ValueError("it ends within the length of an element")
        (size,) = _LENGTH.unpack_from(contents, offset)
        offset += 4
        if offset + size > end:
            raise ValueError(f"an element of {size} bytes is cut off after {end - offset}")
        items.append(contents[offset : offset + size])
        offset += size
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def pack_bytes(items: Iterable[bytes | str]) -> bytes:
    """A raw BYTES tensor of these elements."""
    parts: list[bytes] = []
    for item in items:
        data = item.encode() if isinstance(item, str) else item
        parts.append(_LENGTH.pack(len(data)))
        parts.append(data)
    return b"".join(parts)


def unpack(tensor: Any, contents: bytes) -> npt.NDArray[Any]:
    """The flat array of a tensor's raw contents; most share the message's buffer, read-only.

    Raises:
        MLServerError: 422; unknown datatype, or contents that do not fill the shape.
    """
    dtype = NUMPY_DTYPES.get(tensor.datatype)
    if dtype is None:
        raise _malformed(
            f"tensor '{tensor.name}' has datatype '{tensor.datatype}'; "
            f"accepted: {', '.join(NUMPY_DTYPES)}"
        )
    if tensor.datatype == "BYTES":
        try:
            return unpack_bytes(contents)
        except ValueError as error:
            raise _malformed(
                f"tensor '{tensor.name}': raw contents are cut short: {error}"
            ) from None
    count = 1
    for size in tensor.shape:
        count *= size
    if count < 0 or len(contents) != count * dtype.itemsize:
        raise _malformed(
            f"tensor '{tensor.name}': shape {list(tensor.shape)} of {tensor.datatype} takes "
            f"{count * dtype.itemsize} bytes, but raw contents have {len(contents)}"
        )
    if tensor.datatype == "BOOL":
        # Any byte but 0 is true, as in the stock codec; numpy's own bools are 0 or 1.
        truth: npt.NDArray[Any] = np.frombuffer(contents, np.uint8) != 0
        return truth
    return np.frombuffer(contents, dtype)


def pack(tensor: Any) -> bytes:
    """The raw contents of a tensor's data, an array or a list."""
    values = tensor.data.root if isinstance(tensor.data, TensorData) else tensor.data
    if tensor.datatype == "BYTES":
        return pack_bytes(values.ravel() if isinstance(values, np.ndarray) else values)
    return np.ascontiguousarray(values, NUMPY_DTYPES[tensor.datatype]).tobytes()


def inject_raw(tensors: list[Any], raw_contents: Sequence[bytes]) -> list[Any]:
    """Gives each tensor without data its raw contents, in order."""
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
            tensor.data = TensorData.model_construct(root=values)
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
    replaced: Any = raw
    replaced.unpack, replaced.pack = unpack, pack
    for replaced in (raw, converters):
        replaced.inject_raw, replaced.extract_raw = inject_raw, extract_raw
    converters.ModelInferRequestConverter.to_types = classmethod(to_types)  # type: ignore[assignment]


def _malformed(text: str) -> MLServerError:
    return MLServerError(text, 422)
