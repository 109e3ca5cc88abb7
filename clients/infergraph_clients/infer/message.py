"""`Request` and `Answer`, as all transports understand them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .tensors import Parameter, Tensor

Compression = Literal["gzip", "deflate"]
COMPRESSIONS: tuple[Compression, ...] = ("gzip", "deflate")
TRACE = "trace"


@dataclass(frozen=True)
class Request:
    """One inference request.

    Attributes:
        model: A model or pipeline.
        version: The model's version; empty for the server's choice.
        outputs: The outputs that are wanted; all of them when empty.
        headers: HTTP headers, or gRPC metadata.
        compression: Of the request's body; the answer's is asked to be the same.
        timeout_s: When the client gives up; None for never.
    """

    model: str
    tensors: Sequence[Tensor]
    version: str = ""
    outputs: Sequence[str] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    id: str = ""
    compression: Compression | None = None
    timeout_s: float | None = None

    @property
    def items(self) -> int:
        """The size of its batch; 1 where its tensors do not agree on one."""
        sizes = {tensor.shape[0] for tensor in self.tensors if tensor.shape}
        return sizes.pop() if len(sizes) == 1 else 1


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        model: The model's name as the server says it; Seldon's pipelines leave it empty.
        tensors: The outputs in the server's order.
        parameters: The response's V2 parameters.
    """

    model: str
    tensors: Sequence[Tensor]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""

    @property
    def trace(self) -> dict[str, Any] | None:
        """What each step cost, where the server was asked and tells."""
        trace = self.parameters.get(TRACE)
        if not isinstance(trace, str):
            return None
        try:
            content = json.loads(trace)
        except ValueError:
            return None
        return content if isinstance(content, dict) else None

    def says_the_same(self, other: Answer) -> bool:
        """Whether both have the same outputs, bit for bit."""
        return [_content(each) for each in self.tensors] == [_content(e) for e in other.tensors]


def _content(tensor: Tensor) -> tuple[Any, ...]:
    data = tensor.data.ravel()
    values = data.tolist() if data.dtype == object else data.tobytes()
    return tensor.name, tensor.datatype, tensor.shape, values
