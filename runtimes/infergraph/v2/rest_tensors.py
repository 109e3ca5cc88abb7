"""Tensors in V2 over REST: their JSON, and their raw contents behind the message's.

A tensor's values are in its JSON, a list or base64, or they are raw contents behind the whole JSON.
That is V2's extension of binary tensor data: the header `Inference-Header-Content-Length` gives the
length of the JSON, and the contents of the tensors that have a `binary_data_size` follow in their
order.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from ..errors import MalformedRequest, StageFailure
from . import base64_bytes, raw
from .json_text import array_to_json
from .request import Form, quoted
from .tensor import TEXT_CONTENT_TYPE, Tensor
from .values import LargeList, array_from_list, check_nesting

LENGTH_HEADER = "inference-header-content-length"
Body = bytes | memoryview

_INLINE_ELEMENTS = 1 << 14
"""Larger arrays are written in slices."""


class RawContents:
    """The raw contents behind the JSON, taken from the front."""

    def __init__(self, body: Body, start: int) -> None:
        self._left = memoryview(body)[start:]

    def take(self, name: str, size: int) -> memoryview:
        """The next bytes, which are a tensor's; MalformedRequest if fewer are left."""
        if size > len(self._left):
            raise MalformedRequest(
                f"tensor {quoted(name)}: binary_data_size is {size}, but {len(self._left)} bytes "
                "are left behind the JSON"
            )
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def check_used(self) -> None:
        """Raises MalformedRequest if bytes are left."""
        if len(self._left):
            raise MalformedRequest(
                f"{len(self._left)} bytes behind the JSON belong to no tensor's binary_data_size"
            )


class TensorHeader:
    """A tensor as its JSON describes it; its values are not decoded yet.

    Args:
        given: The tensor's JSON.
        index: Its place in the message, for errors.

    Raises:
        MalformedRequest: its JSON is no tensor's.

    Attributes:
        name, datatype, shape: As they came.
        holds_base64_numbers: Whether its values are numbers in base64.
    """

    __slots__ = ("_given", "_parameters", "datatype", "holds_base64_numbers", "name", "shape")

    def __init__(self, given: Any, index: int) -> None:
        if not isinstance(given, dict):
            raise not_v2(f"tensor {index} is {kind_of(given)}; accepted: an object")
        name = given.get("name")
        if type(name) is not str:
            raise not_v2(f"tensor {index}: its name is {kind_of(name)}; accepted: a string")
        self.name = name
        datatype, shape = given.get("datatype"), given.get("shape")
        if type(datatype) is not str:
            raise not_v2(
                f"tensor {quoted(name)}: its datatype is {kind_of(datatype)}; accepted: a string"
            )
        # A boolean is an integer to Python.
        if type(shape) is not list or any(type(size) is not int for size in shape):
            raise not_v2(
                f"tensor {quoted(name)}: its shape is {shape!r:.100}; accepted: a list of integers"
            )
        self.datatype, self.shape = datatype, shape
        self._given = given
        self._parameters = mapping_of(given, "parameters", f"tensor {quoted(name)}: ")
        self.holds_base64_numbers = (
            self._parameters.get("content_type") == base64_bytes.CONTENT_TYPE
            and datatype != "BYTES"
        )

    def decode(self, contents: RawContents, json_size: int | None, as_given: bool) -> Tensor:
        """The tensor, whose array is read-only; with `as_given` it keeps its parameters.

        Raises:
            MalformedRequest: its values are not what the rest of it says.
        """
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

    def _array(self, contents: RawContents, json_size: int | None) -> npt.NDArray[Any]:
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
            raise ValueError(f"its data is {kind_of(values)}; accepted: a list of values")
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


def encode_message(
    head: dict[str, Any],
    side: str,
    tensors: Sequence[tuple[Tensor, Form]],
    marks_text: bool = False,
) -> tuple[list[Body], int | None]:
    """The parts of a body, and the length of its JSON where raw contents follow it.

    Args:
        head: The message without its tensors.
        side: `inputs` or `outputs`.
        tensors: Each with the form that it goes in.
        marks_text: Whether BYTES that are UTF-8 say so.

    Raises:
        StageFailure: infinity as a JSON number, or a parameter, that JSON cannot carry.
    """
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


def mapping_of(document: Mapping[str, Any], field: str, where: str) -> dict[str, Any]:
    """A field's object, empty where the field is missing or null; MalformedRequest for others."""
    value = document.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise not_v2(f"{where}{field} is {kind_of(value)}; accepted: an object")
    return value


def not_v2(problem: str) -> MalformedRequest:
    """The error for a body that is no V2 message."""
    return MalformedRequest(f"the body is not a V2 inference message: {problem}")


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "missing or null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return names.get(type(value)) or ("an object" if isinstance(value, dict) else "a list")
