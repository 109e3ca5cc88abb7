"""What a V2 request holds beside its message: the outputs it asks for, and its form on the wire."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidInput, MalformedRequest, TooLarge
from .tensor import NUMPY_DTYPES, Message


class Form(enum.Enum):
    """How a request's values came, and so how the answer's values go back."""

    JSON = "REST: lists and strings"
    BASE64 = "REST: numbers as base64 of their raw contents"
    BINARY = "REST: raw contents behind the JSON"
    TYPED = "gRPC: typed contents"
    RAW = "gRPC: raw contents"


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output that a request names.

    Attributes:
        name: The output tensor's name.
        classification: How many of the largest values are wanted, as texts; 0 for the tensor.
        binary: Over REST, whether it goes behind the JSON; None where the request does not say.
        parameters: All its parameters, those two among them, as a client sends them.
    """

    name: str
    classification: int = 0
    binary: bool | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, name: str, parameters: Mapping[str, Any]) -> RequestedOutput:
        """A requested output of V2, read from its parameters.

        Raises:
            InvalidInput: one of them has no value that it can have.
        """
        count = parameters.get("classification", 0)
        if type(count) is not int or ("classification" in parameters and count < 1):
            raise InvalidInput(
                f"output {quoted(name)}: classification is {count!r:.100}; "
                "accepted: an integer from 1"
            )
        binary = parameters.get("binary_data")
        if binary is not None and type(binary) is not bool:
            raise InvalidInput(
                f"output {quoted(name)}: binary_data is {binary!r:.100}; accepted: true or false"
            )
        return cls(name, count, binary, parameters)


@dataclass(slots=True)
class InferRequest:
    """A request as it came.

    Attributes:
        message: Tensors, id and parameters.
        outputs: The outputs it names; empty for all.
        form: How its values came, and so how the answer's go back.
    """

    message: Message
    outputs: Sequence[RequestedOutput]
    form: Form


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request, checked on the shapes before any value is decoded.

    Attributes:
        tensors: Most input tensors, and most requested outputs.
        elements: Most elements of all tensors together.
        strings: Most elements of all BYTES tensors together: each becomes an object.
    """

    tensors: int = 256
    elements: int = 1 << 27
    strings: int = 1 << 20

    def check(self, outline: Sequence[tuple[str, str, Sequence[int]]], outputs: int = 0) -> None:
        """Checks the names, datatypes and shapes of a request's tensors.

        Raises:
            MalformedRequest: an unknown datatype, or a shape that is none.
            TooLarge: more than a limit; the text names it.
        """
        if len(outline) > self.tensors or outputs > self.tensors:
            raise TooLarge(
                f"the request has {max(len(outline), outputs)} tensors; accepted: at most "
                f"{self.tensors} (server setting 'max_tensors')",
                cause="tensors",
            )
        elements = strings = 0
        for name, datatype, shape in outline:
            if datatype not in NUMPY_DTYPES:
                raise MalformedRequest(
                    f"tensor {quoted(name)} has datatype {quoted(datatype)}; "
                    f"accepted: {', '.join(NUMPY_DTYPES)}"
                )
            if len(shape) > _MOST_DIMENSIONS:
                raise MalformedRequest(
                    f"tensor {quoted(name)} has {len(shape)} dimensions; "
                    f"accepted: at most {_MOST_DIMENSIONS}"
                )
            if shape and min(shape) < 0:
                raise MalformedRequest(
                    f"tensor {quoted(name)} has shape {list(shape)}; sizes cannot be negative"
                )
            if shape and max(shape) >= _LARGEST_SIZE:
                raise MalformedRequest(f"tensor {quoted(name)}: impossible shape {list(shape)}")
            count = math.prod(shape)
            elements += count
            if datatype == "BYTES":
                strings += count
        if elements > self.elements:
            raise TooLarge(
                f"the request's tensors hold {elements} elements; accepted: at most "
                f"{self.elements} (server setting 'max_elements')",
                cause="elements",
            )
        if strings > self.strings:
            raise TooLarge(
                f"the request's BYTES tensors hold {strings} elements; accepted: at most "
                f"{self.strings} (server setting 'max_strings')",
                cause="strings",
            )


_MOST_DIMENSIONS = 32
_LARGEST_SIZE = 1 << 62
_LONGEST_NAME = 200


def quoted(name: str) -> str:
    """A name for an error text: in quotes, and cut where it is too long to be read."""
    if len(name) <= _LONGEST_NAME:
        return f"'{name}'"
    return f"'{name[:_LONGEST_NAME]}...' ({len(name)} characters)"
