"""`Tensor` and `Message`: what travels between the parts, independent of any wire format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Parameter = bool | int | float | str
"""A V2 parameter's value."""

NUMPY_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BF16": np.dtype(np.float32),
    "BYTES": np.dtype(object),
}
"""V2 datatype -> numpy dtype. BYTES tensors are object arrays whose elements are `bytes`.

numpy has no BF16: its values are held as float32, of which they are the upper half.
"""

TEXT_CONTENT_TYPE = "str"
"""The tensor parameter `content_type` of BYTES that are UTF-8 text, in MLServer's words."""

_DATATYPES = {dtype: name for name, dtype in NUMPY_DTYPES.items() if name != "BF16"}


def datatype_of(dtype: np.dtype[Any]) -> str:
    """The V2 datatype of a numpy dtype; ValueError when V2 has none (complex, datetime, str)."""
    try:
        return _DATATYPES[dtype.newbyteorder("=")]
    except KeyError:
        accepted = ", ".join(str(known) for known in _DATATYPES)
        raise ValueError(f"numpy dtype {dtype} has no V2 datatype; accepted: {accepted}") from None


@dataclass(slots=True)
class Tensor:
    """A named array.

    Attributes:
        name: The tensor's name.
        datatype: A V2 datatype, a key of `NUMPY_DTYPES`.
        data: The values, an array of that datatype's dtype with the tensor's shape. The first
            dimension is the batch. BYTES tensors hold `bytes` in an object array.
        parameters: Its V2 parameters, where a client gives or keeps them; servers drop them. With
            `content_type` base64 it goes as base64 in JSON, and without it as raw contents.
    """

    name: str
    datatype: str
    data: npt.NDArray[Any]
    parameters: Mapping[str, Parameter] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    def renamed(self, name: str) -> Tensor:
        """The same values under another name; the array is shared, not copied."""
        return Tensor(name, self.datatype, self.data, self.parameters)

    @classmethod
    def of(cls, name: str, data: npt.NDArray[Any]) -> Tensor:
        """A tensor of an array, its datatype read off the dtype."""
        return cls(name, datatype_of(data.dtype), data)

    @classmethod
    def of_bytes(
        cls, name: str, items: Sequence[bytes], shape: Sequence[int] | None = None
    ) -> Tensor:
        """A BYTES tensor, of shape [len(items), 1] unless told."""
        array = np.empty(len(items), dtype=object)
        array[:] = items
        return cls(name, "BYTES", array.reshape(tuple(shape) if shape is not None else (-1, 1)))


def is_text(tensor: Tensor) -> bool:
    """Whether all elements of a BYTES tensor are UTF-8; False of other datatypes."""
    if tensor.datatype != "BYTES":
        return False
    try:
        # One pass; what is cut within a character stays invalid before a zero.
        b"\0".join(tensor.data.ravel().tolist()).decode()
    except UnicodeDecodeError:
        return False
    return True


@dataclass(slots=True)
class Message:
    """One request to a model or one answer of it.

    Attributes:
        tensors: In order. Names may repeat: joined sources keep both of two clashing names.
        id: The request's id; empty when it has none.
        parameters: V2 request or response parameters, without MLServer's `headers` and `trace`.
        trace: What the answer cost, when a trace was asked for: a model's `queue_us`, `compute_us`,
            `batch_size`, or a pipeline's `steps`. On the wire it is the response parameter `trace`,
            as JSON.
    """

    tensors: list[Tensor]
    id: str = ""
    parameters: dict[str, Parameter] = field(default_factory=dict)
    trace: dict[str, Any] | None = None

    def get(self, name: str) -> Tensor | None:
        """The first tensor of that name, or None."""
        for tensor in self.tensors:
            if tensor.name == name:
                return tensor
        return None

    def names(self) -> list[str]:
        return [tensor.name for tensor in self.tensors]

    def selected(self, names: Iterable[str]) -> list[Tensor]:
        """The tensors of these names, in the message's own order."""
        wanted = set(names)
        return [tensor for tensor in self.tensors if tensor.name in wanted]
